"""JSON's brackets, escapes and escaped twins as tokens of their own: copied files and settings keep the tokens that they were read as."""

from __future__ import annotations

import json
import re
import textwrap
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from data.json_tokens import add_json_tokens, escaped
from data.tokenizer import add_wire_tokens, load_tokenizer
from data.wire import BRACKETS, single_id
from tests.toy import toy_tokenizer
from train.base import embedded_source

SETTINGS = st.recursive(
    st.sampled_from([1, 2.5, True, None, "the", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
FILES = st.text(st.sampled_from("ab ,.()[]{}'\"\\n\n\t"), max_size=40)  # "n": a backslash before it is no line break
LINE = st.lists(st.sampled_from(["the", '"', '",', ",", "a", "\\", ",\\", "\\n", "[", "}"]), min_size=1, max_size=6)
WHOLE = re.compile(r'([^\\]|\\[n"\\])*')


@pytest.fixture(scope="module")
def embedded() -> PreTrainedTokenizerBase:
    """The embedded base's, with the tokens that `train.base` adds."""
    folder, file = embedded_source("smollm2-135m")
    tokenizer = load_tokenizer(folder, gguf_file=file)
    add_wire_tokens(tokenizer)
    add_json_tokens(tokenizer)
    return tokenizer


def pieces(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    return [tokenizer.decode([id_]) for id_ in tokenizer.encode(text, add_special_tokens=False)]


@given(FILES)
def test_no_token_holds_part_of_an_escape(file: str) -> None:
    tokenizer = toy_tokenizer(thinking=False)
    spelled = json.dumps(file)
    found = pieces(tokenizer, spelled)
    assert "".join(found) == spelled
    assert sum(not WHOLE.fullmatch(piece) for piece in found) == file.count("\t")  # the one escape here that has no token


@given(LINE)
def test_a_line_is_written_in_the_tokens_that_it_is_read_in_or_their_twins(words: list[str]) -> None:
    tokenizer = toy_tokenizer(thinking=False)
    line = " ".join(words)
    assert pieces(tokenizer, escaped(line)) == [escaped(piece) for piece in pieces(tokenizer, line)]


@given(SETTINGS)
def test_settings_have_the_tokens_that_they_have_on_lines_of_their_own(settings: object) -> None:
    tokenizer = toy_tokenizer(thinking=False)
    compact, lines = ([piece.strip() for piece in pieces(tokenizer, json.dumps(settings, indent=indent))] for indent in (None, 2))
    assert [piece for piece in compact if piece] == [piece for piece in lines if piece]


def test_brackets_are_not_joined_with_each_other_nor_with_quotation_marks() -> None:
    tokenizer = toy_tokenizer(thinking=False, calls=False)
    spelled = json.dumps({"a": {"the": [{}, "b"]}})
    add_json_tokens(tokenizer)
    found = pieces(tokenizer, spelled)
    assert "".join(found) == spelled
    assert not any(set(piece) & set("{}[]") for piece in found if piece not in BRACKETS)
    assert [piece for piece in found if piece in BRACKETS] == ["{", " {", " [", "{", "}", "]", "}", "}"]


def test_an_escape_is_not_joined_with_what_stands_before_it() -> None:
    tokenizer = toy_tokenizer(thinking=False, calls=False)
    spelled = json.dumps("a,\nb")
    assert pieces(tokenizer, spelled) == ['"', "a", ",\\", "n", "b", '"']
    add_json_tokens(tokenizer)
    assert pieces(tokenizer, spelled) == ['"', "a", ",", "\\n", "b", '"']


def test_an_escape_of_the_vocabulary_keeps_its_id_and_its_row() -> None:
    tokenizer = toy_tokenizer(thinking=False, calls=False)
    held = single_id(tokenizer, r"\"")
    assert held is not None
    twins = {r"\",", r" \"", r"\\n", r"\\\"", r"\\\\"}
    assert set(add_json_tokens(tokenizer)) == {r"\n", r"\\", " {", " ["} | twins
    assert single_id(tokenizer, r"\"") == held
    assert add_json_tokens(tokenizer) == {}


def test_an_escape_that_is_missing_starts_from_its_spelling_and_twins_go_its_way_from_what_is_read() -> None:
    tokenizer = toy_tokenizer(thinking=False, calls=False)
    starts = add_json_tokens(tokenizer)
    line, quote, comma, escape, bracket = (single_id(tokenizer, text) for text in ("\n", '"', '",', r"\"", "{"))
    space = tokenizer.encode("a b", add_special_tokens=False)[1]
    assert starts[r"\n"] == {line: 1, escape: 1, quote: -1}
    assert starts[r"\","] == {comma: 1, escape: 1, quote: -1}
    assert starts[r"\\n"] == {single_id(tokenizer, r"\n"): 1, escape: 1, quote: -1}
    assert starts[r"\\\""] == {escape: 2, quote: -1}
    assert starts[" {"] == {space: 0.5, bracket: 0.5}


@pytest.mark.parametrize("file", ['print("a,\\n")\n', 'a["b"]\n\n    \\d'])
def test_escapes_survive_saving(tmp_path: Path, file: str) -> None:
    tokenizer = toy_tokenizer(thinking=False)
    tokenizer.save_pretrained(tmp_path)
    assert pieces(load_tokenizer(str(tmp_path)), json.dumps(file)) == pieces(tokenizer, json.dumps(file))


def spans(parts: list[str]) -> list[tuple[int, int]]:
    """Where each part starts and ends in the text that they make."""
    return list(pairwise(accumulate(map(len, parts), initial=0)))


def test_real_code_is_written_in_the_tokens_that_it_is_read_in_or_their_twins_line_breaks_apart(embedded: PreTrainedTokenizerBase) -> None:
    file = Path(textwrap.__file__).read_text(encoding="utf-8")
    read, written = pieces(embedded, file), pieces(embedded, escaped(file))
    assert "".join(written) == escaped(file)
    copied = set(spans([escaped(piece) for piece in read]))
    others = [span in copied for span, piece in zip(spans(written), written, strict=True) if piece.strip() and piece != r"\n"]
    assert sum(others) > 0.99 * len(others)
    assert {r" \"\"\"", r"\"\"\"", r"\\n", r"\n"} <= set(written)


def test_a_base_gets_each_twin_once_and_keeps_what_it_reads(embedded: PreTrainedTokenizerBase) -> None:
    file = 'def f():\n    """The."""\n    return ("a",)\n'
    folder, name = embedded_source("smollm2-135m")
    assert pieces(embedded, file) == pieces(load_tokenizer(folder, gguf_file=name), file)
    assert add_json_tokens(embedded) == {}

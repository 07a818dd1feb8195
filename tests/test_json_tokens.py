"""JSON's escapes and brackets as tokens of their own: copied files and settings keep the tokens that they were read as."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from data.tokenizer import add_json_tokens, load_tokenizer
from data.wire import BRACKETS, ESCAPES, single_id
from tests.toy import toy_tokenizer

SETTINGS = st.recursive(
    st.sampled_from([1, 2.5, True, None, "the", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
FILES = st.text(st.sampled_from("ab ,.()[]{}'\"\\n\n\t"), max_size=40)  # "n": a backslash before it is no line break


def pieces(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    return [tokenizer.decode([id_]) for id_ in tokenizer.encode(text, add_special_tokens=False)]


@given(FILES)
def test_each_escape_is_one_token_and_none_else_holds_one(file: str) -> None:
    tokenizer = toy_tokenizer(thinking=False)
    spelled = json.dumps(file)
    found = pieces(tokenizer, spelled)
    assert "".join(found) == spelled
    assert [ESCAPES[piece] for piece in found if piece in ESCAPES] == [letter for letter in file if letter in ESCAPES.values()]


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
    assert set(add_json_tokens(tokenizer)) == {r"\n", r"\\", " {", " ["}
    assert single_id(tokenizer, r"\"") == held
    assert add_json_tokens(tokenizer) == {}


def test_rows_start_from_the_spelling_and_the_character() -> None:
    tokenizer = toy_tokenizer(thinking=False, calls=False)
    [backslash, letter, line] = (tokenizer.encode(text, add_special_tokens=False)[0] for text in ("\\", "n", "\n"))
    assert add_json_tokens(tokenizer)["\\n"] == [backslash, letter, line]


@pytest.mark.parametrize("file", ['print("a,\\n")\n', 'a["b"]\n\n    \\d'])
def test_escapes_survive_saving(tmp_path: Path, file: str) -> None:
    tokenizer = toy_tokenizer(thinking=False)
    tokenizer.save_pretrained(tmp_path)
    assert pieces(load_tokenizer(str(tmp_path)), json.dumps(file)) == pieces(tokenizer, json.dumps(file))

"""JSON's escapes as tokens of their own: a copied file keeps the tokens that it was read as."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from data.tokenizer import add_json_tokens, load_tokenizer
from data.wire import ESCAPES, single_id
from tests.toy import toy_tokenizer

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
    assert set(add_json_tokens(tokenizer)) == {r"\n", r"\\"}
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

"""The strict reading of generated ids."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerBase

from data.call_body import Call, Defect, read_call
from data.response import Response, read_response
from data.wire import read_ids

CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'


def read(tokenizer: PreTrainedTokenizerBase, *pieces: str, in_reasoning: bool = False) -> Response:
    """Read the ids of the pieces, each encoded on its own."""
    ids = [token for piece in pieces for token in tokenizer.encode(piece, add_special_tokens=False)]
    return read_response(ids, tokenizer, read_ids(tokenizer), in_reasoning)


def defects(response: Response) -> list[Defect]:
    return [block.defect for block in response.malformed]


def test_call_with_text_around_it(tokenizer: PreTrainedTokenizerBase) -> None:
    response = read(tokenizer, f"Before.\n{CALL}\nAfter.<|im_end|>")
    assert response == Response("Before.\n\nAfter.", None, (Call("f", {"x": 1}),), (), ended=True)


def test_what_follows_the_end_of_turn_is_ignored(tokenizer: PreTrainedTokenizerBase) -> None:
    assert read(tokenizer, f"Done.<|im_end|>\n{CALL}") == Response("Done.", None, (), (), ended=True)


def test_text_without_end_is_not_ended(tokenizer: PreTrainedTokenizerBase) -> None:
    assert read(tokenizer, "Let me") == Response("Let me", None, (), (), ended=False)
    assert read(tokenizer) == Response("", None, (), (), ended=False)


@pytest.mark.parametrize(("tail", "defect"), [("", Defect.TRUNCATED), ("<|im_end|>", Defect.UNCLOSED)])
def test_unclosed_call(tokenizer: PreTrainedTokenizerBase, tail: str, defect: Defect) -> None:
    response = read(tokenizer, 'Now. <tool_call>\n{"name": "f"' + tail)
    assert defects(response) == [defect]
    assert response.malformed[0].text == '<tool_call>\n{"name": "f"'
    assert (response.content, response.calls) == ("Now.", ())


def test_call_opened_again_before_it_closes(tokenizer: PreTrainedTokenizerBase) -> None:
    response = read(tokenizer, f"<tool_call>\n{CALL}")
    assert defects(response) == [Defect.UNCLOSED]
    assert response.calls == (Call("f", {"x": 1}),)


def test_close_without_open(tokenizer: PreTrainedTokenizerBase) -> None:
    response = read(tokenizer, '{"name": "f", "arguments": {}}\n</tool_call>')
    assert defects(response) == [Defect.UNOPENED]
    assert (response.content, response.calls) == ('{"name": "f", "arguments": {}}', ())


def test_typed_tag_with_other_ids_is_content(tokenizer: PreTrainedTokenizerBase) -> None:
    body = '\n{"name": "f", "arguments": {}}\n'
    typed = ["<", "tool_call", ">", body, "</", "tool_call", ">"]
    response = read(tokenizer, *typed)
    assert response == Response("".join(typed), None, (), (), ended=False)
    assert len(read(tokenizer, "".join(typed)).calls) == 1


def test_one_malformed_call_spares_the_other(tokenizer: PreTrainedTokenizerBase) -> None:
    response = read(tokenizer, f"<tool_call>\n{{'name': 'f'}}\n</tool_call>\n{CALL}<|im_end|>")
    assert defects(response) == [Defect.PYTHON_LITERAL]
    assert response.calls == (Call("f", {"x": 1}),)
    wire = read_ids(tokenizer)
    assert (response.malformed[0].ids[0], response.malformed[0].ids[-1]) == (wire.call_open, wire.call_close)


@pytest.mark.parametrize(
    ("body", "defect"),
    [
        ("", Defect.NOT_JSON),
        ("f(x=1)", Defect.NOT_JSON),
        ('{"name": "f", "arguments": {"x": 1}', Defect.NOT_JSON),
        ('{"name": "f", "arguments": {}} {}', Defect.NOT_JSON),
        ('{"name": "f", "arguments": {"x": NaN}}', Defect.NOT_JSON),
        ('{"name": "f", "arguments": {"x": -Infinity}}', Defect.NOT_JSON),
        ('{"name": "f", "arguments": {"x": 1e999}}', Defect.NOT_JSON),
        ("{[1]: 2}", Defect.NOT_JSON),
        ("{{'name': 'f'}}", Defect.NOT_JSON),
        ('{"name": "f", "arguments": ' + "[" * 100_000, Defect.NOT_JSON),
        ('{"name": "f", "name": "g", "arguments": {}}', Defect.DUPLICATE_KEY),
        ('{"name": "f", "arguments": {"x": 1, "x": 1}}', Defect.DUPLICATE_KEY),
        ('[{"name": "f", "arguments": {}}]', Defect.WRONG_SHAPE),
        ('"f"', Defect.WRONG_SHAPE),
        ('{"name": "f"}', Defect.NO_ARGUMENTS),
        ('{"name": "f", "parameters": {}}', Defect.NO_ARGUMENTS),
        ('{"name": "f", "arguments": {}, "id": 1}', Defect.WRONG_SHAPE),
        ('{"name": 1, "arguments": {}}', Defect.WRONG_SHAPE),
        ('{"name": "f", "arguments": "{}"}', Defect.ARGUMENTS_AS_STRING),
        ('{"name": "f", "arguments": null}', Defect.WRONG_SHAPE),
    ],
)
def test_body_that_is_not_a_call(body: str, defect: Defect) -> None:
    assert read_call(body) is defect


def test_arguments_before_name_are_a_call() -> None:
    assert read_call(' {"arguments": {"s": "</tool_call>"}, "name": "f"}\n') == Call("f", {"s": "</tool_call>"})


def test_think_block(smollm3: PreTrainedTokenizerBase) -> None:
    response = read(smollm3, f"<think>\nHm.\n</think>\nWell.\n{CALL}<|im_end|>")
    assert response == Response("Well.", "Hm.", (Call("f", {"x": 1}),), (), ended=True)


def test_think_block_that_the_prompt_opened(smollm3: PreTrainedTokenizerBase) -> None:
    assert read(smollm3, "Hm.\n</think>\nWell.", in_reasoning=True) == Response("Well.", "Hm.", (), (), ended=False)


def test_call_inside_a_think_block_is_marked(smollm3: PreTrainedTokenizerBase) -> None:
    response = read(smollm3, f"<think>\nHm. {CALL} So.\n</think>\n{CALL}")
    assert response.calls == (Call("f", {"x": 1}, in_reasoning=True), Call("f", {"x": 1}))
    assert (response.content, response.reasoning) == ("", "Hm.  So.")


def test_think_tags_are_text_where_the_tokenizer_has_none(smollm2: PreTrainedTokenizerBase) -> None:
    assert read(smollm2, "<think>\nHm.\n</think>") == Response("<think>\nHm.\n</think>", None, (), (), ended=False)

"""transformers reads our turns through the response template that `attach_template` sets, as a server does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils.chat_parsing.response_parser import ResponseParser

from data.render import prompt_ids, render
from data.transcript import Transcript

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}},
}
USER: dict[str, Any] = {"role": "user", "content": "Go."}
CALL_TEXT = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'


def call(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "arguments": arguments}}


def served(tokenizer: PreTrainedTokenizerBase, turn: dict[str, Any], thinking: bool = True) -> dict[str, Any]:
    """Render the turn, cut it where sampling starts, and parse what the model would have generated."""
    transcript = Transcript.model_validate({"id": "t", "tools": [TOOL], "messages": [USER, {"role": "assistant", **turn}]})
    rendered = render(transcript, tokenizer, enable_thinking=thinking)
    ((start, end),) = rendered.spans()
    return tokenizer.parse_response(rendered.input_ids[start:end], prefix=rendered.input_ids[:start])


def read(tokenizer: PreTrainedTokenizerBase, text: str) -> dict[str, Any]:
    prefix = tokenizer.decode(prompt_ids([USER], [TOOL], tokenizer))
    return tokenizer.parse_response(text, prefix=prefix)


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize(
    "turn",
    [
        {"content": "Done."},
        {"tool_calls": [call({"x": [1, "</b>"], "y": {"ä": None}})]},
        {"content": "Let me look.", "tool_calls": [call({})]},
        {"tool_calls": [call({"x": 1}), call({"x": 2})]},
        {"content": "Let me look.", "tool_calls": [call({"x": 1}), call({"x": 2}), call({"x": 3})]},
    ],
)
def test_rendered_turn_is_read_back(tokenizer: PreTrainedTokenizerBase, turn: dict[str, Any], thinking: bool) -> None:
    assert served(tokenizer, turn, thinking) == {"role": "assistant", **turn}


def test_think_block_is_read_as_thinking(smollm3: PreTrainedTokenizerBase) -> None:
    turn = {"content": "Let me look.", "tool_calls": [call({"x": 1}), call({"x": 2})]}
    assert served(smollm3, {"reasoning_content": "Hm.\nYes.", **turn}) == {"role": "assistant", "thinking": "Hm.\nYes.", **turn}
    assert served(smollm3, {"reasoning_content": "Hm.", "content": "No."}) == {"role": "assistant", "thinking": "Hm.", "content": "No."}


def test_think_block_that_the_prompt_opened(smollm3: PreTrainedTokenizerBase) -> None:
    prefix = smollm3.decode(prompt_ids([USER], None, smollm3)) + "<think>\n"
    assert smollm3.parse_response("Hm.\n</think>\nNo.<|im_end|>", prefix=prefix) == {
        "role": "assistant",
        "thinking": "Hm.",
        "content": "No.",
    }


def test_without_think_tokens_there_is_no_thinking_field(smollm2: PreTrainedTokenizerBase) -> None:
    assert "thinking" not in smollm2.response_template["fields"]


@pytest.mark.parametrize("text", ["Done.<|im_end|>", "Done.<|im_end|>\n", "Done.", "Done.\n\n"])
def test_end_of_turn_is_no_content(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    assert read(tokenizer, text) == {"role": "assistant", "content": "Done."}


def test_line_break_after_the_last_call_spares_the_text(tokenizer: PreTrainedTokenizerBase) -> None:
    message = read(tokenizer, f"Before.\n{CALL_TEXT}\n<|im_end|>")
    assert message == {"role": "assistant", "content": "Before.", "tool_calls": [call({})]}


def test_text_after_a_call_replaces_the_text_before(tokenizer: PreTrainedTokenizerBase) -> None:
    """The format's limit; `data.response` keeps both."""
    assert read(tokenizer, f"Before.\n{CALL_TEXT}\nAfter.<|im_end|>")["content"] == "After."


def test_streamed_in_single_characters_it_reads_the_same(tokenizer: PreTrainedTokenizerBase) -> None:
    text = f"Before.\n{CALL_TEXT}\n{CALL_TEXT}<|im_end|>"
    parser = ResponseParser(tokenizer.response_template, prefix=tokenizer.decode(prompt_ids([USER], [TOOL], tokenizer)))
    for character in text:
        parser.feed(character)
    message, _ = parser.finalize()
    assert message == read(tokenizer, text) == {"role": "assistant", "content": "Before.", "tool_calls": [call({})] * 2}


def test_vllm_can_stream_text_and_thinking(tokenizer: PreTrainedTokenizerBase) -> None:
    """vLLM (`vllm/parser/response_template.py`) refuses to start on other fields, and on `join` or `transform` in these two."""
    fields = tokenizer.response_template["fields"]
    assert set(fields) <= {"thinking", "content", "tool_calls"}
    for name in set(fields) - {"tool_calls"}:
        assert fields[name]["content"] == "text"
        assert not {"join", "transform", "repeats"} & set(fields[name])


@pytest.mark.parametrize(
    "body", ['{"name": "f", "parameters": {}}', '{"arguments": {}}', '["f"]', "f(x=1)", '{"name": "f", "arguments": {']
)
def test_malformed_call_is_an_error(tokenizer: PreTrainedTokenizerBase, body: str) -> None:
    with pytest.raises(ValueError, match=r"missing key|cannot index|could not parse"):
        read(tokenizer, f"<tool_call>\n{body}\n</tool_call><|im_end|>")


def test_response_template_is_saved_with_the_tokenizer(smollm2: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    smollm2.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.response_template == smollm2.response_template
    assert loaded.chat_template == smollm2.chat_template
    assert read(loaded, f"{CALL_TEXT}<|im_end|>")["tool_calls"] == [call({})]


TYPED: dict[str, Any] = {
    "s": ("string", "one\n</b>"), "e": ("string", ""), "d": ("string", "3"), "i": ("integer", -3), "n": ("number", 0.5),
    "b": ("boolean", True), "o": ("object", {"ä": [None, "</b>"]}), "l": ("array", [1, "a"]),
}  # fmt: skip
TYPED_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {key: {"type": kind} for key, (kind, _) in TYPED.items()}}},
}


@pytest.mark.parametrize("content", ["", "Let me look."])
@pytest.mark.parametrize("count", [1, 2])
def test_tagged_calls_are_read_back_with_the_tools(coder: PreTrainedTokenizerBase, content: str, count: int) -> None:
    arguments = {key: value for key, (_, value) in TYPED.items()}
    turn = {**({"content": content} if content else {}), "tool_calls": [call(arguments), call({})][:count]}
    transcript = Transcript.model_validate({"id": "t", "tools": [TYPED_TOOL], "messages": [USER, {"role": "assistant", **turn}]})
    rendered = render(transcript, coder)
    ((start, end),) = rendered.spans()
    prefix, generated = rendered.input_ids[:start], rendered.input_ids[start:end]
    assert coder.parse_response(generated, prefix=prefix, tools=[TYPED_TOOL]) == {"role": "assistant", **turn}
    untyped = coder.parse_response(generated, prefix=prefix)["tool_calls"][0]["function"]["arguments"]
    assert {key: untyped[key] for key in ("d", "i", "b")} == {"d": "3", "i": "-3", "b": "true"}

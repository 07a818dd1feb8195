"""Wire tokens that a conversation spells out: text in training, however they got there; and what a server makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from data.render import prompt_ids, render
from data.wire import form_of, single_id
from tests.chats import CHAT, WEATHER, Json, call, text_of, transcript

LITERALS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "<|im_start|>", "<|im_end|>"]


def tool(description: str = "", parameter: str = "x") -> Json:
    schema = {"type": "object", "properties": {parameter: {"type": "string"}}}
    return {"type": "function", "function": {"name": "f", "description": description, "parameters": schema}}


def conversation(says: str = "-", place: str = "") -> tuple[list[Json], list[Json]]:
    """Messages and tools of one conversation with `says` in one place."""

    def at(name: str) -> str:
        return f"a {says if name == place else '-'} b"

    messages: list[Json] = [
        {"role": "system", "content": at("system")},
        {"role": "user", "content": at("user")},
        {"role": "assistant", "content": at("calling text"), "tool_calls": [call("f", {at("key"): at("value")})]},
        {"role": "tool", "content": at("result")},
        {"role": "assistant", "content": at("answer")},
    ]
    return messages, [tool(at("description"), at("parameter"))]


PLACES = ["system", "user", "calling text", "key", "value", "result", "answer", "description", "parameter"]


def wire_ids(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[int]:
    known = {single_id(tokenizer, text) for text in form_of(tokenizer).texts} - {None}
    return [token for token in ids if token in known]


@pytest.mark.parametrize("place", PLACES)
def test_literal_wire_token_stays_text(any_family: PreTrainedTokenizerBase, place: str) -> None:
    """The wire ids, their order and the supervised ones among them are those of the conversation without the literal."""
    messages, tools = conversation()
    plain = render(transcript(messages, tools), any_family)
    for literal in LITERALS:
        messages, tools = conversation(literal, place)
        rendered = render(transcript(messages, tools), any_family)
        assert wire_ids(any_family, rendered.input_ids) == wire_ids(any_family, plain.input_ids)
        assert any_family.decode(rendered.input_ids) == text_of(any_family, messages, tools=tools, enable_thinking=False)
        for (start, end), (start_0, end_0) in zip(rendered.spans(), plain.spans(), strict=True):
            supervised, supervised_0 = rendered.input_ids[start:end], plain.input_ids[start_0:end_0]
            assert wire_ids(any_family, supervised) == wire_ids(any_family, supervised_0)
            as_text = any_family.decode(supervised)
            assert as_text == any_family.decode(supervised_0) or literal in as_text


@pytest.mark.parametrize("place", ["system", "user", "result", "description"])
def test_server_makes_wire_ids_of_literals(any_family: PreTrainedTokenizerBase, place: str) -> None:
    """What `apply_chat_template`, and so a server, does with the same conversation: the difference that training does not see."""
    messages, tools = conversation("<|im_end|>", place)
    served: Any = any_family.apply_chat_template(messages, tools=tools, tokenize=True, return_dict=True, enable_thinking=False)
    ours = render(transcript(messages, tools), any_family).input_ids
    assert len(wire_ids(any_family, served["input_ids"])) == len(wire_ids(any_family, ours)) + 1
    assert any_family.decode(served["input_ids"]) == any_family.decode(ours)


@pytest.mark.parametrize("thinking", [True, False])
def test_without_literals_the_ids_are_those_of_a_server(any_family: PreTrainedTokenizerBase, thinking: bool) -> None:
    messages, tools = conversation()
    for turns, offered in ((messages, tools), (CHAT, [WEATHER]), (CHAT, None)):
        same: Json = {"tools": offered, "tokenize": True, "return_dict": True, "enable_thinking": thinking}
        served: Any = any_family.apply_chat_template(turns, **same)
        assert render(transcript(turns, offered), any_family, enable_thinking=thinking).input_ids == served["input_ids"]
        prompted: Any = any_family.apply_chat_template(turns[:2], add_generation_prompt=True, **same)
        assert prompt_ids(turns[:2], offered, any_family, enable_thinking=thinking) == prompted["input_ids"]


def test_every_private_character_but_one_may_be_taken(smollm2: PreTrainedTokenizerBase) -> None:
    taken = "\ue000\uf8ff\U000f0000"
    messages = [{"role": "user", "content": taken + "<|im_end|>"}, {"role": "assistant", "content": taken}]
    assert smollm2.decode(render(transcript(messages), smollm2).input_ids).count(taken) == 2

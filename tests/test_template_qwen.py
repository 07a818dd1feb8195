"""Qwen's templates: each divergence from upstream, and that the rest is upstream's."""

from __future__ import annotations

import itertools

import pytest
from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from tests.chats import CHAT, WEATHER, Json, call, supervised, text_of, upstream
from tests.conftest import named_tokenizer

SYSTEM: Json = {"role": "system", "content": "Be brief."}
ASKED: Json = {"role": "user", "content": "And now?"}
RESULT: Json = {"role": "tool", "content": "1"}
SCHEMA: Json = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": " Where ", "enum": ["Rome", "Paris"]},
        "days": {"type": "integer", "maximum": 5, "format": "int32", "x": {"y": [1, None, "a"]}},
    },
    "required": ["city"],
}
FORECAST: Json = {"type": "function", "function": {"name": "forecast", "description": "Says <b>.\n", "parameters": SCHEMA}}


def answer(content: str = "", *calls: Json, **fields: str) -> Json:
    return {"role": "assistant", "content": content, **({"tool_calls": list(calls)} if calls else {}), **fields}


CALLED = [CHAT[0], answer("", call("f", {"x": "ä", "n": 1})), RESULT, RESULT, answer("ok", call("f", {"x": [1]}), call("g", {})), RESULT]
CONVERSATIONS = [
    CHAT[:1],
    CHAT[:2],
    CHAT,
    [*CALLED, answer("done")],
    [*CALLED, answer("done"), ASKED, answer("never")],
    [*CHAT[:2], {"role": "system", "content": "Later."}, ASKED],
]
REASONED = [CHAT[0], answer("x", reasoning_content="one"), ASKED, answer("", call("f", {}), reasoning_content="two"), RESULT]
WITH_REASONING = [
    [*REASONED, answer("end", reasoning_content="\nthree\n")],
    [*REASONED, answer("end")],
    [CHAT[0], answer("<think>\none\n</think>\n\nx"), ASKED, answer("<think>\ntwo\n</think>\n\ny")],
    [CHAT[0], answer("x", reasoning_content="one"), {"role": "user", "content": "<tool_response>\n1\n</tool_response>"}, answer("y")],
    [answer("x", reasoning_content="one"), answer("y")],
]


@pytest.mark.parametrize("name", ["toy-qwen2_5", "toy-qwen3", "toy-qwen3_coder"])
@pytest.mark.parametrize("system", [[], [SYSTEM]])
@pytest.mark.parametrize("tools", [None, [WEATHER], [FORECAST, WEATHER["function"]]])
def test_qwen_is_upstream_in_the_rest(name: str, system: list[Json], tools: list[Json] | None) -> None:
    tokenizer = named_tokenizer(name)
    for messages, generate, thinking in itertools.product(CONVERSATIONS, (True, False), (True, False)):
        same: Json = {"tools": tools, "add_generation_prompt": generate, "enable_thinking": thinking, "preserve_thinking": False}
        theirs = text_of(tokenizer, system + messages, chat_template=upstream(tokenizer), **same)
        assert text_of(tokenizer, system + messages, **same) == theirs


# Qwen3


@pytest.fixture(scope="module")
def qwen3() -> PreTrainedTokenizerBase:
    return named_tokenizer("toy-qwen3")


@pytest.mark.parametrize("messages", WITH_REASONING)
def test_qwen3_drops_past_reasoning_as_upstream(qwen3: PreTrainedTokenizerBase, messages: list[Json]) -> None:
    for cut in range(1, len(messages) + 1):
        theirs = text_of(qwen3, messages[:cut], chat_template=upstream(qwen3))
        assert text_of(qwen3, messages[:cut], preserve_thinking=False) == theirs


def test_answer_without_reasoning_has_an_empty_think_block(qwen3: PreTrainedTokenizerBase) -> None:
    assert supervised(qwen3, CHAT[:2], enable_thinking=True) == ["<think>\n\n</think>\n\nHello.<|im_end|>"]
    assert text_of(qwen3, CHAT[:2]) == text_of(qwen3, CHAT[:2], chat_template=upstream(qwen3))


def test_think_block_of_no_think_mode_is_prefill(qwen3: PreTrainedTokenizerBase) -> None:
    turns = [CHAT[0], answer("Hello.", reasoning_content="Hm."), *CHAT[2:]]
    assert supervised(qwen3, turns[:2], enable_thinking=False) == ["Hello.<|im_end|>"]
    text = text_of(qwen3, turns, enable_thinking=False, add_generation_prompt=True)
    assert text.count("<|im_start|>assistant\n<think>\n\n</think>\n\n") == text.count("<|im_start|>assistant\n") == 2


# Qwen3-Coder


def test_tagged_call_has_the_canonical_spelling(coder: PreTrainedTokenizerBase) -> None:
    arguments = {"s": "one\n two", "e": "", "n": 3, "f": 0.5, "b": True, "z": None, "o": {"ä": "</b>"}, "l": [1, "a"]}
    assert supervised(coder, [CHAT[0], answer(" Look. ", call("f", arguments), call("g", {}))]) == [
        "Look.\n\n<tool_call>\n<function=f>\n<parameter=s>\none\n two\n</parameter>\n<parameter=e>\n\n</parameter>\n"
        "<parameter=n>\n3\n</parameter>\n<parameter=f>\n0.5\n</parameter>\n<parameter=b>\ntrue\n</parameter>\n"
        '<parameter=z>\nnull\n</parameter>\n<parameter=o>\n{"ä": "</b>"}\n</parameter>\n<parameter=l>\n[1, "a"]\n</parameter>\n'
        "</function>\n</tool_call>\n<tool_call>\n<function=g>\n</function>\n</tool_call><|im_end|>"
    ]


def test_tagged_results_share_a_user_turn(coder: PreTrainedTokenizerBase) -> None:
    opened = "<|im_start|>user\n<tool_response>\n1\n</tool_response>\n"
    assert f"</tool_call><|im_end|>\n{opened}<tool_response>\n1\n</tool_response>\n<|im_end|>\n" in text_of(coder, CALLED)
    assert text_of(coder, [RESULT]) == f"{opened}<|im_end|>\n"


@pytest.mark.parametrize("arguments", ["", None, "{}", {}])
def test_tagged_call_without_arguments(coder: PreTrainedTokenizerBase, arguments: object) -> None:
    turn = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}
    assert "<function=f>\n</function>\n" in text_of(coder, [CHAT[0], turn])


def test_tagged_arguments_as_text_are_refused(coder: PreTrainedTokenizerBase) -> None:
    with pytest.raises(TemplateError, match="arguments of f are a text"):
        text_of(coder, [CHAT[0], answer("", call("f", '{"x": 1}'))])


@pytest.mark.parametrize("absent", [{}, {"description": None, "parameters": None}, {"description": ""}])
def test_tool_without_description_prints_none(coder: PreTrainedTokenizerBase, absent: Json) -> None:
    text = text_of(coder, CHAT, tools=[{"type": "function", "function": {"name": "f", **absent}}])
    assert "<tools>\n<function>\n<name>f</name>\n<parameters>\n</parameters>\n</function>\n</tools>" in text
    fields = {"type": "object", "properties": {"any": True, "x": {"type": "string", "description": None}}}
    text = text_of(coder, CHAT, tools=[{"type": "function", "function": {"name": "f", "parameters": fields}}])
    assert "<parameter>\n<name>any</name>\n</parameter>\n<parameter>\n<name>x</name>\n<type>string</type>\n</parameter>" in text


def test_values_of_a_schema_are_json(coder: PreTrainedTokenizerBase) -> None:
    schema = {"type": "object", "properties": {"x": {"type": ["integer", "null"], "default": None}}, "additionalProperties": False}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}]
    ours, theirs = text_of(coder, CHAT, tools=tools), text_of(coder, CHAT, tools=tools, chat_template=upstream(coder))
    for json_text, python in (
        ('<type>["integer", "null"]</type>', "<type>['integer', 'null']</type>"),
        ("<default>null</default>", "<default>None</default>"),
        ("<additionalProperties>false<", "<additionalProperties>False<"),
        ("<strict>true</strict>", "<strict>True</strict>"),
    ):
        assert json_text in ours
        theirs = theirs.replace(python, json_text)
    assert ours == theirs

"""SmolLM3's template: each divergence from upstream, and that the rest is upstream's."""

from __future__ import annotations

import json
import re

import pytest
from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from data.render import render
from data.wire import read_ids
from tests.chats import CHAT, WEATHER, Json, call, spans, supervised, text_of, transcript, upstream
from tests.conftest import named_tokenizer

PREFILL = "<think>\n\n</think>\n"
SYSTEMS = [
    "",
    "Be brief.",
    "Be brief. /no_think",
    "/no_think\nBe brief.",
    "/think Be /no_think brief.",
    "/think",
    "Only this. /system_override",
]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("tools", [None, [WEATHER]])
def test_smollm3_is_upstream_in_the_rest(smollm3: PreTrainedTokenizerBase, system: str, thinking: bool, tools: list[Json] | None) -> None:
    messages = ([{"role": "system", "content": system}] if system else []) + CHAT
    same: Json = {"tools": tools, "enable_thinking": thinking, "add_generation_prompt": True}
    theirs = text_of(smollm3, messages, chat_template=upstream(smollm3), **same)
    theirs = re.sub(r"Today Date: .*", "Today Date: 01 May 2026", theirs)
    if tools:
        theirs = theirs.replace(str(WEATHER), json.dumps(WEATHER))
    elif "/system_override" not in system:
        theirs = theirs.replace("\n\n<|im_start|>user", "\n\n<|im_end|>\n<|im_start|>user", 1)
    assert text_of(smollm3, messages, today="01 May 2026", **same) == theirs


@pytest.mark.parametrize("tools", [None, [WEATHER]])
@pytest.mark.parametrize("system", SYSTEMS)
def test_system_turn_is_closed(smollm3: PreTrainedTokenizerBase, system: str, tools: list[Json] | None) -> None:
    text = text_of(smollm3, [{"role": "system", "content": system}, CHAT[0]], tools=tools)
    assert text.startswith("<|im_start|>system\n")
    assert text.endswith("<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n")
    assert text.count("<|im_start|>") == text.count("<|im_end|>") == 2


@pytest.mark.parametrize("system", ["Read /think.md", "a/think", "/no_thinking", "/think/no_think", "x/no_think /think/x", "/no_think/"])
def test_reasoning_flag_inside_a_word_is_text(smollm3: PreTrainedTokenizerBase, system: str) -> None:
    for thinking in (True, False):
        text = text_of(smollm3, [{"role": "system", "content": system}, CHAT[0]], enable_thinking=thinking)
        assert f"Reasoning Mode: {'/think' if thinking else '/no_think'}\n" in text
        assert f"## Custom Instructions\n\n{system}\n\n" in text


@pytest.mark.parametrize(
    ("system", "mode", "left"),
    [
        ("Be brief. /no_think", "/no_think", "Be brief."),
        ("Be\t/no_think\nbrief.", "/no_think", "Be\t\nbrief."),
        ("Read a/think /think now", "/think", "Read a/think  now"),
        ("x /think /think /no_think", "/no_think", "x"),
    ],
)
def test_reasoning_flag_as_a_word_sets_the_mode(smollm3: PreTrainedTokenizerBase, system: str, mode: str, left: str) -> None:
    for thinking in (True, False):
        text = text_of(smollm3, [{"role": "system", "content": system}, CHAT[0]], enable_thinking=thinking)
        assert f"Reasoning Mode: {mode}\n\n## Custom Instructions\n\n{left}\n\n<|im_end|>" in text


def test_date_stands_only_where_given(smollm3: PreTrainedTokenizerBase) -> None:
    no_clock: Json = {"strftime_now": None}
    with pytest.raises(TypeError):
        text_of(smollm3, CHAT, chat_template=upstream(smollm3), **no_clock)
    assert "Date: June 2025\nReasoning Mode" in text_of(smollm3, CHAT, **no_clock)
    assert "\nToday Date: 01 May 2026\nReasoning Mode" in text_of(smollm3, CHAT, today="01 May 2026", **no_clock)


def test_prefill_is_outside_the_loss(smollm3: PreTrainedTokenizerBase) -> None:
    assert supervised(smollm3, CHAT[:2], enable_thinking=False) == ["Hello.<|im_end|>"]
    text = text_of(smollm3, CHAT, enable_thinking=False, add_generation_prompt=True)
    assert text.count(f"<|im_start|>assistant\n{PREFILL}") == text.count("<|im_start|>assistant\n") == 2
    assert text.endswith(PREFILL)


def test_reasoning_is_supervised_in_think_mode(smollm3: PreTrainedTokenizerBase) -> None:
    turn = {"role": "assistant", "content": "4", "reasoning_content": "2 and 2\n", "tool_calls": [call("f", {})]}
    answer = '4\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call><|im_end|>'
    assert supervised(smollm3, [CHAT[0], turn]) == ["<think>\n2 and 2\n</think>\n" + answer]
    assert supervised(smollm3, [CHAT[0], turn | {"reasoning_content": " "}]) == [answer]
    assert supervised(smollm3, [CHAT[0], turn], enable_thinking=False) == [answer]


def test_developer_and_later_system_turns_are_kept(smollm3: PreTrainedTokenizerBase) -> None:
    first = [{"role": role, "content": "Be brief. /no_think"} for role in ("system", "developer")]
    assert text_of(smollm3, [first[1], *CHAT]) == text_of(smollm3, [first[0], *CHAT])
    for role in ("system", "developer"):
        text = text_of(smollm3, [*CHAT, {"role": role, "content": "Stop. /no_think"}])
        assert text.endswith("\n<|im_start|>system\nStop. /no_think<|im_end|>\n")
        assert "Reasoning Mode: /think" in text


def test_python_tools_are_refused(smollm3: PreTrainedTokenizerBase) -> None:
    with pytest.raises(TemplateError, match="python_tools"):
        text_of(smollm3, CHAT, python_tools=[WEATHER])
    assert text_of(smollm3, CHAT, xml_tools=[WEATHER]) == text_of(smollm3, CHAT, tools=[WEATHER])


# What a field note about this model claims, see the README


def test_upstream_think_prompt_is_bare_and_no_think_is_prefilled(smollm3: PreTrainedTokenizerBase) -> None:
    """Ours has the same direction; without the prefill the two prompts end alike."""
    for template in (upstream(smollm3), smollm3.chat_template):
        think, no_think = (
            text_of(smollm3, CHAT, chat_template=template, enable_thinking=thinking, add_generation_prompt=True)
            for thinking in (True, False)
        )
        assert think.endswith("<|im_end|>\n<|im_start|>assistant\n")
        assert no_think.endswith(f"<|im_end|>\n<|im_start|>assistant\n{PREFILL}")


def test_no_think_answer_holds_no_think_token(smollm3: PreTrainedTokenizerBase) -> None:
    """So a parser that waits for the closing token in the output, as deepseek_r1's does, takes all of it for reasoning."""
    turn = {"role": "assistant", "content": "", "tool_calls": [call("f", {})]}
    for answer in (CHAT[1], turn):
        (span,) = spans(render(transcript([CHAT[0], answer]), smollm3, enable_thinking=False))
        assert not {smollm3.convert_tokens_to_ids(text) for text in ("<think>", "</think>")} & set(span)


def test_ids_of_the_released_tokenizer() -> None:
    tokenizer = named_tokenizer("smollm3")
    assert tokenizer.convert_ids_to_tokens(128002) == "<think>"
    assert (read_ids(tokenizer).call_open, read_ids(tokenizer).call_close) == (128015, 128016)

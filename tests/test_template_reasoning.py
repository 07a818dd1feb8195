"""`preserve_thinking`: whether the reasoning of past turns stays in the prompt, in every template that writes reasoning."""

from __future__ import annotations

import re

from transformers import PreTrainedTokenizerBase

from data.render import prompt_ids, turn_ids
from data.tokenizer import TEMPLATES
from tests.chats import call, text_of

TURNS = [
    {"role": "user", "content": "Go."},
    {"role": "assistant", "content": "One.", "reasoning_content": "first"},
    {"role": "user", "content": "On."},
    {"role": "assistant", "content": "", "reasoning_content": "second", "tool_calls": [call("f", {})]},
    {"role": "tool", "content": "1"},
    {"role": "assistant", "content": "Two.", "reasoning_content": "third"},
]


def test_past_reasoning_stays_unless_told_otherwise(thinker: PreTrainedTokenizerBase) -> None:
    blocks = re.compile(r"<think>\n(\w+)\n</think>\n")
    assert blocks.findall(text_of(thinker, TURNS)) == ["first", "second", "third"]
    assert text_of(thinker, TURNS, preserve_thinking=True) == text_of(thinker, TURNS)
    assert blocks.findall(text_of(thinker, TURNS, preserve_thinking=False)) == ["second", "third"]
    assert text_of(thinker, TURNS, preserve_thinking=False).count("<|im_start|>assistant\nOne.<|im_end|>") == 1


def test_dropping_past_reasoning_breaks_the_prefix(thinker: PreTrainedTokenizerBase) -> None:
    """The next question changes the rendering of the turn before it; within a run of tools nothing changes."""
    for preserve, holds in ((True, True), (False, False)):
        turn = turn_ids(TURNS[:2], None, thinker, preserve_thinking=preserve)
        asked = prompt_ids(TURNS[:3], None, thinker, preserve_thinking=preserve)
        assert (asked[: len(turn)] == turn) is holds
        calling = turn_ids(TURNS[:4], None, thinker, preserve_thinking=preserve)
        assert prompt_ids(TURNS[:5], None, thinker, preserve_thinking=preserve)[: len(calling)] == calling


def test_every_template_that_writes_reasoning_has_the_switch() -> None:
    ours = {path.parent.name: path.read_text() for path in TEMPLATES.glob("*/chat_template.jinja")}
    assert {name for name, text in ours.items() if "reasoning_content" in text} == {"smollm3", "qwen3"}
    assert {name for name, text in ours.items() if "preserve_thinking | default(true)" in text} == {"smollm3", "qwen3"}

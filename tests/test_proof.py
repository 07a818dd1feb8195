"""The proof of supervision accepts our templates and names the message where another fails."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from data.render import Rendered, render
from data.tokenizer import TEMPLATES
from data.transcript import Transcript
from data.wire import read_ids
from train.proof import Proven, SupervisionError, prove

TOOL = {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}}
CALL = {"type": "function", "function": {"name": "now", "arguments": {}}}
TOOL_CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What time is it?"},
    {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL, CALL]},
    {"role": "tool", "content": "12:00"},
    {"role": "tool", "content": "12:01"},
    {"role": "assistant", "content": "It is noon."},
]
TEXT_CHAT = [TOOL_CHAT[1], TOOL_CHAT[5]]

# Correct but for the header, which it puts inside the loss.
HEADER_INSIDE = """
{%- for message in messages -%}
  {%- if message.role == "assistant" -%}
    {%- generation -%}
      {{- "<|im_start|>assistant\n" + message.content -}}
      {%- for tool_call in message.tool_calls or [] -%}
        {{- "\n<tool_call>\n" + tool_call.function | tojson + "\n</tool_call>" -}}
      {%- endfor -%}
      {{- "<|im_end|>" -}}
    {%- endgeneration -%}
    {{- "\n" -}}
  {%- else -%}
    {{- "<|im_start|>" + message.role + "\n" + message.content + "<|im_end|>\n" -}}
  {%- endif -%}
{%- endfor -%}
"""


def transcript(messages: list[dict[str, Any]]) -> Transcript:
    return Transcript.model_validate({"id": "t", "tools": [TOOL], "messages": messages})


def proven(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, Any]], template: str | None = None) -> Proven:
    conversation = transcript(messages)
    rendered = render(conversation, tokenizer, chat_template=template)
    return prove(conversation, rendered, tokenizer, read_ids(tokenizer))


def test_our_template_is_proven(tokenizer: PreTrainedTokenizerBase) -> None:
    assert proven(tokenizer, TOOL_CHAT) == Proven(turns=2, calls=2)
    assert proven(tokenizer, TEXT_CHAT) == Proven(turns=1, calls=0)


def test_no_think_by_system_text_is_proven(smollm3: PreTrainedTokenizerBase) -> None:
    assert proven(smollm3, [{"role": "system", "content": "/no_think"}, *TOOL_CHAT[1:]]) == Proven(turns=2, calls=2)


def test_upstream_of_smollm3_drops_the_calls(smollm3: PreTrainedTokenizerBase) -> None:
    upstream = (TEMPLATES / "smollm3" / "upstream.jinja").read_text()
    with pytest.raises(SupervisionError, match=r"^message 2: 2 calls, but 0 opening ids"):
        proven(smollm3, TOOL_CHAT, upstream)
    with pytest.raises(SupervisionError, match=r"^message 1: "):
        proven(smollm3, TEXT_CHAT, upstream)


def test_header_inside_the_loss_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(SupervisionError, match=r"^message 2: .* header"):
        proven(tokenizer, TOOL_CHAT, HEADER_INSIDE)


def test_template_without_loss_is_refused(smollm2: PreTrainedTokenizerBase) -> None:
    conversation = transcript(TOOL_CHAT)
    ids = render(conversation, smollm2).input_ids
    with pytest.raises(SupervisionError, match="2 assistant turns, 0 supervised spans"):
        prove(conversation, Rendered(ids, [0] * len(ids)), smollm2, read_ids(smollm2))


def test_end_of_turn_outside_the_loss_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    conversation = transcript(TOOL_CHAT)
    rendered = render(conversation, tokenizer)
    stop = read_ids(tokenizer).turn_close
    masks = [bit and token != stop for token, bit in zip(rendered.input_ids, rendered.assistant_masks, strict=True)]
    with pytest.raises(SupervisionError, match=r"^message 2: .* do not end with the end-of-turn id"):
        prove(conversation, Rendered(rendered.input_ids, [int(bit) for bit in masks]), tokenizer, read_ids(tokenizer))


def test_other_arguments_than_the_transcript_are_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    rendered = render(transcript(TOOL_CHAT), tokenizer)
    other = {"type": "function", "function": {"name": "now", "arguments": {"zone": "UTC"}}}
    changed = transcript([*TOOL_CHAT[:2], {**TOOL_CHAT[2], "tool_calls": [CALL, other]}, *TOOL_CHAT[3:]])
    with pytest.raises(SupervisionError, match=r"^message 2: supervised calls read"):
        prove(changed, rendered, tokenizer, read_ids(tokenizer))


def test_wire_text_in_an_answer_is_text(tokenizer: PreTrainedTokenizerBase) -> None:
    assert proven(tokenizer, [TOOL_CHAT[1], {"role": "assistant", "content": "Write <tool_call> first."}]) == Proven(turns=1, calls=0)


def test_other_prompt_than_the_server_feeds_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    conversation = transcript(TOOL_CHAT)
    rendered = render(conversation, tokenizer)
    served = transcript([{"role": "system", "content": "Be verbose."}, *TOOL_CHAT[1:]])
    with pytest.raises(SupervisionError, match=r"^message 5: .* not the generation prompt; first difference at \d+: trained ' ?brief"):
        prove(served, rendered, tokenizer, read_ids(tokenizer))


THOUGHTFUL = [TOOL_CHAT[1], {"role": "assistant", "content": "Noon.", "reasoning_content": "The user wants the time."}]


def test_reasoning_is_proven(smollm3: PreTrainedTokenizerBase) -> None:
    assert proven(smollm3, THOUGHTFUL) == Proven(turns=1, calls=0)
    rendered = render(transcript(THOUGHTFUL), smollm3)
    other = transcript([THOUGHTFUL[0], {**THOUGHTFUL[1], "reasoning_content": "Something else."}])
    with pytest.raises(SupervisionError, match=r"^message 1: supervised reasoning reads 'The user wants the time\.'"):
        prove(other, rendered, smollm3, read_ids(smollm3))


def test_conversation_without_reasoning_is_in_no_think_mode(smollm3: PreTrainedTokenizerBase) -> None:
    bare = [THOUGHTFUL[0], {"role": "assistant", "content": "Noon."}]
    assert "Reasoning Mode: /no_think" in smollm3.decode(render(transcript(bare), smollm3).input_ids)
    assert "Reasoning Mode: /think" in smollm3.decode(render(transcript(THOUGHTFUL), smollm3).input_ids)

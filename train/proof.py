"""The proof of supervision: what the model is trained to emit, read back as a server would, is what the transcript says.

For each assistant turn, in order: the supervised span starts where sampling starts (its ids follow the generation prompt of the
conversation before it), ends with the end-of-turn id, and its strict reading has exactly the turn's calls and text.
"""

from __future__ import annotations

from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from data.render import Rendered, prompt_ids
from data.response import read_response
from data.transcript import AssistantMessage, Transcript
from data.wire import WireIds


class SupervisionError(ValueError):
    """A turn whose supervised ids are not what the transcript says."""


class Proven(NamedTuple):
    turns: int
    calls: int


def prove(transcript: Transcript, rendered: Rendered, tokenizer: PreTrainedTokenizerBase, wire: WireIds) -> Proven:
    """Prove every assistant turn of one rendered transcript, or raise `SupervisionError` that names the first that fails."""
    turns = [(i, message) for i, message in enumerate(transcript.messages) if isinstance(message, AssistantMessage)]
    spans = rendered.spans()
    if len(spans) != len(turns):
        raise SupervisionError(f"{len(turns)} assistant turns, {len(spans)} supervised spans")
    for (index, message), (start, end) in zip(turns, spans, strict=True):
        _prove_turn(index, message, rendered.input_ids[start:end], tokenizer, wire)
    _prove_prompt(transcript, rendered, turns[-1][0], spans[-1][0], tokenizer)
    return Proven(len(turns), len(transcript.calls()))


def _prove_turn(index: int, message: AssistantMessage, span: list[int], tokenizer: PreTrainedTokenizerBase, wire: WireIds) -> None:
    expected = [(call.function.name, call.function.arguments) for call in message.tool_calls]
    if span.count(wire.call_open) < len(expected):
        raise SupervisionError(
            f"message {index}: {len(expected)} calls, but {span.count(wire.call_open)} opening ids ({wire.call_open}) among its supervised "
            f"ids, which read {tokenizer.decode(span)[:120]!r}"
        )
    if span[-1] != wire.turn_close or wire.turn_close in span[:-1]:
        raise SupervisionError(f"message {index}: the supervised ids do not end with the end-of-turn id {wire.turn_close}: {span[-3:]}")
    if span[0] == wire.turn_open:
        raise SupervisionError(f"message {index}: the supervised ids begin with the turn's header, which the server supplies")
    response = read_response(span, tokenizer, wire)
    if response.malformed:
        raise SupervisionError(
            f"message {index}: supervised call reads as {response.malformed[0].defect}: {response.malformed[0].text[:120]!r}"
        )
    found = [(call.name, call.arguments) for call in response.calls]
    if found != expected:
        raise SupervisionError(f"message {index}: supervised calls read {found}, the transcript says {expected}")
    if response.content != (message.content or "").strip():
        raise SupervisionError(
            f"message {index}: supervised text reads {response.content[:80]!r}, the transcript says {(message.content or '')[:80]!r}"
        )
    if (response.reasoning or "") != (message.reasoning_content or "").strip():
        raise SupervisionError(
            f"message {index}: supervised reasoning reads {response.reasoning!r}, the transcript says {message.reasoning_content!r}"
        )


def _prove_prompt(transcript: Transcript, rendered: Rendered, index: int, start: int, tokenizer: PreTrainedTokenizerBase) -> None:
    """What stands before the last supervised span is the generation prompt that a server would feed."""
    prompt = prompt_ids(transcript.chat()[:index], transcript.tool_dicts(), tokenizer, enable_thinking=transcript.reasons())
    if rendered.input_ids[:start] != prompt:
        at = next((i for i, (a, b) in enumerate(zip(rendered.input_ids, prompt, strict=False)) if a != b), min(start, len(prompt)))
        raise SupervisionError(
            f"message {index}: the ids before the loss are not the generation prompt; first difference at {at}: "
            f"trained {tokenizer.decode(rendered.input_ids[at : at + 8])!r}, served {tokenizer.decode(prompt[at : at + 8])!r}"
        )

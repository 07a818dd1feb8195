"""Reads generated token ids strictly: content, reasoning, calls, and malformed blocks with their reason. Never raises.

A call is what stands between the opening and the closing id of the wire format, as generated. Its body must be one JSON object
with exactly `name` and `arguments`, without duplicate keys. The same text spelled with other ids is content.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from data.wire import WireIds


class Defect(StrEnum):
    """Why a block between wire tokens is not a call."""

    UNCLOSED = "unclosed"
    NOT_JSON = "not_json"
    DUPLICATE_KEY = "duplicate_key"
    WRONG_SHAPE = "wrong_shape"
    UNOPENED = "unopened"


@dataclass(frozen=True)
class Call:
    name: str
    arguments: dict[str, Any]
    in_reasoning: bool = False


@dataclass(frozen=True)
class Malformed:
    """A block that is not a call: its raw ids, its text, and why."""

    ids: tuple[int, ...]
    text: str
    defect: Defect


@dataclass(frozen=True)
class Response:
    """The strict reading of one completion. `ended` tells whether the model emitted the end of the turn itself."""

    content: str
    reasoning: str | None
    calls: tuple[Call, ...]
    malformed: tuple[Malformed, ...]
    ended: bool


class _DuplicateKey(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKey
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def read_call(text: str, in_reasoning: bool = False) -> Call | Defect:
    """Read the body of one call, strictly."""
    try:
        body = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except _DuplicateKey:
        return Defect.DUPLICATE_KEY
    except (ValueError, RecursionError):
        return Defect.NOT_JSON
    if not isinstance(body, dict) or set(body) != {"name", "arguments"}:
        return Defect.WRONG_SHAPE
    if not isinstance(body["name"], str) or not isinstance(body["arguments"], dict):
        return Defect.WRONG_SHAPE
    return Call(body["name"], body["arguments"], in_reasoning)


class _Reader:
    """Walks the ids once; regions are content, reasoning and call."""

    def __init__(self, tokenizer: Any, wire: WireIds, in_reasoning: bool) -> None:
        self.tokenizer, self.wire = tokenizer, wire
        self.in_reasoning = in_reasoning
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.saw_reasoning = in_reasoning
        self.calls: list[Call] = []
        self.malformed: list[Malformed] = []
        self.region: list[int] = []
        self.in_call = False

    def text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False)

    def flush(self) -> None:
        """End a region of text."""
        if self.region:
            (self.reasoning if self.in_reasoning else self.content).append(self.text(self.region))
        self.region = []

    def spoil(self, ids: list[int], defect: Defect) -> None:
        self.malformed.append(Malformed(tuple(ids), self.text(ids), defect))

    def close_call(self) -> None:
        read = read_call(self.text(self.region[1:]), self.in_reasoning)
        if isinstance(read, Call):
            self.calls.append(read)
        else:
            self.spoil([*self.region, self.wire.call_close], read)
        self.region, self.in_call = [], False

    def step(self, token: int) -> None:
        wire = self.wire
        if token == wire.call_open:
            self.abandon()
            self.region, self.in_call = [token], True
        elif token == wire.call_close and self.in_call:
            self.close_call()
        elif token == wire.call_close:
            self.flush()
            self.spoil([token], Defect.UNOPENED)
        elif token in (wire.think_open, wire.think_close) and not self.in_call:
            self.flush()
            self.in_reasoning = token == wire.think_open
            self.saw_reasoning = True
        else:
            self.region.append(token)

    def abandon(self) -> None:
        """End whatever region is open: a call that is still open was never closed."""
        if self.in_call:
            self.spoil(self.region, Defect.UNCLOSED)
            self.region, self.in_call = [], False
        self.flush()


def read_response(ids: list[int], tokenizer: Any, wire: WireIds, in_reasoning: bool = False) -> Response:
    """Read one completion.

    Args:
        ids: generated ids (n,), with or without the end-of-turn id; what follows the first end of turn is ignored.
        tokenizer: anything with `decode(ids, skip_special_tokens=…)`.
        wire: ids of the wire format in this tokenizer.
        in_reasoning: whether the generation prompt left a think block open.
    """
    ended = wire.turn_close in ids
    if ended:
        ids = ids[: ids.index(wire.turn_close)]
    reader = _Reader(tokenizer, wire, in_reasoning)
    for token in ids:
        reader.step(token)
    reader.abandon()
    return Response(
        content="".join(reader.content).strip(),
        reasoning="".join(reader.reasoning).strip() if reader.saw_reasoning else None,
        calls=tuple(reader.calls),
        malformed=tuple(reader.malformed),
        ended=ended,
    )

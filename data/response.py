"""Reads generated token ids strictly, one id at a time: text, reasoning, calls, and malformed blocks with their reason. Never raises.

A call is what stands between the opening and the closing id of the wire format, as generated; the same text spelled with other ids is
text. A wire id inside a JSON string is data if a well-formed call comes of it; if none does, the block ends at the first such id, and
what follows is read without that rule. So every id is looked at twice at most, and no call swallows its siblings.

`Reader` takes ids as they come and returns events for a user interface; `read_response` feeds it all of them. It knows no chunks, so
streaming and one-shot cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from data.call_body import Call, Defect, JsonScanner, read_call, schemas_of
from data.transcript import Json
from data.wire import HERMES, WireFormat, WireIds

__all__ = ["Call", "Defect", "Event", "Malformed", "Reader", "Response", "Segment", "opens_reasoning", "read_response", "read_text"]


@dataclass(frozen=True)
class Malformed:
    """A block that is not a call: its raw ids, its text, and why."""

    ids: tuple[int, ...]
    text: str
    defect: Defect


@dataclass(frozen=True)
class Segment:
    """One piece of the completion, in order; `value` is text, a `Call` or a `Malformed`."""

    kind: Literal["text", "reasoning", "call", "malformed"]
    value: str | Call | Malformed


@dataclass(frozen=True)
class Event:
    """What one more id made known.

    `text` and `reasoning` carry a piece of text; `call_name` the name of call `index`; `arguments` a piece of its arguments' JSON;
    `call` the finished `Call`; `malformed` what a block turned out to be instead. A call that was announced by name may end as malformed.
    """

    kind: Literal["text", "reasoning", "call_name", "arguments", "call", "malformed"]
    value: str | Call | Malformed
    index: int | None = None


@dataclass(frozen=True)
class Response:
    """The strict reading of one completion. `ended` tells whether the model emitted the end of the turn itself."""

    content: str
    reasoning: str | None
    calls: tuple[Call, ...]
    malformed: tuple[Malformed, ...]
    ended: bool
    segments: tuple[Segment, ...] = field(default=(), compare=False)
    from_text: bool = False


def opens_reasoning(prompt: Sequence[int], wire: WireIds) -> bool:
    """Whether a prompt, n ids, leaves a think block of its last turn open for the model to go on with."""
    if wire.think_open is None:
        return False
    for token in reversed(prompt):
        if token == wire.think_open:
            return True
        if token in (wire.think_close, wire.turn_open):
            return False
    return False


class Reader:
    """Reads one completion; feed it the ids one by one, then `finish`."""

    def __init__(
        self, tokenizer: Any, wire: WireIds, in_reasoning: bool = False, tools: list[Json] | None = None, form: WireFormat = HERMES
    ) -> None:
        self.tokenizer, self.wire, self.form = tokenizer, wire, form
        self.schemas = schemas_of(tools)
        self.in_reasoning = self.saw_reasoning = in_reasoning
        self.segments: list[Segment] = []
        self.ended = False
        self._region: list[int] = []  # ids of the open piece of text, or of the open call with its opening id
        self._pending: list[int] = []  # last ids of the region whose text is not whole characters yet
        self._in_call = False
        self._scanner = JsonScanner()
        self._first_hidden: int | None = None  # index in the region of the first wire id that stood inside a string
        self._strings_hide = True
        self._blocks = 0  # calls and malformed blocks so far
        self._events: list[Event] = []

    def feed(self, token: int) -> list[Event]:
        """Take the next generated id; returns what it made known. What follows the end of the turn is ignored."""
        self._events = []
        if not self.ended and token == self.wire.turn_close:
            self._end_turn()
        elif not self.ended:
            self._step(token)
        return self._events

    def finish(self) -> Response:
        """The reading of everything fed so far."""
        if not self.ended:
            self._abandon(Defect.TRUNCATED)
        texts = {kind: [str(piece.value) for piece in self.segments if piece.kind == kind] for kind in ("text", "reasoning")}
        return Response(
            content="".join(texts["text"]).strip(),
            reasoning="".join(texts["reasoning"]).strip() if self.saw_reasoning else None,
            calls=tuple(piece.value for piece in self.segments if isinstance(piece.value, Call)),
            malformed=tuple(piece.value for piece in self.segments if isinstance(piece.value, Malformed)),
            ended=self.ended,
            segments=tuple(self.segments),
        )

    def _step(self, token: int) -> None:
        wire = self.wire
        if self._in_call and self._hidden(token):
            self._grow(token)
        elif token == wire.call_open:
            self._abandon(Defect.UNCLOSED)
            self._region, self._in_call = [token], True
        elif token == wire.call_close and self._in_call:
            self._close_call()
        elif token == wire.call_close:
            self._flush()
            self._add(self._malformed([token], Defect.UNOPENED))
        elif token in (wire.think_open, wire.think_close) and not self._in_call:
            self._flush()
            self.in_reasoning = token == wire.think_open
            self.saw_reasoning = True
        else:
            self._grow(token)

    def _hidden(self, token: int) -> bool:
        """Whether `token` is a wire id inside a JSON string, where it is data."""
        hidden = token in (self.wire.call_open, self.wire.call_close) and self._strings_hide and self._scanner.in_string
        if hidden and self._first_hidden is None:
            self._first_hidden = len(self._region)
        return hidden

    def _grow(self, token: int) -> None:
        self._region.append(token)
        self._pending.append(token)
        text = self._text(self._pending)
        if text.endswith("\ufffd") and len(self._pending) < 8:
            return
        self._pending = []
        if not self._in_call:
            self._events.append(Event("reasoning" if self.in_reasoning else "text", text))
        elif self.form.body == "json":
            self._grow_call(text)

    def _grow_call(self, text: str) -> None:
        known, index = self._scanner.name, self._blocks
        added = self._scanner.feed(text)
        if known is None and self._scanner.name is not None:
            self._events.append(Event("call_name", self._scanner.name, index))
        if added:
            self._events.append(Event("arguments", added, index))

    def _close_call(self) -> None:
        read = read_call(self._text(self._region[1:]), self.form.body, self.schemas)
        if isinstance(read, Defect) and self._first_hidden is not None:
            self._reread()
            self._step(self.wire.call_close)
            return
        block = [*self._region, self.wire.call_close]
        self._reset()
        self._add(replace(read, in_reasoning=self.in_reasoning) if isinstance(read, Call) else self._malformed(block, read))

    def _reread(self) -> None:
        """No call came of the open block: end it at its first hidden wire id, and read what follows again, hiding nothing."""
        assert self._first_hidden is not None
        closed = self._region[self._first_hidden] == self.wire.call_close
        at = self._first_hidden + closed
        block, rest = self._region[:at], self._region[at:]
        self._reset()
        self._strings_hide = False
        read = read_call(self._text(block[1:-1]), self.form.body, self.schemas) if closed else Defect.UNCLOSED
        self._add(self._malformed(block, read if isinstance(read, Defect) else Defect.NOT_JSON))
        for token in rest:
            self._step(token)

    def _malformed(self, block: list[int], defect: Defect) -> Malformed:
        return Malformed(tuple(block), self._text(block), defect)

    def _end_turn(self) -> None:
        self._abandon(Defect.UNCLOSED)
        self.ended = True

    def _abandon(self, defect: Defect) -> None:
        """End whatever is open: a call that is still open was never closed."""
        if self._in_call and self._first_hidden is not None:
            self._reread()
        if self._in_call:
            block = self._region
            self._reset()
            self._add(self._malformed(block, defect))
        self._flush()

    def _flush(self) -> None:
        """End a piece of text."""
        if self._region:
            self.segments.append(Segment("reasoning" if self.in_reasoning else "text", self._text(self._region)))
        self._reset()

    def _reset(self) -> None:
        self._region, self._pending, self._in_call = [], [], False
        self._scanner, self._first_hidden = JsonScanner(), None

    def _add(self, value: Call | Malformed) -> None:
        kind: Literal["call", "malformed"] = "call" if isinstance(value, Call) else "malformed"
        self._events.append(Event(kind, value, self._blocks))
        self.segments.append(Segment(kind, value))
        self._blocks += 1

    def _text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False)


def read_response(
    ids: Sequence[int],
    tokenizer: Any,
    wire: WireIds,
    in_reasoning: bool = False,
    tools: list[Json] | None = None,
    form: WireFormat = HERMES,
) -> Response:
    """Read one completion.

    Args:
        ids: generated ids (n,), with or without the end-of-turn id; what follows the first end of turn is ignored.
        tokenizer: anything with `decode(ids, skip_special_tokens=…)`, of a byte-level vocabulary.
        wire: ids of the wire format in this tokenizer.
        in_reasoning: whether the generation prompt left a think block open, see `opens_reasoning`.
        tools: the tools offered, in OpenAI form; with them, a call of an unknown tool or without a required argument is malformed.
        form: the wire format, which says how a call's body is spelled.
    """
    reader = Reader(tokenizer, wire, in_reasoning, tools, form)
    for token in ids:
        reader.feed(token)
    return reader.finish()


def read_text(text: str, tokenizer: Any, wire: WireIds, **options: Any) -> Response:
    """Read text instead of ids: marked `from_text`, because text cannot tell a native call from a typed one."""
    return replace(read_response(tokenizer.encode(text, add_special_tokens=False), tokenizer, wire, **options), from_text=True)

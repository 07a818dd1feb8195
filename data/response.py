"""Reads generated token ids strictly, one id at a time: text, reasoning, calls, and malformed blocks with their reason. Never raises.

A call is what stands between the opening and the closing id of the wire format, as generated; the same text spelled with other ids is
text. A wire id inside a JSON string is data if a well-formed call comes of it; if none does, the block ends at the first such id, and
what follows is read without that rule. So every id is looked at twice at most, and no call swallows its siblings.

`Reader` takes ids as they come and returns events for a user interface; `read_response` feeds it all of them. It knows no chunks, so
streaming and one-shot cannot differ.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from data.call_body import BODIES, Call, Defect, Scanner, read_call, schemas_of
from data.transcript import Json
from data.wire import WireIds

__all__ = ["Call", "Defect", "Event", "Malformed", "Reader", "Response", "Segment", "opens_reasoning", "read_response", "read_text"]

MOST_PENDING = 8  # ids that spell no whole character at their end before those that cannot be part of one are let go


@dataclass(frozen=True)
class Malformed:
    """A block that is not a call: its raw ids, its text, and why."""

    ids: tuple[int, ...]
    text: str
    defect: Defect


class Segment(NamedTuple):
    """One piece of the completion, in order: its ids are `ids[start:end]`. Between segments stand think tokens only.

    `value` is text, a `Call` or a `Malformed`.
    """

    kind: Literal["text", "reasoning", "call", "malformed"]
    value: str | Call | Malformed
    start: int
    end: int


class Event(NamedTuple):
    """What one more id made known.

    `text` and `reasoning` carry a piece of text; `call_name` the name of the call with this index; `arguments` a piece of its arguments
    as they are spelled; `call` the finished `Call`; `malformed` what a block turned out to be instead. A call that was announced by name
    may end as malformed.
    """

    kind: Literal["text", "reasoning", "call_name", "arguments", "call", "malformed"]
    value: str | Call | Malformed
    call_index: int | None = None


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


class Texts(dict[int, str | None]):
    """Text of each id that spells whole characters, filled as ids are met; None for wire ids and parts of a character."""

    def __init__(self, tokenizer: Any, wire: WireIds) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.wire = {wire.turn_close, wire.call_open, wire.call_close, wire.think_open, wire.think_close}

    def __missing__(self, token: int) -> str | None:
        text = None if token in self.wire else self.tokenizer.decode([token], skip_special_tokens=False)
        self[token] = None if text is None or "\ufffd" in text else text
        return self[token]


@functools.lru_cache(maxsize=16)
def texts_of(tokenizer: Any, wire: WireIds) -> Texts:
    """One table for all readers of a tokenizer: text is looked up, not decoded, from the second time on."""
    return Texts(tokenizer, wire)


class Reader:
    """Reads one completion: `feed` it the ids one by one, `close` it for the last events, `finish` for the whole reading."""

    def __init__(self, tokenizer: Any, wire: WireIds, in_reasoning: bool = False, tools: list[Json] | None = None) -> None:
        self.tokenizer, self.wire = tokenizer, wire
        self.schemas = schemas_of(tools)
        self.saw_reasoning = False
        self._set_reasoning(in_reasoning)
        self.segments: list[Segment] = []
        self.ended = False
        self._texts, self._body = texts_of(tokenizer, wire), BODIES[wire.form.body]
        self._read = 0  # ids in segments and think tokens so far: where the open region starts
        self._region: list[int] = []  # ids of the open piece of text, or of the open call with its opening id
        self._pieces: list[str] = []  # their text
        self._pending: list[int] = []  # last ids of the region, whose text is not whole characters yet
        self._scanner: Scanner | None = None  # of the open call
        self._first_hidden: int | None = None  # index in the region of the first wire id that stood inside a string
        self._named = False  # whether its name is known
        self._strings_hide = True
        self._unusual = False  # whether the next id cannot simply be looked up: after the end, or within a character
        self._blocks = 0  # calls and malformed blocks so far
        self._events: list[Event] = []

    def feed(self, token: int) -> list[Event]:
        """Take the next generated id; returns what it made known. What follows the end of the turn is ignored."""
        text = self._texts[token]
        if text is None or self._unusual:
            return self._feed_unusual(token)
        self._region.append(token)
        self._pieces.append(text)
        if self._scanner is None:
            return [Event(self._kind, text)]
        added = self._scanner.feed(text)
        if self._named:
            return [Event("arguments", added, self._blocks)] if added else []
        return self._grow_head(added)

    def _feed_unusual(self, token: int) -> list[Event]:
        """Wire ids, parts of characters, and what follows them."""
        self._events = []
        if self.ended:
            pass
        elif token == self.wire.turn_close:
            self._end_turn()
        else:
            self._step(token)
        self._unusual = self.ended or bool(self._pending)
        return self._events

    def close(self) -> list[Event]:
        """No more ids come: end what is still open, and return what that makes known."""
        self._events = []
        if not self.ended:
            self._abandon(Defect.TRUNCATED)
        return self._events

    def finish(self) -> Response:
        """The reading of everything fed so far; closes the reader."""
        self.close()
        texts = {kind: [str(piece.value) for piece in self.segments if piece.kind == kind] for kind in ("text", "reasoning")}
        return Response(
            content="".join(texts["text"]).strip(),
            reasoning="".join(texts["reasoning"]).strip() if self.saw_reasoning else None,
            calls=tuple(piece.value for piece in self.segments if isinstance(piece.value, Call)),
            malformed=tuple(piece.value for piece in self.segments if isinstance(piece.value, Malformed)),
            ended=self.ended,
            segments=tuple(self.segments),
        )

    def _set_reasoning(self, on: bool) -> None:
        self.in_reasoning, self.saw_reasoning = on, self.saw_reasoning or on
        self._kind: Literal["text", "reasoning"] = "reasoning" if on else "text"

    def _step(self, token: int) -> None:
        """Any id but the end of the turn."""
        wire = self.wire
        if token == wire.call_open and not self._hides(token):
            self._abandon(Defect.UNCLOSED)
            self._open_call(token)
        elif token == wire.call_close and not self._hides(token):
            self._close_call()
        elif token in (wire.think_open, wire.think_close) and not self._scanner:
            self._flush()
            self._read += 1
            self._set_reasoning(token == wire.think_open)
        else:
            self._region.append(token)
            self._pending.append(token)
            text = self._decoded(self._pending)
            if not text.endswith("\ufffd"):
                self._pending = []
                self._grow(text)
            elif len(self._pending) == MOST_PENDING:
                self._let_go(text)

    def _let_go(self, text: str) -> None:
        """Of pending ids, all but those that may still be the beginning of a character: the first cut that changes no text."""
        for at in range(len(self._pending) - 1, 0, -1):
            head, tail = self._decoded(self._pending[:at]), self._decoded(self._pending[at:])
            if head + tail == text:
                self._pending = self._pending[at:]
                self._grow(head)
                return
        self._pending = []
        self._grow(text)

    def _hides(self, token: int) -> bool:
        """Whether the wire id `token` stands inside a JSON string, where it is data."""
        hidden = self._strings_hide and self._scanner is not None and self._scanner.in_string
        if hidden and self._first_hidden is None:
            self._first_hidden = len(self._region)
        return hidden

    def _open_call(self, token: int) -> None:
        self._region, self._pieces = [token], []
        self._scanner = self._body.scanner()

    def _grow(self, text: str) -> None:
        """Whole characters more for the open region."""
        self._pieces.append(text)
        if self._scanner is None:
            self._events.append(Event(self._kind, text))
        else:
            self._events += self._grow_head(self._scanner.feed(text))

    def _grow_head(self, added: str) -> list[Event]:
        """What a piece made known of a call, whose name may have become known with it."""
        assert self._scanner is not None
        events = [Event("arguments", added, self._blocks)] if added else []
        if not self._named and self._scanner.name is not None:
            self._named = True
            events.insert(0, Event("call_name", self._scanner.name, self._blocks))
        return events

    def _close_call(self) -> None:
        """The closing id, outside strings."""
        if self._scanner is None:
            self._flush()
            self._add(self._malformed([self.wire.call_close], Defect.UNOPENED), 1)
            return
        read = read_call(self._text(), self.wire.form.body, self.schemas)
        if isinstance(read, Defect) and self._first_hidden is not None:
            self._reread()
            self._step(self.wire.call_close)
            return
        block = [*self._region, self.wire.call_close]
        self._reset()
        if isinstance(read, Defect):
            self._add(self._malformed(block, read), len(block))
        else:
            self._add(replace(read, in_reasoning=True) if self.in_reasoning else read, len(block))

    def _reread(self) -> None:
        """No call came of the open block: end it at its first hidden wire id, and read what follows again, hiding nothing."""
        assert self._first_hidden is not None
        closed = self._region[self._first_hidden] == self.wire.call_close
        at = self._first_hidden + closed
        block, rest = self._region[:at], self._region[at:]
        self._reset()
        self._strings_hide = False
        read = read_call(self._decoded(block[1:-1]), self.wire.form.body, self.schemas) if closed else Defect.UNCLOSED
        self._add(self._malformed(block, read if isinstance(read, Defect) else Defect.NOT_JSON), len(block))
        for token in rest:
            self._step(token)

    def _malformed(self, block: list[int], defect: Defect) -> Malformed:
        return Malformed(tuple(block), self._decoded(block), defect)

    def _end_turn(self) -> None:
        self._abandon(Defect.UNCLOSED)
        self.ended = True

    def _abandon(self, defect: Defect) -> None:
        """End whatever is open: a call that is still open was never closed."""
        if self._scanner and self._first_hidden is not None:
            self._reread()
        if self._scanner:
            block = self._region
            self._reset()
            self._add(self._malformed(block, defect), len(block))
        self._flush()

    def _flush(self) -> None:
        """End a piece of text; the beginning of a character at its end is told as it stands."""
        if self._pending:
            text, self._pending = self._decoded(self._pending), []
            self._grow(text)
        if self._region:
            end = self._read + len(self._region)
            self.segments.append(Segment(self._kind, self._text(), self._read, end))
            self._read = end
        self._reset()

    def _reset(self) -> None:
        self._region, self._pieces, self._pending = [], [], []
        self._scanner = self._first_hidden = None
        self._named = False

    def _add(self, value: Call | Malformed, length: int) -> None:
        """A block of `length` ids is finished."""
        kind: Literal["call", "malformed"] = "call" if isinstance(value, Call) else "malformed"
        self._events.append(Event(kind, value, self._blocks))
        self.segments.append(Segment(kind, value, self._read, self._read + length))
        self._read += length
        self._blocks += 1

    def _text(self) -> str:
        """Text of the open region, for a call without its opening token."""
        return "".join(self._pieces) + (self._decoded(self._pending) if self._pending else "")

    def _decoded(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False)


def read_response(
    ids: Sequence[int],
    tokenizer: Any,
    wire: WireIds,
    in_reasoning: bool = False,
    tools: list[Json] | None = None,
) -> Response:
    """Read one completion.

    Args:
        ids: generated ids (n,), with or without the end-of-turn id; what follows the first end of turn is ignored.
        tokenizer: anything with `decode(ids, skip_special_tokens=…)`, of a byte-level vocabulary.
        wire: the wire format, which says how a call's body is spelled, and its ids in this tokenizer.
        in_reasoning: whether the generation prompt left a think block open, see `opens_reasoning`.
        tools: the tools offered, in OpenAI form; with them, a call of an unknown tool or without a required argument is malformed.
    """
    reader = Reader(tokenizer, wire, in_reasoning, tools)
    for token in ids:
        reader.feed(token)
    return reader.finish()


def read_text(text: str, tokenizer: Any, wire: WireIds, **options: Any) -> Response:
    """Read text instead of ids: marked `from_text`, because text cannot tell a native call from a typed one."""
    return replace(read_response(tokenizer.encode(text, add_special_tokens=False), tokenizer, wire, **options), from_text=True)

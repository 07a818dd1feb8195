"""Outputs made to break the reader, and what must hold of every reading.

A sequence is random ids, or a well-formed output that was mutated the way a failing model fails: a piece lost, repeated, swapped,
cut off, put inside another, a byte of a character missing. Whatever it is, `broken_promises` must find nothing in its reading.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from data.response import Call, Event, Malformed, Reader, Response, read_response
from data.wire import WireIds

TEXTS = ["", "Let me look.", "Hé, 漢字 🧑‍🚀 ok\n", '"quoted" \\ {"a": [1]}', "```python\nwrite_file('a', \"b\")\n```", "<tool_call", "\n\n"]
JSON_BODIES = [
    '\n{"name": "f", "arguments": {"x": 1}}\n',
    '{"arguments": {"s": "a \\"b\\" \\\\ \\u00e9 {["}, "name": "gé"}',
    '\n{"name": "write_file", "arguments": {"path": "a.py", "content": "def f():\\n    return \\"漢字 🧑‍🚀\\"\\n"}}\n',
    '{"name": "f", "arguments": {"s": "<tool_call>{}</tool_call> </think>", "n": [[{"k": null}], -1.5e3, true]}}',
    "\n{'name': 'f', 'arguments': {[1]: True}}\n",
    '{"name": "f", "arguments": "{}"}',
    "",
]
TAGGED_BODIES = [
    "\n<function=f>\n<parameter=x>\n1\n</parameter>\n</function>\n",
    '\n<function=write_file>\n<parameter=path>\na "b" \\\n</parameter>\n<parameter=content>\n漢字\n🧑‍🚀 {\n\n</parameter>\n</function>\n',
    "<function=f>\n<parameter=s>\n<tool_call></tool_call>\n</parameter>\nx\n</parameter>\n</function>",
    "\n<function=f>\n</function>\n",
    "\n<function=f\n<parameter=x>\n",
]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}}
    for name in ("f", "write_file")
]
FRAGMENTS = [
    '"',
    "\\",
    "{",
    "}",
    "[",
    ":",
    ",",
    "\n",
    " ",
    "<function=",
    "<parameter=x>\n",
    "\n</parameter>",
    "</function>",
    '"name": "f"',
    "'",
]


class Sequences:
    """Draws id sequences for one tokenizer and wire format."""

    def __init__(self, tokenizer: Any, wire: WireIds, seed: int = 0) -> None:
        self.rng, self.tokenizer, self.wire = random.Random(seed), tokenizer, wire
        tokens = (wire.turn_open, wire.turn_close, wire.call_open, wire.call_close, wire.think_open, wire.think_close, wire.result_open)
        self.wire_tokens = [token for token in tokens if token is not None]
        self.bytes = self._encode("é漢🧑‍🚀\ufffd")  # ids of which many are parts of a character
        self.fragments = [self._encode(text) for text in FRAGMENTS]
        self.size = len(tokenizer)
        mutations = (self._delete, self._duplicate, self._swap, self._insert, self._cut, self._nest, self._lose_byte)
        self.mutations: tuple[Callable[[list[int]], list[int]], ...] = mutations

    def __iter__(self) -> Iterator[list[int]]:
        """Without end: one sequence in five is random ids, the others are mutated outputs."""
        while True:
            yield self.random_ids() if self.rng.random() < 0.2 else self.mutated()

    def random_ids(self) -> list[int]:
        pools = (self.wire_tokens, self.bytes, self.rng.choice(self.fragments), range(self.size))
        return [self.rng.choice(self.rng.choice(pools)) for _ in range(self.rng.randint(0, 60))]

    def mutated(self) -> list[int]:
        ids = self.output()
        for _ in range(self.rng.randint(0, 4)):
            ids = self.rng.choice(self.mutations)(ids)
        return ids

    def output(self) -> list[int]:
        """A completion as a model writes it: perhaps a think block, text and calls, perhaps the end of the turn."""
        form, rng = self.wire.form, self.rng
        bodies = JSON_BODIES if form.body == "json" else TAGGED_BODIES
        parts = [f"{form.think_open}\n{rng.choice(TEXTS)}\n{form.think_close}\n"] if rng.random() < 0.3 else []
        for _ in range(rng.randint(0, 3)):
            parts += [rng.choice(TEXTS), form.call_open + rng.choice(bodies) + form.call_close]
        parts += [rng.choice(TEXTS), form.turn_close if rng.random() < 0.7 else ""]
        return self._encode("".join(parts))

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _range(self, ids: list[int], longest: int = 12) -> tuple[int, int]:
        start = self.rng.randint(0, len(ids))
        return start, min(len(ids), start + self.rng.randint(1, longest))

    def _delete(self, ids: list[int]) -> list[int]:
        start, end = self._range(ids)
        return ids[:start] + ids[end:]

    def _duplicate(self, ids: list[int]) -> list[int]:
        start, end = self._range(ids)
        return ids[:end] + ids[start:end] + ids[end:]

    def _swap(self, ids: list[int]) -> list[int]:
        (a, b), (c, d) = sorted((self._range(ids), self._range(ids)))
        b, c = min(b, c), max(b, c)
        return ids[:a] + ids[c:d] + ids[b:c] + ids[a:b] + ids[d:]

    def _insert(self, ids: list[int]) -> list[int]:
        at = self.rng.randint(0, len(ids))
        piece = self.rng.choice([[self.rng.choice(self.wire_tokens)], self.rng.choice(self.fragments), [self.rng.randrange(self.size)]])
        return ids[:at] + piece + ids[at:]

    def _cut(self, ids: list[int]) -> list[int]:
        return ids[: self.rng.randint(0, len(ids))]

    def _nest(self, ids: list[int]) -> list[int]:
        at = self.rng.randint(0, len(ids))
        return ids[:at] + self.output() + ids[at:]

    def _lose_byte(self, ids: list[int]) -> list[int]:
        at = self.rng.randint(0, len(ids))
        start, end = sorted(self.rng.choices(range(len(self.bytes) + 1), k=2))
        return ids[:at] + self.bytes[start:end] + ids[at:]


def streamed(
    ids: Sequence[int], rng: random.Random, tokenizer: Any, wire: WireIds, in_reasoning: bool, tools: Any
) -> tuple[Response, list[Event]]:
    """The reading of ids that arrive in chunks of random size, as from a server, and all its events."""
    reader, events, at = Reader(tokenizer, wire, in_reasoning, tools), [], 0
    while at < len(ids):
        chunk = ids[at : at + rng.randint(1, 9)]
        events += [event for token in chunk for event in reader.feed(token)]
        at += len(chunk)
    events += reader.close()
    return reader.finish(), events


def check(ids: list[int], rng: random.Random, tokenizer: Any, wire: WireIds) -> tuple[Response, list[str]]:
    """Read `ids`, with and without tools, from inside or outside a think block; returns the reading and every promise it breaks."""
    in_reasoning, tools = rng.random() < 0.3, rng.choice((None, TOOLS))
    response = read_response(ids, tokenizer, wire, in_reasoning, tools)
    stream, events = streamed(ids, rng, tokenizer, wire, in_reasoning, tools)
    broken = broken_promises(ids, response, tokenizer, wire)
    if (stream, stream.segments) != (response, response.segments):
        broken.append("streamed and one-shot differ")
    return response, broken + broken_events(events, response)


def broken_promises(ids: list[int], response: Response, tokenizer: Any, wire: WireIds) -> list[str]:
    """Every id is in one segment, in order, or a think id, or not before the end of the turn; a segment holds what its ids say."""
    broken, at = [], 0
    end = ids.index(wire.turn_close) if wire.turn_close in ids else len(ids)
    for segment in response.segments:
        if not at <= segment.start < segment.end <= end:
            broken.append(f"ids {segment.start} to {segment.end} are out of order, after {at}, or beyond the end of the turn at {end}")
        broken += _lost(ids, at, segment.start, wire) + _misread(ids[segment.start : segment.end], segment.value, tokenizer, wire)
        at = segment.end
    if response.ended != (wire.turn_close in ids):
        broken.append("the end of the turn is not told")
    return broken + _lost(ids, at, end, wire)


def _lost(ids: list[int], start: int, end: int, wire: WireIds) -> list[str]:
    return [f"id {ids[at]} at {at} is in no segment" for at in range(start, end) if ids[at] not in (wire.think_open, wire.think_close)]


def _misread(ids: list[int], value: str | Call | Malformed, tokenizer: Any, wire: WireIds) -> list[str]:
    if isinstance(value, Call):
        return [] if (ids[0], ids[-1]) == (wire.call_open, wire.call_close) else ["a call does not stand between its wire ids"]
    if isinstance(value, Malformed):
        return [] if value.ids == tuple(ids) else ["a malformed block does not hold its ids"]
    return [] if value == tokenizer.decode(ids, skip_special_tokens=False) else [f"text {value!r} is not what its ids spell"]


def broken_events(events: list[Event], response: Response) -> list[str]:
    """What was told while ids came is what is told at the end."""
    blocks = [event.value for event in events if event.kind in ("call", "malformed")]
    told = "".join(str(event.value) for event in events if event.kind == "text")
    text = "".join(str(segment.value) for segment in response.segments if segment.kind == "text")
    broken = [] if blocks == [*response_blocks(response)] else ["blocks told while streaming are not those of the reading"]
    return broken if told == text else [*broken, f"text told while streaming {told!r} is not that of the reading {text!r}"]


def response_blocks(response: Response) -> Iterator[Call | Malformed]:
    return (segment.value for segment in response.segments if not isinstance(segment.value, str))

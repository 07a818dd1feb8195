"""Random and mutated outputs: the reader never fails, loses no id, reads alike at once and streamed, and takes linear time."""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import replace

import pytest
from transformers import PreTrainedTokenizerBase

from data.call_body import Call, Defect
from data.fuzz import FRAGMENTS, Sequences, broken_events, broken_promises, check
from data.response import Event, Reader, Segment, read_response
from data.wire import FORMATS, WireFormat, read_ids
from tests.cli import run
from tests.conftest import SMOLLM3

COUNT = 400
CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
forms = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)


@forms
def test_no_sequence_breaks_the_reader(tokenizer: PreTrainedTokenizerBase, form: WireFormat) -> None:
    wire = read_ids(tokenizer, form)
    sequences = Sequences(tokenizer, wire, seed=7)
    seen: set[Defect] = set()
    calls = 0
    for ids in itertools.islice(sequences, COUNT):
        response, broken = check(ids, sequences.rng, tokenizer, wire)
        assert broken == [], ids
        seen |= {block.defect for block in response.malformed}
        calls += len(response.calls)
    assert calls > COUNT / 10, "the sequences must not all be noise"
    assert len(seen) >= 5, "nor all be well formed"


def test_a_broken_promise_is_found(tokenizer: PreTrainedTokenizerBase) -> None:
    """The checks themselves: each reading here breaks one promise."""
    wire = read_ids(tokenizer)
    ids = tokenizer.encode(f"Hé.{CALL}\nDone.<|im_end|>", add_special_tokens=False)
    right = read_response(ids, tokenizer, wire)
    text, call, rest = right.segments
    assert broken_promises(ids, right, tokenizer, wire) == []

    def broken(*segments: Segment, ended: bool = True) -> str:
        return " ".join(broken_promises(ids, replace(right, segments=segments, ended=ended), tokenizer, wire))

    assert "is in no segment" in broken(text, call)
    assert "out of order" in broken(call, text, rest)
    assert "beyond the end of the turn" in broken(text, call, rest._replace(end=len(ids)))
    assert "is not what its ids spell" in broken(text._replace(value="He."), call, rest)
    assert "does not stand between its wire ids" in broken(text, call._replace(start=call.start + 1), rest)
    assert "end of the turn is not told" in broken(text, call, rest, ended=False)
    told, called = Event("text", "Hé.\nDone."), Event("call", Call("f", {"x": 1}), 0)
    assert broken_events([told, called], right) == []
    assert broken_events([told._replace(value="Hé."), called], right)
    assert broken_events([told], right)
    assert broken_events([told, Event("call", Call("g", {}), 0)], right)


def test_incomplete_characters_do_not_take_a_whole_one_with_them(tokenizer: PreTrainedTokenizerBase) -> None:
    wire = read_ids(tokenizer)
    emoji = tokenizer.encode("🧑", add_special_tokens=False)
    for broken in range(10):
        ids = emoji[:1] * broken + emoji
        assert read_response(ids, tokenizer, wire).content.endswith("🧑"), broken


def test_the_beginning_of_a_character_before_a_call_is_told(tokenizer: PreTrainedTokenizerBase) -> None:
    wire = read_ids(tokenizer)
    reader = Reader(tokenizer, wire)
    ids = tokenizer.encode("🧑", add_special_tokens=False)[:1] + tokenizer.encode(CALL, add_special_tokens=False)
    events = [event for token in ids for event in reader.feed(token)]
    assert events[0] == Event("text", "\ufffd")
    assert events[-1] == Event("call", Call("f", {"x": 1}), 0)


@forms
@pytest.mark.parametrize("seed", range(3))
def test_no_sequence_takes_more_than_linear_time(smollm2: PreTrainedTokenizerBase, form: WireFormat, seed: int) -> None:
    """Sequences repeated until they are long: four times the ids take well under ten times the time. Some stand in an open call."""
    wire, rng = read_ids(smollm2, form), random.Random(seed)
    sequences = Sequences(smollm2, wire, seed)
    pieces = [*itertools.islice(sequences, 4), smollm2.encode("".join(rng.choices(FRAGMENTS, k=6)), add_special_tokens=False)]
    for piece in pieces:
        unit = [token for token in piece if token != wire.turn_close] or [wire.call_open]
        repeats = 2000 // len(unit) + 1
        short = min(_seconds([wire.call_open, *unit * repeats], smollm2, form) for _ in range(2))
        assert _seconds([wire.call_open, *unit * 4 * repeats], smollm2, form) < 10 * short + 0.1, unit


def _seconds(ids: list[int], tokenizer: PreTrainedTokenizerBase, form: WireFormat) -> float:
    began = time.perf_counter()
    read_response(ids, tokenizer, read_ids(tokenizer, form))
    return time.perf_counter() - began


@pytest.mark.skipif(not SMOLLM3.is_dir(), reason=f"SmolLM3's tokenizer is not in {SMOLLM3}")
def test_script_counts_what_it_read() -> None:
    printed = run("scripts/fuzz_reader.py", "--count", "301", "--seed", "3", "--tokenizer", str(SMOLLM3))
    assert "0 broken promises" in printed
    assert [line.split("│")[2:4] for line in printed.splitlines() if "sequences  " in line] == [["               151 ", "         150 "]]

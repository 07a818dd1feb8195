"""What rendering and reading promise, held against real conversations that lie beside the repository, with SmolLM3's real tokenizer.

A few rows of every file in an ordinary run, and one of each for every cut; SMOLLORA_REAL_ROWS=2000 takes so many, at every cut.
"""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from transformers import PreTrainedTokenizerBase

from data.call_body import Call
from data.render import Rendered, prompt_ids, render
from data.response import opens_reasoning, read_response
from data.sources.jsonl import Rejected, read_row
from data.suffix import verify_suffix
from data.transcript import AssistantMessage, Transcript
from data.wire import read_ids
from tests.conftest import named_tokenizer

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "train"
FILES = sorted(FOLDER.glob("*.jsonl.gz"))
FULL = 2000
COUNT = int(os.environ.get("SMOLLORA_REAL_ROWS", "28"))
pytestmark = pytest.mark.skipif(not FILES, reason=f"no rows in {FOLDER}")


class Turn(NamedTuple):
    """One assistant turn of a rendered transcript: its index among the messages, and where its supervised ids start and end."""

    index: int
    message: AssistantMessage
    start: int
    end: int


def sample(path: Path, count: int) -> list[Transcript | Rejected]:
    """`count` rows at even distances over the file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()
    places = [at * len(lines) // count for at in range(min(count, len(lines)))]
    return [read_row(lines[place], f"{path.name}:{place + 1}") for place in places]


@pytest.fixture(scope="module")
def sampled() -> dict[Path, list[Transcript | Rejected]]:
    shares = [COUNT // len(FILES) + (at < COUNT % len(FILES)) for at in range(len(FILES))]
    return {path: sample(path, share) for path, share in zip(FILES, shares, strict=True)}


@pytest.fixture(scope="module")
def by_file(sampled: dict[Path, list[Transcript | Rejected]]) -> dict[Path, list[Transcript]]:
    return {path: [row for row in found if isinstance(row, Transcript)] for path, found in sampled.items()}


@pytest.fixture(scope="module")
def rows(by_file: dict[Path, list[Transcript]]) -> list[Transcript]:
    return [row for found in by_file.values() for row in found]


@pytest.fixture(scope="module")
def real() -> PreTrainedTokenizerBase:
    return named_tokenizer("smollm3")


def turns(transcript: Transcript, rendered: Rendered) -> list[Turn]:
    said = [(at, message) for at, message in enumerate(transcript.messages) if isinstance(message, AssistantMessage)]
    return [Turn(at, message, *span) for (at, message), span in zip(said, rendered.spans(), strict=True)]


def spelled(arguments: Any) -> str:
    """Arguments as JSON text: unlike `==` on dicts, it tells 1 from 1.0 and from true, and one order of keys from another."""
    return json.dumps(arguments, ensure_ascii=False)


def test_rejected_rows_are_told(sampled: dict[Path, list[Transcript | Rejected]], capsys: pytest.CaptureFixture[str]) -> None:
    found = [row for rows in sampled.values() for row in rows]
    rejected = [row for row in found if isinstance(row, Rejected)]
    with capsys.disabled():
        rules = ", ".join(f"{rule} {count}" for rule, count in Counter(row.rule for row in rejected).items())
        print(f"\n{len(found)} rows of {len(FILES)} files, {len(rejected)} rejected{': ' + rules if rules else ''}")
    assert len(found) == COUNT
    assert len(rejected) <= len(found) / 20, rejected[:3]


def test_prompt_is_what_stands_before_each_supervised_span(rows: list[Transcript], real: PreTrainedTokenizerBase) -> None:
    for row in rows:
        rendered = render(row, real)
        for turn in turns(row, rendered):
            prompt = prompt_ids(row.chat()[: turn.index], row.tool_dicts(), real, enable_thinking=row.reasons())
            assert rendered.input_ids[: turn.start] == prompt, (row.id, turn.index)


def test_reading_the_supervised_ids_gives_the_message(rows: list[Transcript], real: PreTrainedTokenizerBase) -> None:
    wire = read_ids(real)
    calls = 0
    for row in rows:
        rendered = render(row, real)
        for turn in turns(row, rendered):
            in_reasoning = opens_reasoning(rendered.input_ids[: turn.start], wire)
            read = read_response(rendered.input_ids[turn.start : turn.end], real, wire, in_reasoning, row.tool_dicts())
            source = [Call(call.function.name, call.function.arguments) for call in turn.message.tool_calls]
            assert (read.malformed, read.calls) == ((), tuple(source)), (row.id, turn.index)
            assert [spelled(call.arguments) for call in read.calls] == [spelled(call.arguments) for call in source], row.id
            assert (read.content, read.reasoning or "") == (
                (turn.message.content or "").strip(),
                (turn.message.reasoning_content or "").strip(),
            )
            calls += len(source)
    assert calls >= len(rows) / 10, "rows without calls would show nothing"


def test_each_turn_ends_with_its_supervised_stop_token(rows: list[Transcript], real: PreTrainedTokenizerBase) -> None:
    wire = read_ids(real)
    for row in rows:
        rendered = render(row, real)
        for turn in turns(row, rendered):
            span = rendered.input_ids[turn.start : turn.end]
            assert (span.count(wire.turn_close), span[-1]) == (1, wire.turn_close), (row.id, turn.index)
            assert all(rendered.assistant_masks[turn.start : turn.end])


def test_rendering_asks_no_clock(rows: list[Transcript], real: PreTrainedTokenizerBase) -> None:
    """A template gets the date from `strftime_now`: where that is None, one that calls it fails, so another date changes nothing here."""
    no_clock: Any = {"strftime_now": None}
    with pytest.raises(TypeError):
        render(rows[0], real, chat_template="{% generation %}{{ strftime_now('%Y') }}{% endgeneration %}", **no_clock)
    for row in rows:
        assert render(row, real, **no_clock) == render(row, real), row.id


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.split(".")[0])
def test_every_cut_is_a_prefix(by_file: dict[Path, list[Transcript]], real: PreTrainedTokenizerBase, path: Path) -> None:
    """The slow one: each row is rendered at each turn, with and without tools and in both thinking modes."""
    for row in by_file[path] if COUNT >= FULL else by_file[path][:1]:
        assert verify_suffix(row, real) is None

"""Checks of what the server makes of a completion: its reading against the strict reading of the ids that it generated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from data.sources.dialogue import generate
from data.transcript import AssistantMessage
from data.validate import wire_literals
from eval.serving.bench import Bench
from eval.serving.client import Ask
from eval.serving.outcome import Failure, Outcome

MIX = {"call": 4, "parallel": 1, "write_file": 1, "save_config": 1, "unserved": 1, "small_talk": 1, "dialogue": 1}
TRIES = 20


class Probe(NamedTuple):
    """One request, and whether it is streamed."""

    place: str
    ask: Ask
    streamed: bool


def asks(bench: Bench, count: int, seed: int = 7) -> Iterator[tuple[str, Ask]]:
    """`count` requests from held-out transcripts, each up to its first answer; a model that reasons does so in every other."""
    kept = (row for row in generate("validation", seed, 2 * count + 20, MIX) if not wire_literals(row))
    for number, transcript in zip(range(count), kept, strict=False):
        turn = next(i for i, message in enumerate(transcript.messages) if isinstance(message, AssistantMessage))
        thinking = bench.wire.think_open is not None and number % 2 == 1
        yield transcript.id, Ask(transcript.chat()[:turn], transcript.tool_dicts() or [], thinking, bench.sizes.max_tokens)


def readings(bench: Bench, outcome: Outcome) -> None:
    """Each prompt once whole and once streamed."""
    _agree(bench, outcome, _both_ways(asks(bench, bench.sizes.prompts)))


def concurrent(bench: Bench, outcome: Outcome) -> None:
    """As many requests at once as asked for, every other one streamed."""
    count = bench.sizes.concurrency
    probes = [Probe(f"{id_}, with {count} at once", ask, i % 2 == 1) for i, (id_, ask) in enumerate(asks(bench, count, seed=11))]
    _agree(bench, outcome, probes, workers=count)


def repeated(bench: Bench, outcome: Outcome) -> None:
    """One prompt that makes the model call, again and again: every call is extracted."""
    chosen = next(((id_, ask) for id_, ask in asks(bench, TRIES) if bench.strict(ask, bench.client.chat(ask)).calls), None)
    if chosen is None:
        found = f"none of {TRIES} prompts made the model emit a native call"
        remedy = "look at what it emits: python -m eval.inspect --prompt '…' --base-url …; an untrained model must be fine-tuned first"
        outcome.count(Failure("repeats", found, "a native call to repeat", remedy))
        return
    id_, ask = chosen
    _agree(
        bench, outcome, [Probe(f"{id_}, repeat {number}", ask, number % 2 == 1) for number in range(bench.sizes.repeats)], must_call=True
    )


def _both_ways(requests: Iterator[tuple[str, Ask]]) -> list[Probe]:
    return [Probe(f"{id_}, {'streamed' if streamed else 'whole'}", ask, streamed) for id_, ask in requests for streamed in (False, True)]


def _agree(bench: Bench, outcome: Outcome, probes: list[Probe], workers: int = 8, must_call: bool = False) -> None:
    calling = blank = 0

    def check(probe: Probe) -> Failure | None:
        nonlocal calling, blank
        reply = bench.answer(probe.ask, probe.streamed)
        strict = bench.strict(probe.ask, reply)
        calls = bool(strict.calls)
        calling += calls
        blank += not (calls or strict.malformed or strict.reasoning or strict.content.strip())
        failure = bench.judged(probe.place, probe.ask, reply)
        if failure is None and must_call and not calls:
            return Failure(probe.place, "no native call", "the call that the same prompt gave before", "see whether the server samples")
        return failure

    bench.each(outcome, probes, check, workers)
    outcome.note = f"native calls in {calling} of {outcome.total} completions"
    if blank:  # every parser reads nothing right
        outcome.note += f"; {blank} blank"

"""Scripted completions over HTTP: the server is made to say them, whatever model it has, and its reading is held against ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from data.sources.messages import user
from eval.serving.agreement import disagreement, failure_of
from eval.serving.bench import Bench
from eval.serving.cells import Cell, cell
from eval.serving.client import Ask, Gone, ServerFault, Unsupported
from eval.serving.outcome import Failure, Outcome
from eval.serving.scripted import REQUEST, TOOLS, Scripted
from eval.serving.tokens import prompt_failure

PLUGIN = Path(__file__).with_name("plugin")
OTHER = "said other ids than it was made to"
FLAGS = ("--logits-processors", "forced_ids:ForcedIds")


def ask_of(case: Scripted) -> Ask:
    return Ask([user(REQUEST)], TOOLS, case.thinking, len(case.output), {"vllm_xargs": {"forced_ids": case.output}})


def sayable(bench: Bench, cases: Sequence[Scripted]) -> list[Scripted]:
    """Those after a prompt that the model's own template makes; the others need another template in the server."""
    return [case for case in cases if case.prompt == bench.prompt(ask_of(case))]


class Answer(NamedTuple):
    """What a server did wrong with one case, in a word as a cell has it and in full; neither where it was right."""

    why: str
    failure: Failure | None


def spoken(bench: Bench, cases: Sequence[Scripted], outcome: Outcome) -> list[Cell]:
    """A cell for each case, from one request that is answered whole and one that is streamed; what was wrong goes into `outcome`."""
    answers: dict[tuple[int, bool], Answer] = {}

    def ask(probe: tuple[int, bool]) -> None:
        number, streamed = probe
        answers[probe] = _answer(bench, cases[number], streamed)

    probes = [(number, streamed) for number in range(len(cases)) for streamed in (False, True)]
    for _ in bench.side_by_side(outcome.name, probes, ask):
        pass
    for probe in probes:
        outcome.count(answers[probe].failure)
    return [cell(answers[number, False].why, answers[number, True].why) for number in range(len(cases))]


def _answer(bench: Bench, case: Scripted, streamed: bool) -> Answer:
    """An HTTP 500 in the parser is an outcome; a server that is gone is none."""
    ask, place = ask_of(case), f"{case.situation}, {case.mode}, {'streamed' if streamed else 'whole'}"
    try:
        reply = bench.answer(ask, streamed)
    except (Gone, Unsupported):
        raise
    except ServerFault as fault:
        return Answer(f"raised {fault.found[:120]}", Failure.of(fault))
    if reply.measurable and reply.ids != case.output:
        return Answer(OTHER, Failure(place, OTHER, "the ids of the request", f"start the server with {' '.join(FLAGS)}"))
    if reply.prompt_ids is not None and (failure := prompt_failure(place, case.prompt, reply.prompt_ids, bench.tokenizer)):
        return Answer("another prompt", failure)
    return Answer(str(disagreement(reply, case.strict) or ""), failure_of(place, reply, case.strict))

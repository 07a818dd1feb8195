"""Scripted completions over HTTP: the server is made to say them, whatever model it has, and its reading is held against ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data.sources.messages import user
from eval.serving.agreement import disagreement
from eval.serving.bench import Bench
from eval.serving.cells import Cell, cell
from eval.serving.client import Ask, Gone, ServerFault, Unsupported
from eval.serving.scripted import REQUEST, TOOLS, Scripted

PLUGIN = Path(__file__).with_name("plugin")
FLAGS = ("--logits-processors", "forced_ids:ForcedIds")


def ask_of(case: Scripted) -> Ask:
    return Ask([user(REQUEST)], TOOLS, case.thinking, len(case.output), {"vllm_xargs": {"forced_ids": case.output}})


def sayable(bench: Bench, cases: Sequence[Scripted]) -> list[Scripted]:
    """Those after a prompt that the model's own template makes; the others need another template in the server."""
    return [case for case in cases if case.prompt == bench.prompt(ask_of(case))]


def spoken(bench: Bench, cases: Sequence[Scripted]) -> list[Cell]:
    """A cell for each case, from one request that is answered whole and one that is streamed."""
    wrong: dict[tuple[int, bool], str] = {}

    def ask(probe: tuple[int, bool]) -> None:
        number, streamed = probe
        wrong[probe] = _wrong(bench, cases[number], streamed)

    for _ in bench.side_by_side("scripted", [(number, way) for number in range(len(cases)) for way in (False, True)], ask):
        pass
    return [cell(wrong[number, False], wrong[number, True]) for number in range(len(cases))]


def _wrong(bench: Bench, case: Scripted, streamed: bool) -> str:
    """What the server did wrong, or nothing. An HTTP 500 in the parser is an outcome; a server that is gone is none."""
    try:
        reply = bench.answer(ask_of(case), streamed)
    except (Gone, Unsupported):
        raise
    except ServerFault as fault:
        return f"raised {fault.found[:120]}"
    if reply.measurable and reply.ids != case.output:
        return "said other ids than it was made to"
    if reply.prompt_ids not in (None, case.prompt):
        return "another prompt"
    return str(disagreement(reply, case.strict) or "")

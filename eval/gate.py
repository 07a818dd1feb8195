"""Thresholds that a run must meet, as the `gates` of an evaluation's YAML say. Pure; no torch.

    gates:
      native_emission_rate: "lower >= 0.9"
      false_call_rate: "<= 0.25"
      bfcl_native_emission_rate: ">= baseline - 0.02"
    baseline: outputs/eval/released

Each key is a metric of `metrics.json`; each condition is

    condition = [side] comparison limit
    side      = "value" | "lower" | "upper"          the rate (when left out), or a bound of its 95 % interval
    comparison = ">=" | "<=" | ">" | "<"
    limit     = number | "baseline" [("+" | "-") number]

`baseline` in a condition is the same metric's rate in the run that the key `baseline` names. A metric that is missing, or that was
measured on no case, fails, and so does a condition whose baseline did not measure it: what is not known is not met.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from data.errors import UserError
from data.manifest import read_manifest, write_json

NUMBER = r"\d+(?:\.\d+)?|\.\d+"
CONDITION = re.compile(
    rf"(?:(?P<side>value|lower|upper)\s+)?(?P<comparison>>=|<=|>|<)\s*"
    rf"(?:(?P<number>[+-]?(?:{NUMBER}))|(?P<baseline>baseline)(?:\s*(?P<sign>[+-])\s*(?P<offset>{NUMBER}))?)"
)
COMPARISONS: dict[str, Callable[[float, float], bool]] = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
SIDES = {"value": "value", "lower": "low", "upper": "high"}  # word of the condition → field of the rate
TOLERANCE = 1e-9  # a rate and a limit that differ by rounding alone are equal

Rates = Mapping[str, Mapping[str, Any]]  # `metrics` of a metrics.json


@dataclass(frozen=True)
class Gate:
    """One parsed condition; `limit` is added to the baseline's rate when the gate is `relative`."""

    metric: str
    condition: str
    side: str
    comparison: str
    limit: float
    relative: bool


@dataclass(frozen=True)
class Outcome:
    """What a gate made of a run: `value` is the side that was compared, None where there was none; `why` says it in words."""

    metric: str
    condition: str
    value: float | None
    passed: bool
    why: str


def parse_gates(conditions: Mapping[str, str], known: Collection[str], baseline: str | None, place: str) -> list[Gate]:
    """The gates of a config, checked before anything is generated.

    Raises:
        UserError: a metric that is not `known`, a condition outside the grammar, or a relative one where no `baseline` is named.
    """
    return [_parse(metric, condition, known, baseline, f"{place}: gates.{metric}") for metric, condition in conditions.items()]


def _parse(metric: str, condition: str, known: Collection[str], baseline: str | None, place: str) -> Gate:
    if metric not in known:
        raise UserError(place, "an unknown metric", f"one of {', '.join(sorted(known))}", "mend or remove the key")
    match = CONDITION.fullmatch(condition.strip())
    if match is None:
        expected = "[value|lower|upper] (>=|<=|>|<) (number | baseline [+|- number])"
        raise UserError(place, repr(condition), expected, "write it as, for example, '>= 0.95', 'lower >= 0.9' or '>= baseline - 0.02'")
    relative = match["baseline"] is not None
    if relative and not baseline:
        raise UserError(place, f"{condition!r} without a baseline", "the key baseline in the same file", "add baseline: FOLDER of a run")
    limit = float(f"{match['sign'] or '+'}{match['offset'] or 0}") if relative else float(match["number"])
    return Gate(metric, condition, SIDES[match["side"] or "value"], match["comparison"], limit, relative)


def read_baseline(name: str | None, out: Path) -> Rates:
    """The rates of the run that `baseline` names: a folder, or the name of a folder beside `out`; none where none is named.

    Raises:
        UserError: there is no finished run.
    """
    if not name:
        return {}
    for folder in (Path(name), out.parent / name):
        if read_manifest(folder) is not None and (folder / "metrics.json").is_file():
            return dict(json.loads((folder / "metrics.json").read_text())["metrics"])
    raise UserError(f"baseline: {name}", "no finished evaluation", f"a folder left by eval.run, or its name in {out.parent}", "evaluate it")


def check(gates: Sequence[Gate], rates: Rates, baseline: Rates) -> list[Outcome]:
    """Hold each gate against the rates of a run."""
    return [_check(gate, rates.get(gate.metric), baseline.get(gate.metric)) for gate in gates]


def _check(gate: Gate, rate: Mapping[str, Any] | None, baseline: Mapping[str, Any] | None) -> Outcome:
    value = _number(rate, gate.side)
    if value is None:
        return Outcome(gate.metric, gate.condition, None, False, "no such metric in this run" if rate is None else "measured on no case")
    origin = _number(baseline, "value") if gate.relative else 0.0
    if origin is None:
        return Outcome(gate.metric, gate.condition, value, False, "the baseline did not measure it")
    limit = origin + gate.limit
    passed = COMPARISONS[gate.comparison](0.0 if math.isclose(value, limit, abs_tol=TOLERANCE) else value - limit, 0.0)
    return Outcome(gate.metric, gate.condition, value, passed, f"{value:.4g} {'is' if passed else 'is not'} {gate.comparison} {limit:.4g}")


def _number(rate: Mapping[str, Any] | None, side: str) -> float | None:
    value = None if rate is None else rate.get(side)
    return None if value is None or math.isnan(value) else float(value)


def write_outcomes(path: Path, outcomes: Sequence[Outcome]) -> None:
    """`gates.json`: `[{metric, condition, value, passed, why}]`."""
    write_json(path, [asdict(outcome) for outcome in outcomes])


def gate_table(outcomes: Sequence[Outcome]) -> Table:
    """One line for each gate."""
    table = Table(title="gates", title_justify="left")
    for column in ("metric", "condition", "result", "why"):
        table.add_column(column)
    for outcome in outcomes:
        table.add_row(outcome.metric, outcome.condition, "[green]passed[/]" if outcome.passed else "[bold red]FAILED[/]", outcome.why)
    return table

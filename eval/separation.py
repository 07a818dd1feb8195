"""How well the first-token margin tells requests that want a call from those that do not. Pure; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, quantiles
from typing import Any

from rich.table import Table
from scipy.stats import mannwhitneyu

from eval.case import Case

ALL = "all"  # the line over every slice


@dataclass(frozen=True)
class Spread:
    """Margins in nats of one group of cases; `positive` is the share above 0, where a greedy decoder opens a call."""

    n: int
    mean: float
    quartiles: tuple[float, float, float]
    positive: float


def spread(margins: Sequence[float]) -> Spread | None:
    """None of no margins."""
    if not margins:
        return None
    low, middle, high = quantiles(margins, n=4, method="inclusive") if len(margins) > 1 else [margins[0]] * 3
    return Spread(len(margins), fmean(margins), (low, middle, high), sum(margin > 0 for margin in margins) / len(margins))


def auc(calling: Sequence[float], silent: Sequence[float]) -> float | None:
    """The chance that a request that wants a call has the larger margin of two, ties counted half; None where either group is empty.

    The area under the ROC curve is Mann and Whitney's U over the number of pairs (Hanley and McNeil 1982).
    """
    if not calling or not silent:
        return None
    return float(mannwhitneyu(calling, silent).statistic) / (len(calling) * len(silent))


def separation(cases: Sequence[Case], margins: Mapping[str, float]) -> dict[str, Any]:
    """What `margins.json` holds: for each slice and for all, `call` and `silent` spreads and `auc`; `margins` maps case id to nats."""
    groups: dict[str, list[Case]] = {ALL: list(cases)}
    for case in sorted(cases, key=lambda case: (case.suite, case.slice)):
        groups.setdefault(f"{case.suite}/{case.slice}", []).append(case)
    return {name: _group(group, margins) for name, group in groups.items()}


def _group(cases: Sequence[Case], margins: Mapping[str, float]) -> dict[str, Any]:
    calling = [margins[case.id] for case in cases if case.expects_call]
    silent = [margins[case.id] for case in cases if not case.expects_call]
    spreads = {"call": spread(calling), "silent": spread(silent)}
    return {**{name: asdict(found) if found else None for name, found in spreads.items()}, "auc": auc(calling, silent)}


def separation_table(found: Mapping[str, Any]) -> Table:
    """One line for each slice and expectation."""
    table = Table(title="first-token margin, nats: log p(call) minus that of the best rival", title_justify="left")
    table.add_column("slice")
    table.add_column("wanted")
    for column in ("n", "mean", "quartiles", "above 0", "AUC"):
        table.add_column(column, justify="right")
    for name, group in found.items():
        for wanted, word in (("call", "call"), ("silent", "no call")):
            if line := group[wanted]:
                quartiles = " ".join(f"{value:+.1f}" for value in line["quartiles"])
                area = "" if group["auc"] is None or wanted == "silent" else f"{group['auc']:.3f}"
                table.add_row(name, word, str(line["n"]), f"{line['mean']:+.2f}", quartiles, f"{line['positive']:.0%}", area)
    return table

"""Two runs case by case: tests and intervals of what changed. Pure; no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eval.emission import Emission
from eval.rows import Row
from eval.slices import slice_name
from eval.statistics import cluster_interval, design_effect, holm, mcnemar, minimum_detectable_effect
from eval.verdict import RIGHT, Verdict

ALPHA = 0.05


class Outcome(NamedTuple):
    """What is counted: over the rows for which `counts`, those that are a `hit`; `better` is 1 where more hits are better, else -1."""

    counts: Callable[[Row], bool]
    hit: Callable[[Row], bool]
    better: int


OUTCOMES = {
    "right": Outcome(lambda row: True, lambda row: row.judged.verdict in RIGHT, 1),
    "native_emission": Outcome(lambda row: row.case.expects_call, lambda row: row.judged.emission is Emission.NATIVE_CALL, 1),
    "false_calls": Outcome(lambda row: not row.case.expects_call, lambda row: row.judged.verdict is Verdict.FALSE_CALL, -1),
}
Pair = tuple[Sequence[Row], Sequence[Row]]  # the repeats of one case, in the first and in the second run


def pairs_of(base: Sequence[Row], candidate: Sequence[Row], case_ids: Sequence[str]) -> list[Pair]:
    """The counted rows of each case in both runs."""
    first, second = _by_case(base), _by_case(candidate)
    return [(first[case_id], second[case_id]) for case_id in case_ids]


def _by_case(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.counted:
            found.setdefault(row.case.id, []).append(row)
    return found


def change(pairs: Sequence[Pair], outcome: Outcome) -> dict[str, Any]:
    """One outcome over the pairs: both rates, their difference with its clustered paired interval, the exact McNemar test, the smallest
    difference that would have been found at 80 % power.

    A case is one pair whatever its repeats: its rate is the share of repeats that hit, and for McNemar's test more than half must.
    """
    kept = [pair for pair in pairs if outcome.counts(pair[1][0])]
    rates = np.array([[np.mean([outcome.hit(row) for row in rows]) for rows in pair] for pair in kept]).reshape(-1, 2)
    test = mcnemar([(bool(first), bool(second)) for first, second in rates > 0.5])
    differences, clusters = list(rates[:, 1] - rates[:, 0]), [pair[1][0].case.cluster for pair in kept]
    interval, n = cluster_interval(differences, clusters), len(kept)
    return {
        "n": n,
        "clusters": len(set(clusters)),
        "base": float(rates[:, 0].mean()) if n else None,
        "candidate": float(rates[:, 1].mean()) if n else None,
        "difference": float(np.mean(differences)) if n else None,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "gained": test.gained,
        "lost": test.lost,
        "p_value": test.p_value,
        "minimum_detectable_effect": minimum_detectable_effect(n, test.gained + test.lost, design_effect(differences, clusters)),
    }


def changes(pairs: Sequence[Pair]) -> dict[str, dict[str, Any]]:
    """Each outcome's change, with p-values adjusted for their number (Holm) and the conclusion: `better`, `worse`, `unclear`.

    `worse` and `better` need both: an adjusted p-value below 0.05, and a clustered interval on one side of zero, if there is one.
    """
    found = {name: change(pairs, outcome) for name, outcome in OUTCOMES.items()}
    adjusted = holm([1.0 if one["p_value"] is None else one["p_value"] for one in found.values()])
    for (name, one), p_value in zip(found.items(), adjusted, strict=True):
        one["p_adjusted"] = p_value
        one["conclusion"] = _conclusion(one, OUTCOMES[name].better)
    return found


def _conclusion(one: Mapping[str, Any], better: int) -> str:
    if not one["n"] or one["p_adjusted"] >= ALPHA or (one["low"] is not None and one["low"] <= 0 <= one["high"]):
        return "unclear"
    return "better" if one["difference"] * better > 0 else "worse"


def by_slice(pairs: Sequence[Pair]) -> dict[str, dict[str, Any]]:
    """The change of right answers in each slice; p-values are not adjusted: they tell where to look, not what is so."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(slice_name(pair[1][0]), []).append(pair)
    return {name: change(groups[name], OUTCOMES["right"]) for name in sorted(groups)}

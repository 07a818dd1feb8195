"""What several samples of each case say: reliability and flakiness. Pure; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.rows import Row
from eval.statistics import cluster_interval, pass_hat_k
from eval.verdict import RIGHT


def right_of_repeats(rows: Sequence[Row]) -> dict[str, list[bool]]:
    """Case id → whether each of its counted repeats is right, in order of the repeats."""
    found: dict[str, list[bool]] = {}
    for row in sorted((row for row in rows if row.counted), key=lambda row: row.completion.repeat):
        found.setdefault(row.case.id, []).append(row.judged.verdict in RIGHT)
    return found


def repeats_json(rows: Sequence[Row]) -> dict[str, Any] | None:
    """pass^k for each k up to the repeats, over the cases of which every repeat counts, and the flaky ones; None with one repeat.

    A case is flaky if some of its repeats are right and some are not.
    """
    by_case = right_of_repeats(rows)
    most = max(map(len, by_case.values()), default=0)
    if most < 2:
        return None
    whole = {case_id: right for case_id, right in by_case.items() if len(right) == most}
    cases = {row.case.id: row.case for row in rows}
    clusters = [cases[case_id].cluster for case_id in whole]
    flaky = [case_id for case_id, right in whole.items() if 0 < sum(right) < most]
    pass_k = {str(k): [pass_hat_k(sum(right), most, k) for right in whole.values()] for k in range(1, most + 1)}
    return {
        "repeats": most,
        "cases": len(whole),
        "incomplete": len(by_case) - len(whole),
        "pass^k": {k: _mean(values, clusters) for k, values in pass_k.items()},
        "flaky_rate": _mean([float(case_id in set(flaky)) for case_id in whole], clusters),
        "flaky": flaky,
    }


def _mean(values: Sequence[float], clusters: Sequence[str]) -> dict[str, float | None]:
    low, high = cluster_interval(values, clusters) or (None, None)
    return {"value": float(np.mean(values)), "cluster_low": low, "cluster_high": high}

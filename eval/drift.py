"""A change point in a series of rates, by a simple rule. Pure; no torch.

The newest run's hits are held against the pooled hits of the runs before it, back to the last change, with Fisher's exact test of the
2×2 table. A p-value under 0.01 divided by the number of metrics looked at (Bonferroni) is a change, and pooling begins anew with that
run. All runs see the same cases, which the test does not use: it is conservative. A slow drift is found once the pool has grown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scipy.stats import fisher_exact

SIGNIFICANCE = 0.01


class Count(NamedTuple):
    """`hits` of `n`."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        return self.hits / self.n


def changes(series: Sequence[Mapping[str, Count]]) -> list[dict[str, str]]:
    """For each run, oldest first, the metrics that changed with it and a note: `fell from 93.0% to 61.0% (p = 1e-09)`."""
    pools: dict[str, Count] = {}
    return [_step(pools, run) for run in series]


def _step(pools: dict[str, Count], run: Mapping[str, Count]) -> dict[str, str]:
    notes = {}
    measured = {metric: count for metric, count in run.items() if count.n}
    for metric, count in measured.items():
        pool = pools.get(metric)
        if pool is None:
            pools[metric] = count
            continue
        p_value = float(fisher_exact([[count.hits, count.n - count.hits], [pool.hits, pool.n - pool.hits]]).pvalue)
        if p_value < SIGNIFICANCE / len(measured):
            verb = "rose" if count.value > pool.value else "fell"
            notes[metric] = f"{verb} from {pool.value:.1%} to {count.value:.1%} (p = {p_value:.1g})"
            pools[metric] = count
        else:
            pools[metric] = Count(pool.hits + count.hits, pool.n + count.n)
    return notes

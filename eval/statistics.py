"""Intervals, paired tests and reliability over repeats. numpy and scipy only; the same input gives the same numbers.

Cases that share a tool are alike, so that a test over them knows less than their number says. A *cluster* is such a group; the
intervals named so draw whole clusters (Field and Welsh 2007, "Bootstrapping clustered data").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import comb, sqrt
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

LEVEL = 0.95
DRAWS = 2000
SEED = 0


class Interval(NamedTuple):
    low: float
    high: float


class Paired(NamedTuple):
    """Counts of pairs by (first run right, second run right), and the exact McNemar p-value; None where no pair differs."""

    both: int
    gained: int
    lost: int
    neither: int
    p_value: float | None


def wilson(hits: int, n: int, level: float = LEVEL) -> Interval | None:
    """Wilson (1927) score interval of a proportion, as scipy computes it; None for n = 0."""
    if n == 0:
        return None
    found = binomtest(hits, n).proportion_ci(level, method="wilson")
    return Interval(float(found.low), float(found.high))


def mcnemar(pairs: Sequence[tuple[bool, bool]]) -> Paired:
    """Exact McNemar test of (first right, second right): the pairs that differ against a fair coin."""
    counts = Counter(pairs)
    gained, lost = counts[False, True], counts[True, False]
    p_value = float(binomtest(gained, gained + lost).pvalue) if gained + lost else None
    return Paired(counts[True, True], gained, lost, counts[False, False], p_value)


def cluster_means(values: Sequence[float], clusters: Sequence[Hashable], draws: int = DRAWS, seed: int = SEED) -> np.ndarray | None:
    """Means of `values` (n,) in `draws` samples of whole clusters with replacement, shape (draws,); None with fewer than two clusters."""
    _, index = np.unique([str(cluster) for cluster in clusters], return_inverse=True)
    sums, sizes = np.bincount(index, weights=np.asarray(values, dtype=float)), np.bincount(index)
    if len(sizes) < 2:
        return None
    taken = np.random.default_rng(seed).integers(len(sizes), size=(draws, len(sizes)), dtype=np.int32)
    return sums[taken].sum(axis=1) / sizes[taken].sum(axis=1)


def cluster_interval(values: Sequence[float], clusters: Sequence[Hashable], level: float = LEVEL) -> Interval | None:
    """Percentile bootstrap interval of the mean of `values` (n,), clusters drawn whole; of differences it is the paired one.

    None with fewer than two clusters. Where all values are equal it has no width: read the Wilson interval there.
    """
    means = cluster_means(values, clusters)
    if means is None:
        return None
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def design_effect(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """How many times the variance of the mean grows because cases come in clusters (Kish 1965); at least 1."""
    means = cluster_means(values, clusters)
    if means is None or not np.var(values):
        return 1.0
    return max(1.0, float(np.var(means) * len(values) / np.var(values)))


def minimum_detectable_effect(n: int, discordant: int, effect: float = 1.0, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """Smallest difference of two rates that a two-sided McNemar test over `n` pairs finds with this power.

    Connor (1987), "Sample size for testing differences in proportions for the paired-sample design": with a share p of pairs that
    differ, `n d² = (z_α √p + z_β √(p - d²))²`. p is taken as (discordant + 1) / (n + 2), because no pair that differed does not mean that
    none can, and is at least d; `effect` is the design effect, which divides n. None where not even a difference of 1 would be found.
    """
    if n == 0:
        return None
    share, pairs = (discordant + 1) / (n + 2), n / effect
    z_alpha, z_beta = norm.ppf(1 - alpha / 2), norm.ppf(power)

    def surplus(difference: float) -> float:
        differing = max(share, difference)
        return difference * sqrt(pairs) - z_alpha * sqrt(differing) - z_beta * sqrt(differing - difference**2)

    return float(brentq(surplus, 0.0, 1.0)) if surplus(1.0) > 0 else None


def difference_interval(first: tuple[int, int], second: tuple[int, int], level: float = LEVEL) -> Interval | None:
    """Interval of the second rate minus the first, of (hits, n) each, unpaired: Newcombe (1998), method 10, from Wilson's intervals."""
    one, two = wilson(*first, level), wilson(*second, level)
    if one is None or two is None:
        return None
    rate_one, rate_two = first[0] / first[1], second[0] / second[1]
    below = sqrt((rate_two - two.low) ** 2 + (one.high - rate_one) ** 2)
    above = sqrt((two.high - rate_two) ** 2 + (rate_one - one.low) ** 2)
    return Interval(rate_two - rate_one - below, rate_two - rate_one + above)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number (Holm 1979), in the given order."""
    order, adjusted, highest = np.argsort(p_values), [1.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = highest
    return adjusted


def pass_hat_k(right: int, repeats: int, k: int) -> float:
    """Chance that `k` repeats, drawn from those made, are all right: C(right, k) / C(repeats, k), as in τ-bench (Yao et al. 2024)."""
    return comb(right, k) / comb(repeats, k)

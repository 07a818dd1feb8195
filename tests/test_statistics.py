"""Intervals and tests against closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from eval.statistics import (
    cluster_interval,
    design_effect,
    difference_interval,
    holm,
    mcnemar,
    minimum_detectable_effect,
    pass_hat_k,
    wilson,
)


def test_wilson_interval() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 0) is None


def test_mcnemar_is_exact() -> None:
    paired = mcnemar([*[(False, True)] * 8, (True, False), (False, False)])
    assert (paired.gained, paired.lost, paired.neither) == (8, 1, 1)
    assert paired.p_value == pytest.approx(2 * (1 + 9) / 2**9)
    assert mcnemar([]).p_value is None


def test_clusters_of_one_give_the_binomial_interval_and_alike_cases_a_wider_one() -> None:
    values = [1.0] * 120 + [0.0] * 80
    alone = cluster_interval(values, range(200))
    assert alone == pytest.approx((0.6 - 1.96 * 0.0346, 0.6 + 1.96 * 0.0346), abs=0.01)
    grouped = cluster_interval(values, [at // 20 for at in range(200)])
    assert alone
    assert grouped
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)
    assert design_effect(values, range(200)) == pytest.approx(1, abs=0.15)
    assert design_effect(values, [at // 20 for at in range(200)]) == pytest.approx(20, rel=0.2)


def test_the_bootstrap_is_deterministic_and_needs_two_clusters() -> None:
    assert cluster_interval([0, 1, 1], "abc") == cluster_interval([0, 1, 1], "abc")
    assert cluster_interval([0, 1, 1], "aaa") is None
    assert cluster_interval([], []) is None


def test_the_minimum_detectable_effect_is_found_four_times_in_five() -> None:
    n, discordant = 400, 40
    effect = minimum_detectable_effect(n, discordant)
    assert effect
    share, rng = (discordant + 1) / (n + 2), np.random.default_rng(0)
    samples = rng.multinomial(n, [(share + effect) / 2, (share - effect) / 2, 1 - share], size=500)
    found = [gained + lost and binomtest(int(gained), int(gained + lost)).pvalue < 0.05 for gained, lost, _ in samples]
    assert np.mean(found) == pytest.approx(0.8, abs=0.07)


def test_the_minimum_detectable_effect_grows_with_discordance_and_clusters_and_may_not_exist() -> None:
    plain, more, clustered = (minimum_detectable_effect(400, *rest) for rest in ((20, 1.0), (80, 1.0), (20, 2.0)))
    assert plain
    assert more
    assert clustered
    assert plain < clustered
    assert plain < more
    assert minimum_detectable_effect(3, 0) is None


def test_newcombes_interval_of_a_difference() -> None:
    """The first example of Newcombe (1998), table II, method 10: 56/70 and 48/80."""
    assert difference_interval((48, 80), (56, 70)) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert difference_interval((0, 0), (1, 2)) is None


def test_holm_keeps_order_and_never_exceeds_one() -> None:
    assert holm([0.04, 0.01, 0.9]) == pytest.approx([0.08, 0.03, 0.9])
    assert holm([]) == []


def test_pass_hat_k() -> None:
    assert pass_hat_k(3, 4, 1) == 0.75
    assert pass_hat_k(3, 4, 2) == 0.5
    assert pass_hat_k(3, 4, 4) == 0

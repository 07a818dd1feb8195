"""Rows that processes read at the same time are of like length; every row is read once an epoch, in an order of its own."""

from __future__ import annotations

import random

import pytest

from train.even_sampler import EvenSampler

chance = random.Random(0)
LENGTHS = [chance.randint(200, 2000) for _ in range(301)]


def waited(order: list[int], size: int) -> int:
    """Tokens that processes wait for the longest row of each group."""
    groups = [[LENGTHS[at] for at in order[start : start + size]] for start in range(0, len(order), size)]
    return sum(max(group) * len(group) - sum(group) for group in groups)


@pytest.mark.parametrize("size", [2, 8])
def test_groups_of_like_length(size: int) -> None:
    order = list(EvenSampler(LENGTHS, size, seed=3))
    assert sorted(order) == list(range(len(LENGTHS)))
    assert waited(order, size) < 0.25 * waited(list(range(len(LENGTHS))), size)


def test_long_and_short_groups_take_turns() -> None:
    order = list(EvenSampler(LENGTHS, 2, seed=3))
    means = [sum(LENGTHS[at] for at in order[start : start + 32]) / 32 for start in range(0, 288, 32)]
    assert max(means) < 1.5 * min(means)
    rising = sum(LENGTHS[later] > LENGTHS[at] for at, later in zip(order[::2], order[2::2], strict=False))
    assert 50 < rising < 100  # of 150


def test_the_order_is_that_of_seed_and_epoch() -> None:
    sampler, same, other = EvenSampler(LENGTHS, 2, 3), EvenSampler(LENGTHS, 2, 3), EvenSampler(LENGTHS, 2, 4)
    first = list(sampler)
    assert first == list(same) != list(other)
    sampler.set_epoch(1)
    assert list(sampler) != first

"""An order of rows in which those that processes read at the same time are of like length, since each step waits for the longest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

WINDOW = 16  # groups among which rows are sorted by length


class EvenSampler(Sampler[int]):
    """Indices in random order, in groups of `size` rows, one for each process, of like length. All processes draw the same order.

    Rows are sorted by length within windows of `WINDOW` groups, and the groups of a window shuffled, so that long and short take turns.
    """

    def __init__(self, lengths: Sequence[int], size: int, seed: int) -> None:
        self.lengths, self.size, self.seed, self.epoch = lengths, size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        chance = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=chance).tolist()
        for window in parts(order, WINDOW * self.size):
            *groups, last = parts(sorted(window, key=self.lengths.__getitem__), self.size)  # the last may be short of a row
            for at in torch.randperm(len(groups), generator=chance).tolist():
                yield from groups[at]
            yield from last


def parts(items: Sequence[int], size: int) -> list[Sequence[int]]:
    return [items[start : start + size] for start in range(0, len(items), size)]

"""Chooses the next id of each row of a batch from its logits: the likeliest, or a sample whose randomness is the request's own."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from eval.backends.protocol import Decoding, Request


class Chooser:
    """The choices of one batch of requests.

    A request's random numbers come from a generator seeded for it alone, one number for each position: what is sampled does not depend
    on the batch that the request is in.
    """

    def __init__(self, requests: Sequence[Request], decoding: Decoding) -> None:
        self.decoding = decoding
        self.logprobs: list[list[float]] | None = [[] for _ in requests] if decoding.logprobs else None
        self._numbers = [_uniform(decoding.seed_of(one.key), one.max_new_tokens) for one in requests] if decoding.temperature > 0 else None

    def __call__(self, logits: torch.Tensor, rows: Sequence[int], position: int) -> torch.Tensor:
        """Ids (n,) for `logits` (n, vocabulary), which belong to the requests `rows` and to the `position`-th generated id of each."""
        chosen = logits.argmax(dim=-1) if self._numbers is None else self._sampled(logits, rows, position)
        if self.logprobs is not None:
            of_chosen = logits.float().log_softmax(dim=-1).gather(-1, chosen[:, None])[:, 0]
            for row, value in zip(rows, of_chosen.tolist(), strict=True):
                self.logprobs[row].append(value)
        return chosen

    def _sampled(self, logits: torch.Tensor, rows: Sequence[int], position: int) -> torch.Tensor:
        """Inverse transform sampling: the first id at which the cumulative probability exceeds the row's number."""
        assert self._numbers is not None
        numbers = [self._numbers[row][min(position, len(self._numbers[row]) - 1)] for row in rows]  # a finished row's is not used
        cumulative = (logits.double() / self.decoding.temperature).softmax(dim=-1).cumsum(dim=-1)
        drawn = torch.stack(numbers).to(logits.device)[:, None] * cumulative[:, -1:]
        return torch.searchsorted(cumulative, drawn, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


def _uniform(seed: int, count: int) -> torch.Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

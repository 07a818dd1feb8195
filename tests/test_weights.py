"""Weights in the loss: which tokens get them, and that the loss is the weighted mean, in training alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from train.shared_prefix import IGNORED
from train.weights import TokenWeights


class Letters:
    """A tokenizer of one character an id."""

    text = '<a"{}[]\\>'

    def __len__(self) -> int:
        return len(self.text)

    def decode(self, ids: list[int]) -> str:
        return "".join(self.text[id_] for id_ in ids)


class Head(torch.nn.Module):
    """Gives what TRL's fused head gives."""

    def __init__(self, log_probs: torch.Tensor) -> None:
        super().__init__()
        self.log_probs = log_probs

    def forward(self, labels: torch.Tensor, fused_lm_head: bool = False) -> Any:
        mask = labels[:, 1:] != IGNORED
        return SimpleNamespace(log_probs=self.log_probs * mask, label_mask=mask)


# The first answer opens a call, the second never does, the third after a token of text.
LABELS = torch.tensor([[IGNORED, 0, 1, 3, 1, IGNORED, 4, 7, 2, IGNORED, 1, 0, 6, 4]])
WANTED = [0.0, 6.0, 1.0, 1.0, 2.0, 0.0, 4.0, 0.5, 0.5, 0.0, 4.0, 1.0, 1.0, 2.0]
OPEN, CLOSE = 0, 8


def weights() -> TokenWeights:
    tokenizer: Any = Letters()
    return TokenWeights(tokenizer, open_id=OPEN, close_id=CLOSE, decision=4.0, call=1.5, structure=2.0, text=0.5)


def test_the_first_of_an_answer_and_where_json_decides_weigh_more() -> None:
    assert weights()(LABELS).tolist() == [WANTED]


@pytest.mark.parametrize("before", range(1, len(Letters.text)))
def test_inside_a_call_no_label_outweighs_another(before: int) -> None:
    rows = torch.tensor([[IGNORED, 0, before, label] for label in range(1, len(Letters.text))])
    assert len(set(weights()(rows)[:, 3].tolist())) == 1


@pytest.mark.parametrize("label", range(len(Letters.text)))
def test_whether_another_call_follows_is_a_decision_whichever_it_is(label: int) -> None:
    assert weights()(torch.tensor([[IGNORED, OPEN, 1, CLOSE, label]])).tolist() == [[0.0, 6.0, 1.0, 1.0, 4.0]]


def test_the_loss_is_the_weighted_mean_in_training_alone() -> None:
    log_probs = -torch.arange(1.0, 14.0)[None]
    head = Head(log_probs)
    weights().attach(head)
    count = int((LABELS != IGNORED).sum())

    def loss() -> float:
        return float(-head(labels=LABELS, fused_lm_head=True).log_probs.sum() / count)

    wanted = torch.tensor(WANTED[1:])
    assert loss() == pytest.approx(float((-log_probs[0] * wanted).sum() / wanted.sum()))
    head.eval()
    assert loss() == pytest.approx(float((-log_probs[0] * (wanted > 0)).sum() / count))


def test_a_row_without_supervision_stays_finite() -> None:
    head = Head(torch.zeros(1, 13))
    weights().attach(head)
    assert head(labels=torch.full((1, 14), IGNORED), fused_lm_head=True).log_probs.isfinite().all()

"""Held-out loss by kind of token: which token counts as what, what a right answer is, and the difference of two adapters."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from data.render import Rendered
from scripts.held_out_loss import compare, measure

BRACE, VOCABULARY = 3, 5
ROW = Rendered([0, 1, BRACE, 2, 0, 4, 2], [0, 1, 1, 1, 0, 1, 1])  # two answers: 1 3 2 and 4 2


class Certain:
    """Gives the next token of a list the probability `share`, and shares the rest out evenly."""

    device = torch.device("cpu")

    def __init__(self, follows: list[int], share: float) -> None:
        self.follows, self.share = follows, share

    def __call__(self, input_ids: torch.Tensor, **options: Any) -> SimpleNamespace:
        shares = torch.full((1, input_ids.shape[1], VOCABULARY), (1 - self.share) / (VOCABULARY - 1))
        for at, token in enumerate(self.follows):
            shares[0, at, token] = self.share
        return SimpleNamespace(logits=shares.log())


def measured(follows: list[int], share: float) -> Any:
    return measure(Certain(follows, share), [ROW, ROW], torch.arange(VOCABULARY) == BRACE, "test")


def test_tokens_are_sorted_into_kinds_and_answers_judged_whole() -> None:
    found = measured([1, BRACE, 2, 0, 4, 0, 0], 0.6)  # wrong in the last token of the second answer
    counts = {name: len(values.values) for name, values in found.items()}
    assert counts == {"decision": 4, "structure": 2, "rest": 4, "right": 4}
    assert found["right"].values == [1, 0, 1, 0]
    right, wrong = -torch.tensor(0.6).log().item(), -torch.tensor(0.1).log().item()
    assert found["decision"].values == pytest.approx([right] * 4)
    assert found["structure"].values == pytest.approx([right] * 2)
    assert found["rest"].values == pytest.approx([right, wrong] * 2)
    assert found["rest"].transcripts == [0, 0, 1, 1]


def test_a_difference_is_of_the_same_tokens() -> None:
    follows = [1, BRACE, 2, 0, 4, 2, 0]
    better, first = measured(follows, 0.8), measured(follows, 0.4)
    compared = compare(better, first)
    assert compared["rest"]["difference"] == pytest.approx(-torch.tensor(2.0).log().item())
    assert compared["rest"]["interval"] == pytest.approx([compared["rest"]["difference"]] * 2)
    assert compared["right"]["mean"] == 1
    assert compare(first, first)["decision"]["difference"] == 0

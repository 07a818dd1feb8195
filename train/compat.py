"""Two shims for TRL 1.16, each with a test that fails when upstream makes it needless."""

from __future__ import annotations

import trl.trainer.utils as trl_utils
from peft.utils.other import TrainableTokensWrapper


def give_tied_head_a_bias() -> None:
    """TRL's fused head reads `lm_head.bias`; PEFT's wrapper around a tied head with trainable rows has none."""
    if not hasattr(TrainableTokensWrapper, "bias"):
        TrainableTokensWrapper.bias = None  # type: ignore[attr-defined]


def score_supervised_positions_on_cpu() -> None:
    """TRL's fused head scores every position where Triton is absent, to keep tile shapes constant for compilers.

    On CPU nothing is compiled, so only the supervised positions need the vocabulary projection.
    """
    on_triton = trl_utils._use_triton
    trl_utils._use_triton = lambda device: device.type == "cpu" or on_triton(device)


def apply() -> None:
    give_tied_head_a_bias()
    score_supervised_positions_on_cpu()

"""The shims, the budget, the added rows, and the merge gate."""

from __future__ import annotations

import inspect

import pytest
import torch
import trl.trainer.utils as trl_utils
from peft.utils.other import TrainableTokensWrapper
from transformers import LlamaConfig, LlamaForCausalLM

from tests.toy import toy_tokenizer
from train import compat
from train.base import add_rows
from train.budget import lr_factor
from train.export import acceptable, compare
from train.sft import split_rows


def test_upstream_still_needs_the_bias_shim() -> None:
    """Fails when PEFT's wrapper answers `bias` or TRL stops asking: then delete `give_tied_head_a_bias`."""
    assert "bias" not in {name for cls in TrainableTokensWrapper.__mro__ for name in vars(cls)} or TrainableTokensWrapper.bias is None
    assert "lm_head.weight, lm_head.bias" in inspect.getsource(trl_utils.add_fused_lm_head)


def test_upstream_still_scores_every_position_on_cpu() -> None:
    """Fails when TRL decides otherwise: then delete `score_supervised_positions_on_cpu`."""
    assert "compact = _use_triton(hidden_states.device)" in inspect.getsource(trl_utils.add_fused_lm_head)
    compat.apply()
    assert trl_utils._use_triton(torch.device("cpu"))


def test_learning_rate_follows_the_slower_of_steps_and_time() -> None:
    assert lr_factor(0, 10, 100, 0.0) == pytest.approx(1 / 11)
    assert lr_factor(10, 10, 100, 0.0) == 1
    assert lr_factor(55, 10, 100, 0.0) == pytest.approx(0.5)
    assert lr_factor(20, 10, 100, 1.0) == pytest.approx(0.0)


def test_added_rows_point_at_their_pieces_and_are_as_long() -> None:
    tokenizer = toy_tokenizer(thinking=False)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer) - 1, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    )
    text = "</tool_response>"
    assert tokenizer.convert_tokens_to_ids(text) == len(tokenizer) - 1
    add_rows(model, tokenizer, {text: [5, 6, 7]})
    table = model.get_input_embeddings().weight.detach()
    pieces = table[[5, 6, 7]]
    assert table[-1].norm() == pytest.approx(float(pieces.norm(dim=1).mean()), rel=1e-4)
    assert torch.cosine_similarity(table[-1], pieces.mean(0), dim=0) == pytest.approx(1.0, abs=1e-4)


def test_rows_get_their_own_learning_rate() -> None:
    plain, row = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([plain, row], lr=1e-3)
    split_rows(optimizer, {id(row)}, 1e-2)
    assert [(group["lr"], len(group["params"])) for group in optimizer.param_groups] == [(1e-3, 1), (1e-2, 1)]


def test_merge_gate() -> None:
    torch.manual_seed(0)
    logits = torch.randn(16, 50) * 5
    assert acceptable(compare(logits, logits + 1e-4 * torch.randn_like(logits)), "float32")
    assert not acceptable(compare(logits, logits + torch.randn_like(logits)), "bfloat16")
    assert not acceptable(compare(logits, torch.full_like(logits, float("nan"))), "bfloat16")

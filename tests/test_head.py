"""Rows that are trained apart from a frozen table: what is computed is what PEFT and TRL compute with the merged table."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import trl.trainer.utils as trl_utils
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM
from trl.trainer.utils import add_fused_lm_head

from train import compat
from train.head import RowsApart, keep_rows_apart
from train.rows import PARAMETER

ROWS = [36, 38, 39]
IDS = torch.tensor([[1, 36, 5, 38, 7, 39, 2, 38]])
LABELS = torch.tensor([[-100, -100, 5, 38, -100, 39, 2, 38]])


@pytest.fixture
def adapted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A small tied model with LoRA and trained rows, and TRL's fused head."""
    compat.apply()
    monkeypatch.setattr(trl_utils, "_ChunkedLogProbFunction", trl_utils._ChunkedLogProbFunction)
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(**sizes, tie_word_embeddings=True))
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", trainable_token_indices=ROWS, init_lora_weights=False))
    for name, weight in adapted.named_parameters():
        if PARAMETER in name:
            torch.nn.init.normal_(weight)
    return adapted.train()


def step(model: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    model.zero_grad()
    outputs = model(input_ids=IDS, labels=LABELS, fused_lm_head=True)
    outputs.loss.backward()
    return outputs, {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def test_loss_metrics_and_gradients_are_those_of_the_merged_table(adapted: Any) -> None:
    expected, separate = step(adapted)
    keep_rows_apart(adapted)
    found, together = step(adapted)

    assert sum(type(module) is RowsApart for module in adapted.modules()) == 2
    assert any(PARAMETER in name for name in separate)
    for field in ("loss", "log_probs", "entropy"):
        assert torch.allclose(getattr(found, field), getattr(expected, field), atol=1e-5), field
    assert torch.equal(found.is_top1, expected.is_top1)
    assert separate.keys() == together.keys()
    for name, gradient in separate.items():
        assert torch.allclose(gradient, together[name], atol=1e-5), name


def test_rows_that_were_stepped_are_those_that_are_read(adapted: Any) -> None:
    keep_rows_apart(adapted)
    step(adapted)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if PARAMETER in name:
                weight.mul_(-1)
    found, _ = step(adapted)
    expected = adapted(input_ids=IDS, labels=LABELS)
    assert torch.allclose(found.log_probs[LABELS[:, 1:] != -100].sum(), -expected.loss * 5, atol=1e-4)


def test_in_bfloat16_it_is_nearly_the_same(adapted: Any) -> None:
    keep_rows_apart(adapted)
    expected, exact = step(adapted)
    with torch.autocast("cpu", torch.bfloat16):
        found, rounded = step(adapted)
    assert found.loss.item() == pytest.approx(expected.loss.item(), rel=0.02)
    for name, gradient in exact.items():
        assert torch.nn.functional.cosine_similarity(gradient.flatten(), rounded[name].flatten(), dim=0) > 0.99, name


def test_a_head_with_a_scale_of_its_own_is_left_to_trl(adapted: Any) -> None:
    add_fused_lm_head(adapted.get_base_model(), temperature=0.5, outputs=("log_probs", "entropy", "is_top1"))
    expected, separate = step(adapted)
    keep_rows_apart(adapted)
    found, together = step(adapted)
    assert found.loss.item() == pytest.approx(expected.loss.item(), rel=1e-5)
    for name, gradient in separate.items():
        assert torch.allclose(gradient, together[name], atol=1e-5), name


def test_no_supervised_position_is_no_error(adapted: Any) -> None:
    keep_rows_apart(adapted)
    loss = adapted(input_ids=IDS, labels=torch.full_like(IDS, -100), fused_lm_head=True).loss
    loss.backward()
    assert loss.item() == 0


def test_a_merged_model_has_the_trained_rows(adapted: Any) -> None:
    keep_rows_apart(adapted)
    with torch.no_grad():
        before = adapted(input_ids=IDS).logits
        after = adapted.merge_and_unload()(input_ids=IDS).logits
    assert torch.allclose(before, after, atol=1e-4)

"""Frozen layers in int8: near the layer that they replace, forward and backward, and trained around by LoRA as usual."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from train import sft
from train.arguments import DataArguments
from train.frozen import Int8Linear, int8_speed, round_frozen, rounded, store_frozen


@pytest.mark.parametrize(("speed", "bf16", "pays"), [(0.05, False, False), (1.0, True, False), (2.1, True, True), (3.0, False, True)])
def test_the_base_is_rounded_where_that_is_faster(speed: float, bf16: bool, pays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.dtype] = []
    monkeypatch.setattr(sft, "int8_speed", lambda dtype: asked.append(dtype) or speed)
    monkeypatch.setattr(sft, "compute_dtype", lambda: torch.bfloat16)
    assert sft.int8_pays(DataArguments("data", frozen_int8=True, native_bf16=bf16)) is pays
    assert asked == [torch.bfloat16 if bf16 else torch.float32]


def test_int8_speed_is_a_ratio_of_this_processor() -> None:
    assert 0.001 < int8_speed(torch.float32) < 100


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("bias", [False, True])
def test_product_and_input_gradient_are_near(bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(96, 40, bias=bias)
    whole = Int8Linear(linear)
    rows = torch.randn(2, 7, 96)
    rows[0, 0] *= 300  # one row of large values does not spoil the others
    weights = torch.randn(2, 7, 40)
    gradients, products = [], []
    for layer in (linear, whole):
        given = rows.clone().requires_grad_()
        product = layer(given)
        (product * weights).sum().backward()
        assert given.grad is not None
        gradients.append(given.grad)
        products.append(product.detach())
    assert products[1].shape == (2, 7, 40)
    assert relative(products[1][1], products[0][1]) < 0.02
    assert relative(gradients[1], gradients[0]) < 0.02


def test_rows_of_zeros_stay_zeros() -> None:
    whole, scale = rounded(torch.zeros(2, 8))
    assert not whole.any()
    assert torch.isfinite(scale).all()


def losses(whole: bool = False, autocast: bool = False, stored: bool = False) -> list[float]:
    """Forty steps of LoRA on one small model and batch; with its base rounded, or products in bfloat16 and the base stored so."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(**sizes, tie_word_embeddings=True))
    if whole:
        assert round_frozen(model) == 14
        assert type(model.lm_head) is nn.Linear
    torch.manual_seed(1)
    tuned = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    if stored:
        assert store_frozen(tuned, torch.bfloat16) == 14
        assert model.lm_head.weight.dtype == torch.float32
    trained = [weight for weight in tuned.parameters() if weight.requires_grad]
    assert len(trained) == 28
    assert all(weight.dtype == torch.float32 for weight in trained)
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    ids = torch.randint(0, 40, (2, 12))
    found = []
    for _ in range(40):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = tuned(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return found


def test_weights_stored_as_autocast_casts_them_change_no_loss() -> None:
    assert losses(autocast=True, stored=True) == losses(autocast=True) != losses()


def test_lora_trains_around_rounded_layers_as_around_others() -> None:
    exact, whole = losses(), losses(whole=True)
    assert whole[-1] < whole[0] - 0.3
    assert whole[-1] == pytest.approx(exact[-1], rel=0.02)

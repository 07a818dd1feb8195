"""Frozen layers in int8: near the layer that they replace, forward and backward, and trained around by LoRA as usual."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from train import frozen, sft
from train.arguments import DataArguments
from train.frozen import KERNELS, Int8Linear, Kernel, fastest_kernel, int8_speed, round_frozen, rounded, store_frozen

SEVEN_BITS = pytest.mark.skipif(not frozen.has_seven_bits(), reason="oneDNN's product of seven bits needs an x86 processor")
EACH_KERNEL = pytest.mark.parametrize("kernel", ["eight_bits", pytest.param("seven_bits", marks=SEVEN_BITS)])


@pytest.mark.parametrize(("speed", "bf16", "pays"), [(0.05, False, False), (1.0, True, False), (2.1, True, True), (3.0, False, True)])
def test_the_base_is_rounded_where_that_is_faster(speed: float, bf16: bool, pays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.dtype] = []
    monkeypatch.setattr(sft, "fastest_kernel", lambda dtype: asked.append(dtype) or ("seven_bits", speed))
    monkeypatch.setattr(sft, "compute_dtype", lambda: torch.bfloat16)
    found = sft.paying_kernel(DataArguments("data", frozen_int8=True, native_bf16=bf16))
    assert found == ("seven_bits" if pays else None)
    assert asked == [torch.bfloat16 if bf16 else torch.float32]


@pytest.mark.parametrize(
    ("eight", "capability", "there", "chosen"),
    [
        (2.0, "AVX2", True, "eight_bits"),
        (0.03, "AVX2", True, "seven_bits"),
        (0.03, "AVX2", False, "eight_bits"),
        (0.9, "AVX512", True, "eight_bits"),  # with AMX: slower than bfloat16
    ],
)
def test_seven_bits_only_where_eight_are_slow(
    eight: float, capability: str, there: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    speeds = {"eight_bits": eight, "seven_bits": 1.9}
    monkeypatch.setattr(frozen, "int8_speed", lambda kernel, dtype: speeds[kernel.name])
    monkeypatch.setattr(frozen, "has_seven_bits", lambda: there)
    assert fastest_kernel(torch.float32) == (chosen, speeds[chosen])


@EACH_KERNEL
def test_int8_speed_is_a_ratio_of_this_processor(kernel: str) -> None:
    assert 0.001 < int8_speed(KERNELS[kernel], torch.float32) < 100


@EACH_KERNEL
@pytest.mark.parametrize("back", [False, True])
def test_a_kernel_is_exact_up_to_its_largest_number(kernel: str, back: bool) -> None:
    """Rows and weights of nothing but extremes, of every sign: sums that saturate would show."""
    found: Kernel = KERNELS[kernel]
    rows = torch.tensor([[1], [-1]]).mul(found.largest).repeat(8, 64 if not back else 48).to(torch.int8)
    weight = torch.full((48, 64), 127, dtype=torch.int8)
    weight[::3] = -127
    weight[1, ::2] = -127
    key = found.prepare(weight)
    wanted = rows.long() @ (weight.long() if back else weight.long().t())
    assert torch.equal(found.product(rows, weight, key, back).long(), wanted)


@SEVEN_BITS
def test_a_compiled_layer_computes_the_same() -> None:
    layer, rows = Int8Linear(nn.Linear(32, 48), "seven_bits"), torch.randn(5, 32)
    compiled = torch.compile(layer, fullgraph=True)
    found = []
    for each in (layer, compiled):
        given = rows.clone().requires_grad_()
        each(given).square().sum().backward()
        assert given.grad is not None
        found.append(given.grad)
    assert torch.allclose(*found, rtol=1e-3, atol=1e-3)


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@EACH_KERNEL
@pytest.mark.parametrize("bias", [False, True])
def test_product_and_input_gradient_are_near(bias: bool, kernel: str) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(96, 40, bias=bias)
    whole = Int8Linear(linear, kernel)
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
    limit = 0.02 * 127 / KERNELS[kernel].largest
    assert relative(products[1][1], products[0][1]) < limit
    assert relative(gradients[1], gradients[0]) < limit


def test_rows_of_zeros_stay_zeros() -> None:
    whole, scale = rounded(torch.zeros(2, 8))
    assert not whole.any()
    assert torch.isfinite(scale).all()


def losses(whole: str | None = None, autocast: bool = False, stored: bool = False) -> list[float]:
    """Forty steps of LoRA on one small model and batch; with its base rounded, or products in bfloat16 and the base stored so."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(**sizes, tie_word_embeddings=True))
    if whole:
        assert round_frozen(model, whole) == 14
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


@EACH_KERNEL
def test_lora_trains_around_rounded_layers_as_around_others(kernel: str) -> None:
    exact, whole = losses(), losses(whole=kernel)
    assert whole[-1] < whole[0] - 0.3
    assert whole[-1] == pytest.approx(exact[-1], rel=0.02)

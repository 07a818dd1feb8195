"""How a CPU holds the base's frozen linear layers: in int8, for faster products, or in the dtype that products are computed in.

In int8 both products with a frozen weight are faster, forward and for the gradient of the input, on a processor that has instructions
for them (AVX512-VNNI); without, torch computes them about thirty times slower than in float32. So the processor is asked: `int8_speed`.

Weights are rounded once by output channel, activations and gradients for every product by row (token); sums are int32, everything else
stays in the model's dtype. With a frozen weight there is no weight gradient, so both products of a layer are int8; SwitchBack
(https://arxiv.org/abs/2304.13013) computes the same two in int8 in full training. LoRA's own matrices are not rounded. The adapter is
evaluated and merged on the unrounded base, as a QLoRA adapter is.
"""

from __future__ import annotations

import timeit
from typing import Any

import torch
from torch import nn

from train.layers import decoder_layers

LARGEST = 127
WORTH = 1.4  # times as fast as other products, from which on rounding pays
PROBE = (256, 576)  # rows, and both dimensions of a weight


def rounded(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (n, k) as int8 (n, k) and their scales (n, 1), the same dtype as `rows`: `int8 * scale` is nearly `rows`."""
    scale = rows.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
    return (rows / scale).round().to(torch.int8), scale


class _Product(torch.autograd.Function):
    """`rows @ weight.T` for an int8 weight (out, in) with one scale for each output channel (out,)."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(weight, scale)
        whole, row_scale = rounded(rows)
        return torch._int_mm(whole, weight.t()).to(rows.dtype) * row_scale * scale

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        weight, scale = ctx.saved_tensors
        whole, row_scale = rounded(gradients[0] * scale)
        return torch._int_mm(whole, weight).to(gradients[0].dtype) * row_scale, None, None


class Int8Linear(nn.Linear):
    """A frozen linear layer: `weight` is int8 (out, in), `scale` has its factors (out,). PEFT wraps it like any other."""

    def __init__(self, linear: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        whole, scale = rounded(linear.weight.detach())
        self.weight = nn.Parameter(whole, requires_grad=False)
        self.bias = linear.bias
        self.register_buffer("scale", scale[:, 0])

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        product = _Product.apply(input.reshape(-1, self.in_features), self.weight, self.scale)
        product = product.view(*input.shape[:-1], self.out_features)
        return product if self.bias is None else product + self.bias


def int8_speed(dtype: torch.dtype) -> float:
    """How many times as fast as products in `dtype` those in int8 are here: a few tenths of a second of measuring."""
    rows, size = PROBE
    left, right = torch.ones(rows, size), torch.ones(size, size)
    int8 = [matrix.to(torch.int8) for matrix in (left, right)]
    other = [matrix.to(dtype) for matrix in (left, right)]
    products = (lambda: other[0] @ other[1].t(), lambda: torch._int_mm(int8[0], int8[1].t()))
    plain, whole = (min(timeit.repeat(product, number=1, repeat=4)) for product in products)
    return plain / whole


@torch.no_grad()
def round_frozen(model: Any) -> int:
    """Replace every linear layer but the output head by an `Int8Linear`, in place; how many there were."""
    head = model.get_output_embeddings()
    found = [(parent, name, child) for parent in model.modules() for name, child in parent.named_children() if type(child) is nn.Linear]
    frozen = [(parent, name, child) for parent, name, child in found if child is not head]
    for parent, name, child in frozen:
        setattr(parent, name, Int8Linear(child))
    return len(frozen)


@torch.no_grad()
def store_frozen(model: torch.nn.Module, dtype: torch.dtype) -> int:
    """Hold the frozen linear weights of decoder layers in `dtype`, in place; how many there were.

    That of autocast, which would otherwise copy each weight at every step and keep the copy until the backward pass. Losses and gradients
    are the same. Outside autocast such a layer cannot read its neighbours' float32 states.
    """
    linears = [module for layer in decoder_layers(model) for module in layer.modules() if type(module) is nn.Linear]
    frozen = [linear for linear in linears if not linear.weight.requires_grad]
    for linear in frozen:
        linear.weight.data = linear.weight.to(dtype)
    return len(frozen)

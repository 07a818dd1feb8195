"""How a CPU holds the base's frozen linear layers: in int8, for faster products, or in the dtype that products are computed in.

In int8 both products with a frozen weight are faster, forward and for the gradient of the input. On a processor that has instructions for
them (AVX512-VNNI) torch's own product is; with AVX2 alone that one is about thirty times slower than float32, and oneDNN's is about
twice as fast, but adds two products in 16 bits, so that rows must do with seven. Which of the two pays, if any, is measured:
`fastest_kernel`.

Weights are rounded once by output channel, activations and gradients for every product by row (token); sums are int32, everything else
stays in the model's dtype. With a frozen weight there is no weight gradient, so both products of a layer are int8; SwitchBack
(https://arxiv.org/abs/2304.13013) computes the same two in int8 in full training. LoRA's own matrices are not rounded. The adapter is
evaluated and merged on the unrounded base, as a QLoRA adapter is.
"""

from __future__ import annotations

import platform
import timeit
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from train.layers import decoder_layers

LARGEST = 127
WORTH = 1.4  # times as fast as other products, from which on rounding pays
PROBE = (768, 576)  # rows, and both dimensions of a weight


class Kernel(NamedTuple):
    """A way to compute int8 products: rows int8 (n, k) whose numbers are at most `largest`, by a weight int8 (out, in).

    `product(rows, weight, key, back)` is `rows @ weight` if `back`, else `rows @ weight.T`, exact, in int32 or float32; `key` is what
    `prepare(weight)` returned, int64 ().
    """

    name: str
    largest: int
    prepare: Callable[[torch.Tensor], torch.Tensor]
    product: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, bool], torch.Tensor]


def no_key(weight: torch.Tensor) -> torch.Tensor:
    return torch.tensor(-1)


def eight_bits(rows: torch.Tensor, weight: torch.Tensor, key: torch.Tensor, back: bool) -> torch.Tensor:
    return torch._int_mm(rows, weight if back else weight.t())


class Packed(NamedTuple):
    """A weight as oneDNN reads it, with a scale of one, float32 (out,), and a zero point of none, int64 (out,), for each output."""

    weight: torch.Tensor
    scale: torch.Tensor
    zero: torch.Tensor


HALF = 63  # two products of seven bits unsigned and eight signed fit in 16: 2 * (2 * 63 + 1) * 127 < 2 ** 15
_packed: list[tuple[Packed, Packed]] = []  # of both products, for the life of the process: torch.compile cannot trace oneDNN's tensors


def pack(weight: torch.Tensor) -> torch.Tensor:
    """Pack a weight int8 (out, in) for both products; returns its place in `_packed`, int64 ()."""
    both = []
    for matrix in (weight, weight.t()):
        size = matrix.shape[0]
        packed = torch.ops.onednn.qlinear_prepack(matrix.contiguous(), None)
        both.append(Packed(packed, torch.ones(size), torch.zeros(size, dtype=torch.int64)))
    _packed.append((both[0], both[1]))
    return torch.tensor(len(_packed) - 1)


@torch.library.custom_op("smollora::seven_bits", mutates_args=())
def seven_bits(rows: torch.Tensor, weight: torch.Tensor, key: torch.Tensor, back: bool) -> torch.Tensor:
    """`weight` only tells a compiler the shape; what is multiplied is what `pack` made of it."""
    packed = _packed[int(key)][back]
    unsigned = rows.view(torch.uint8) + (HALF + 1)  # from two's complement: 1 to 127
    product: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
        unsigned, 1.0, HALF + 1, packed.weight, packed.scale, packed.zero, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return product


@seven_bits.register_fake
def _(rows: torch.Tensor, weight: torch.Tensor, key: torch.Tensor, back: bool) -> torch.Tensor:
    return rows.new_empty((rows.shape[0], weight.shape[1 if back else 0]), dtype=torch.float32)


KERNELS = {
    kernel.name: kernel for kernel in (Kernel("eight_bits", LARGEST, no_key, eight_bits), Kernel("seven_bits", HALF, pack, seven_bits))
}


def rounded(rows: torch.Tensor, largest: int = LARGEST) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (n, k) as int8 (n, k) up to `largest` and their scales (n, 1), the same dtype as `rows`: `int8 * scale` is nearly `rows`."""
    scale = rows.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) / largest
    return (rows / scale).round().to(torch.int8), scale


class _Product(torch.autograd.Function):
    """`rows @ weight.T` for an int8 weight (out, in) with one scale for each output channel (out,)."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, key: torch.Tensor, kernel: str) -> torch.Tensor:
        ctx.save_for_backward(weight, scale, key)
        ctx.kernel = kernel
        return _scaled(rows, weight, key, kernel, back=False) * scale

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
        weight, scale, key = ctx.saved_tensors
        return _scaled(gradients[0] * scale, weight, key, ctx.kernel, back=True), None, None, None, None


def _scaled(rows: torch.Tensor, weight: torch.Tensor, key: torch.Tensor, kernel: str, back: bool) -> torch.Tensor:
    whole, row_scale = rounded(rows, KERNELS[kernel].largest)
    return KERNELS[kernel].product(whole, weight, key, back).to(rows.dtype) * row_scale


class Int8Linear(nn.Linear):
    """A frozen linear layer: `weight` is int8 (out, in), `scale` has its factors (out,). PEFT wraps it like any other."""

    def __init__(self, linear: nn.Linear, kernel: str = "eight_bits") -> None:
        nn.Module.__init__(self)
        self.kernel = kernel
        self.in_features, self.out_features = linear.in_features, linear.out_features
        whole, scale = rounded(linear.weight.detach())
        self.weight = nn.Parameter(whole, requires_grad=False)
        self.bias = linear.bias
        self.register_buffer("scale", scale[:, 0])
        self.register_buffer("key", KERNELS[kernel].prepare(self.weight), persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        product = _Product.apply(input.reshape(-1, self.in_features), self.weight, self.scale, self.key, self.kernel)
        product = product.view(*input.shape[:-1], self.out_features)
        return product if self.bias is None else product + self.bias


def int8_speed(kernel: Kernel, dtype: torch.dtype) -> float:
    """How many times as fast as products in `dtype` those of `kernel` are here: two seconds of measuring at most."""
    rows, size = PROBE
    left, right = torch.ones(rows, size), torch.ones(size, size)
    int8 = [matrix.to(torch.int8) for matrix in (left, right)]
    other = [matrix.to(dtype) for matrix in (left, right)]
    key = kernel.prepare(int8[1])
    products = (lambda: other[0] @ other[1].t(), lambda: kernel.product(int8[0], int8[1], key, False))
    plain, whole = (min(timeit.repeat(product, number=1, repeat=8)) for product in products)
    return plain / whole


def has_seven_bits() -> bool:
    """Whether torch brings oneDNN's product for this kind of processor."""
    return torch.backends.mkldnn.is_available() and platform.machine().lower() in ("x86_64", "amd64")


def fastest_kernel(dtype: torch.dtype) -> tuple[str, float]:
    """The name of the kernel to round for, and how many times as fast as products in `dtype` it is here.

    Eight bits where the processor has instructions for them, since seven are less exact; seven where it has AVX2 and no more. Other
    processors have not been measured, nor has what seven bits do beside AMX's bfloat16.
    """
    speed = int8_speed(KERNELS["eight_bits"], dtype)
    if speed >= 1 or torch.backends.cpu.get_cpu_capability() != "AVX2" or not has_seven_bits():
        return "eight_bits", speed
    return "seven_bits", int8_speed(KERNELS["seven_bits"], dtype)


@torch.no_grad()
def round_frozen(model: Any, kernel: str = "eight_bits") -> int:
    """Replace every linear layer but the output head by an `Int8Linear`, in place; how many there were."""
    head = model.get_output_embeddings()
    found = [(parent, name, child) for parent in model.modules() for name, child in parent.named_children() if type(child) is nn.Linear]
    frozen = [(parent, name, child) for parent, name, child in found if child is not head]
    for parent, name, child in frozen:
        setattr(parent, name, Int8Linear(child, kernel))
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

"""Muon for LoRA's matrices, beside the optimizer of everything else.

Muon (Jordan 2024, https://kellerjordan.github.io/posts/muon/) steps along the matrix nearest to a matrix's momentum whose singular values
are all alike. torch's takes matrices alone, and the Trainer takes one optimizer, so this is both in one. torch's also computes that matrix
in bfloat16, which a processor without it emulates; LoRA's matrices are small, so here it is computed in float32.
"""

from __future__ import annotations

from typing import Any

import torch

MATRICES = (".lora_A.", ".lora_B.")  # in PEFT's names


class Muon(torch.optim.Muon):
    """torch's, but for the dtype of its products."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                momentum = self.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))
                momentum.lerp_(weight.grad, 1 - group["momentum"])
                update = weight.grad.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                rate = group["lr"] * 0.2 * max(weight.shape) ** 0.5  # the mean square of AdamW's updates, see MuonForLora
                weight.add_(nearest_orthogonal(update.float(), group).to(weight.dtype), alpha=-rate)


def nearest_orthogonal(matrix: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
    """The matrix whose singular values, those of `matrix` (m, n), are near 1: Newton-Schulz iterations as in torch.optim.Muon."""
    a, b, c = group["ns_coefficients"]
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


class MuonForLora(torch.optim.Optimizer):
    """`other`, but for LoRA's matrices in `model`: `Muon` takes these over, with the options of their groups.

    A learning rate means what it means for AdamW: updates are scaled to the same mean square (Liu et al. 2025, "Muon is Scalable for LLM
    Training", section 2.2).
    """

    def __init__(self, model: torch.nn.Module, other: torch.optim.Optimizer, momentum: float) -> None:
        matrices = {id(weight) for name, weight in model.named_parameters() if any(part in name for part in MATRICES)}
        groups: list[dict[str, Any]] = []
        for group in other.param_groups:
            for muon in (True, False):
                weights = [weight for weight in group["params"] if (id(weight) in matrices) == muon]
                groups += [{**group, "params": weights, "muon": muon}] if weights else []
        taken = [group for group in groups if group["muon"]]
        self.parts = {
            True: Muon([weight for group in taken for weight in group["params"]], momentum=momentum, adjust_lr_fn="match_rms_adamw"),
            False: other,
        }
        options = {name: value for name, value in self.parts[True].defaults.items() if name not in ("lr", "weight_decay")}
        for group in taken:
            group.update(options)
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step of each part, on the groups and the state that this one keeps, saves and loads."""
        assert closure is None
        for muon, part in self.parts.items():
            part.state = self.state
            part.param_groups = [group for group in self.param_groups if group["muon"] == muon]
            part.step()

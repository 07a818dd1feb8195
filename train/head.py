"""The embedding and the output head of a base to which wire tokens were added, trained for the price of those few rows.

PEFT merges the trainable rows into a copy of the whole table for each use, and its gradient is as large as the table: of a vocabulary
of 49,000 a sixth of a training step on a CPU. Here the frozen table is only read, and the rows have a gradient of their own. Loss and
gradients are the same (`tests/test_head.py`).
"""

from __future__ import annotations

from typing import Any

import torch
import trl.trainer.utils as trl_utils
from peft.utils.other import TrainableTokensWrapper
from torch.nn import functional

from train.shared_prefix import MULTIPLE

CHUNK = 512  # positions whose logits are held in float32 at once
OUTPUTS = {"log_probs", "entropy", "is_top1"}  # what SFTTrainer asks for


class RowsApart(TrainableTokensWrapper):
    """PEFT's wrapper, reading table and trainable rows apart."""

    merged: torch.Tensor | None = None

    def _rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids (rows,) and the trainable rows (rows, hidden)."""
        (name,) = self.active_adapters
        delta = self.token_adapter.trainable_tokens_delta[name]
        return torch.tensor(self.token_adapter.token_indices[name], device=delta.device), delta

    def _forward_wrapped(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if not isinstance(self.original_module, torch.nn.Embedding):
            return super()._forward_wrapped(x, *args, **kwargs)
        ids, rows = self._rows()
        which = x[..., None] == ids
        found = functional.embedding(x, self.original_module.weight)
        return torch.where(which.any(dim=-1, keepdim=True), which.to(rows.dtype) @ rows, found)

    def table(self) -> torch.Tensor:
        """The merged table, without gradient, in the dtype that products are computed in; `trained` holds ids and trainable rows."""
        weight: torch.Tensor = self.original_module.weight
        device = weight.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        if self.merged is None or self.merged.dtype != dtype:
            self.merged = weight.detach().to(dtype, copy=True)
        ids, rows = self._rows()
        self.merged[ids] = rows.detach().to(dtype)
        self.merged.trained = (ids, rows)  # type: ignore[attr-defined]
        return self.merged

    def _getattr_wrapped(self, name: str, modules: Any) -> Any:
        return self.table() if torch.is_grad_enabled() and name == "weight" else super()._getattr_wrapped(name, modules)


class _LogProbs(torch.autograd.Function):
    """Log-probability of each target, entropy, and whether the target is the most likely id; each (n,)."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, rows: torch.Tensor, table: torch.Tensor, ids: torch.Tensor, targets: torch.Tensor) -> Any:
        states = functional.pad(hidden.to(table.dtype), (0, 0, 0, -len(hidden) % MULTIPLE))
        targets = functional.pad(targets, (0, len(states) - len(targets)))
        found: list[tuple[torch.Tensor, ...]] = []
        probabilities = states.new_empty(len(states), len(table))
        for start in range(0, max(1, len(states)), CHUNK):
            part = slice(start, start + CHUNK)
            logs = torch.log_softmax(states[part] @ table.t(), dim=-1, dtype=torch.float32)
            chosen = logs.gather(1, targets[part, None])[:, 0]
            shares = logs.exp()
            found.append((chosen, -torch.linalg.vecdot(shares, logs), logs.amax(dim=-1) <= chosen))
            probabilities[part] = shares
        ctx.save_for_backward(states, table, ids, targets, probabilities)
        ctx.dtypes = hidden.dtype, rows.dtype
        log_probs, entropy, top = (torch.cat(parts)[: len(hidden)] for parts in zip(*found, strict=True))
        ctx.mark_non_differentiable(entropy, top)
        return log_probs, entropy, top

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None, None]:
        states, table, ids, targets, probabilities = ctx.saved_tensors
        count = len(gradients[0])
        outer = functional.pad(gradients[0].float(), (0, len(states) - count))[:, None]
        to_hidden = outer * (table[targets].float() - (probabilities @ table).float())
        to_logits = outer * ((targets[:, None] == ids).float() - probabilities[:, ids].float())  # of the trained rows alone
        return to_hidden[:count].to(ctx.dtypes[0]), (to_logits.t() @ states.float()).to(ctx.dtypes[1]), None, None, None


class _Head:
    """Stands in for TRL's fused head: a table with trained rows of its own is scored here, any other by TRL."""

    theirs: Any = trl_utils._ChunkedLogProbFunction

    @classmethod
    def apply(cls, hidden: torch.Tensor, weight: torch.Tensor, bias: Any, targets: torch.Tensor, *options: Any) -> Any:
        trained = getattr(weight, "trained", None)
        if trained is None:
            return cls.theirs.apply(hidden, weight, bias, targets, *options)
        ids, rows = trained
        temperature, _, softcap, scale, outputs = options
        if (bias, temperature, softcap, scale) != (None, 1.0, None, 1.0) or not set(outputs) <= OUTPUTS:
            return cls.theirs.apply(hidden, weight.index_copy(0, ids, rows.to(weight.dtype)), bias, targets, *options)
        log_probs, entropy, top = _LogProbs.apply(hidden, rows, weight, ids, targets)
        return log_probs, entropy, None, None, top


def keep_rows_apart(model: torch.nn.Module) -> None:
    """Read every table with trainable rows as `RowsApart` does, in place."""
    trl_utils._ChunkedLogProbFunction = _Head  # type: ignore[misc, assignment]
    for module in model.modules():
        if type(module) is TrainableTokensWrapper:
            module.__class__ = RowsApart

"""The rows of tokens that `train.base` added: which they are, how training starts them, and their learning rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel

from data.manifest import read_manifest

PARAMETER = "trainable_tokens_delta"  # what PEFT calls the rows of `trainable_token_indices`: shape (rows, hidden)


def added_rows(base: str) -> list[int]:
    """Ids of the tokens that `train.base` added to a local base; none for a Hub id."""
    return sorted((read_manifest(Path(base)) or {}).get("added_tokens", {}).values())


class Ordinary(NamedTuple):
    """Of the rows of an input embedding: their `mean`, float32 (hidden,), and their mean `distance` from it."""

    mean: torch.Tensor
    distance: float


@torch.no_grad()
def ordinary_rows(model: PreTrainedModel) -> Ordinary:
    """What rows are like before PEFT wraps them."""
    embedding: Any = model.get_input_embeddings()
    table = embedding.weight
    mean = table.mean(dim=0, dtype=torch.float32)
    return Ordinary(mean, float((table - mean).norm(dim=1).mean()))


@torch.no_grad()
def lengthen_rows(model: torch.nn.Module, ordinary: Ordinary) -> None:
    """Move the trainable rows away from the mean row, to the distance that ordinary rows have.

    The base gives an added token the mean of the rows that spelled it. That is near the mean of all rows, so that in a tied embedding its
    logit stands out nowhere, and in a short run the token never becomes likely. What all rows share is left as it is: a row with more of
    it is more likely than others at most positions, and training would first have to unlearn that.
    """
    for name, rows in model.named_parameters():
        if PARAMETER in name and rows.requires_grad:
            own = rows - ordinary.mean.to(rows.device)
            rows.copy_(rows + own * (ordinary.distance / own.norm(dim=1, keepdim=True).clamp(min=1e-6) - 1))


def split_rows(model: torch.nn.Module, optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Move the trainable rows into a parameter group of their own, with their own learning rate and without weight decay."""
    rows = {id(weight) for name, weight in model.named_parameters() if PARAMETER in name and weight.requires_grad}
    moved = []
    for group in optimizer.param_groups:
        moved += [weight for weight in group["params"] if id(weight) in rows]
        group["params"] = [weight for weight in group["params"] if id(weight) not in rows]
    if moved:
        options = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
        optimizer.add_param_group({**options, "params": moved, "lr": learning_rate, "weight_decay": 0.0})

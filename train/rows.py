"""The rows of wire tokens that `train.base` added: which they are, how training starts them, and their learning rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from data.manifest import read_manifest

PARAMETER = "trainable_tokens_delta"  # what PEFT calls the rows of `trainable_token_indices`: shape (rows, hidden)


def added_rows(base: str) -> list[int]:
    """Ids of the wire tokens that `train.base` added to a local base; none for a Hub id."""
    return sorted((read_manifest(Path(base)) or {}).get("added_tokens", {}).values())


@torch.no_grad()
def mean_row_length(model: PreTrainedModel) -> float:
    """Mean norm of the rows of the input embedding, before PEFT wraps it."""
    embedding: Any = model.get_input_embeddings()
    return float(embedding.weight.float().norm(dim=1).mean())


@torch.no_grad()
def lengthen_rows(model: torch.nn.Module, length: float) -> None:
    """Scale the trainable rows to a norm of `length`, that of an ordinary row.

    The base gives an added token the mean of the rows that spelled it. A mean is short, a short row of a tied embedding has a small
    logit, and in a short run the token then never becomes likely.
    """
    for name, rows in model.named_parameters():
        if PARAMETER in name and rows.requires_grad:
            rows.mul_(length / rows.norm(dim=1, keepdim=True).clamp(min=1e-6))


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

"""Merges an adapter into its base, tensor by tensor in float32, and casts each tensor once.

PEFT's own `merge_and_unload` adds in the base's dtype: on a bfloat16 base it rounds twice. Holding the whole model in float32 instead
would take four bytes a parameter. Here one tensor at a time is in float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from data.errors import UserError
from eval.backends.local import store_by_columns

FLOAT32_GIB = 4.0  # a model that takes no more than this in float32 is held, and compared, in float32


def load_model(name: str, dtype: torch.dtype | str) -> PreTrainedModel:
    """The model on an accelerator if there is one; `dtype` may be `auto`: as it is stored."""
    model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def holding_dtype(name: str) -> torch.dtype | str:
    """float32 for a small model, `auto` for one that would take too much memory."""
    with torch.device("meta"):
        parameters = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(name)).num_parameters()
    return torch.float32 if 4 * parameters <= FLOAT32_GIB * 2**30 else "auto"


def load_unmerged(base: str, adapter: Path, dtype: torch.dtype | str) -> PeftModel:
    """The base with its adapter beside it, ready to decode; the adapter's own weights are float32."""
    model = PeftModel.from_pretrained(load_model(base, dtype), str(adapter)).eval()
    if model.device.type == "cpu" and dtype == torch.float32:
        store_by_columns(model)
    return model


@torch.no_grad()
def merge(model: PeftModel, dtype: torch.dtype) -> PreTrainedModel:
    """The base model with adapter and trained rows merged in float32, cast to `dtype`; `model` is used up."""
    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer):
            weights = list(layer.get_base_layer().parameters(recurse=False))
            recast(weights, torch.float32)
            layer.merge()
            recast(weights, dtype)
    merged: Any = model.unload()
    merged = merged.to(dtype)
    check_finite(merged)
    check_tied(merged)
    return merged


def recast(weights: Iterable[torch.nn.Parameter], dtype: torch.dtype) -> None:
    """Change the dtype in place, so that tied weights stay tied; rows are contiguous after it, as safetensors wants them."""
    for weight in weights:
        weight.data = weight.data.to(dtype).contiguous()


def check_finite(model: PreTrainedModel) -> None:
    """Raise for the first weight that holds an infinity or no number."""
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise UserError(name, "values that are not finite after the merge", "finite weights", "the run diverged: lower learning_rate")


def check_tied(model: PreTrainedModel) -> None:
    """Raise where a model with tied embeddings has come to read its tokens by other rows than it writes them."""
    head: Any = model.get_output_embeddings()
    embedding: Any = model.get_input_embeddings()
    if not getattr(model.config, "tie_word_embeddings", False) or head is None:
        return
    if not torch.equal(head.weight, embedding.weight):
        raise UserError(
            "lm_head",
            "rows that differ from those of the embedding, to which the config ties them",
            "one table for both",
            "train with ensure_weight_tying, or leave embedding and head out of target_modules",
        )
    model.tie_weights()

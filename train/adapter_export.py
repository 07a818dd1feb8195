"""An adapter that stays beside its base, for servers that load it at run time: vLLM's `--enable-lora`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from data.errors import UserError
from train.rows import PARAMETER

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# What vLLM 0.32 refuses when it loads an adapter (lora/peft_helper.py), beside trained rows
REFUSED = ("modules_to_save", "use_dora", "lora_bias", "alora_invocation_tokens", "layer_replication", "use_bdlora", "use_qalora")


def read_config(adapter: Path) -> dict[str, Any]:
    """PEFT's configuration of the adapter."""
    return json.loads((adapter / CONFIG).read_text())


def check_servable(adapter: Path) -> None:
    """Raise a `UserError` that says why a server could not apply this adapter, or why it should not."""
    config, remedy = read_config(adapter), "export without --adapter-only: the merged model has everything in its weights"
    with safe_open(adapter / WEIGHTS, framework="pt") as weights:
        names = list(weights.keys())
        broken = next((name for name in names if not torch.isfinite(weights.get_tensor(name)).all()), None)
    rows = config.get("trainable_token_indices")
    if rows or any(PARAMETER in name for name in names):
        found = f"rows of the embedding were trained with it: {rows or 'some'}"
        raise UserError(str(adapter), found, "linear layers only: servers refuse trained rows, and without them no call is emitted", remedy)
    if used := [name for name in REFUSED if config.get(name)]:
        raise UserError(str(adapter), f"{', '.join(used)} in {CONFIG}", "plain LoRA, which is what vLLM loads", remedy)
    if broken:
        raise UserError(f"{adapter / WEIGHTS}: {broken}", "values that are not finite", "finite weights", "lower learning_rate")


def largest_rank(config: dict[str, Any]) -> int:
    """The greatest rank of any layer."""
    return max([config["r"], *(config.get("rank_pattern") or {}).values()])


def copy_adapter(adapter: Path, folder: Path, base: str) -> None:
    """Weights and configuration, which names the base as the server will."""
    shutil.copyfile(adapter / WEIGHTS, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps({**read_config(adapter), "base_model_name_or_path": base}, indent=2) + "\n")

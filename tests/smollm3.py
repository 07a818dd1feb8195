"""SmolLM3's real tokenizer beside a small random model of its architecture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from transformers import SmolLM3Config, SmolLM3ForCausalLM

from tests.conftest import SMOLLM3

# a head of 32: vLLM's attention on CPUs takes none that is smaller
SMALL = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1}
LAYERS = {"no_rope_layers": [1, 1, 1, 0], "layer_types": ["full_attention"] * 4}


def small_model(folder: Path) -> Path:
    """Write the model with the tokenizer and the chat template that SmolLM3 is released with."""
    shape = json.loads((SMOLLM3 / "config.json").read_text())
    torch.manual_seed(0)
    model = SmolLM3ForCausalLM(SmolLM3Config(**{**shape, **SMALL, **LAYERS}))
    model.to(torch.float32).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        shutil.copyfile(SMOLLM3 / name, folder / name)
    return folder

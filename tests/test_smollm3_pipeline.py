"""SmolLM3's real tokenizer with a small random model of its architecture: trains, resumes and exports; its own template is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from transformers import SmolLM3Config, SmolLM3ForCausalLM

from tests.cli import launch, run
from tests.conftest import SMOLLM3

pytestmark = pytest.mark.skipif(not (SMOLLM3 / "tokenizer.json").is_file(), reason=f"SmolLM3's tokenizer.json is not in {SMOLLM3}")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm3")
    shape = json.loads((SMOLLM3 / "config.json").read_text())
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}
    layers = {"no_rope_layers": [1, 1, 1, 0], "layer_types": ["full_attention"] * 4}
    torch.manual_seed(0)
    model = SmolLM3ForCausalLM(SmolLM3Config(**{**shape, **small, **layers}))
    model.to(torch.float32).save_pretrained(folder / "model")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        shutil.copyfile(SMOLLM3 / name, folder / "model" / name)
    source = {"type": "synthetic", "train": 12, "validation": 6, "max_tools": 1, "mix": {"call": 2, "unserved": 1, "parallel": 1}}
    (folder / "data.yaml").write_text(yaml.safe_dump({"sources": [source]}))
    run("-m", "data.build", "--config", str(folder / "data.yaml"), "--out", str(folder / "data"))
    return folder


def paths(work: Path, out: str) -> tuple[str, ...]:
    return ("--model_name_or_path", str(work / "model"), "--dataset_dir", str(work / "data"), "--output_dir", str(work / out))


def test_trains_resumes_and_exports(work: Path) -> None:
    launch(*paths(work, "adapter"), "--max_steps", "2")
    (work / "adapter/manifest.json").unlink()
    launch(*paths(work, "adapter"))
    manifest = json.loads((work / "adapter/manifest.json").read_text())
    assert manifest["steps"] == 4
    assert manifest["trainable_token_ids"] == []
    assert manifest["supervision"]["share_of_calls_proven"] == 1
    run("-m", "train.export", "--adapter", str(work / "adapter"), "--out", str(work / "merged"))
    assert (work / "merged/manifest.json").is_file()
    assert "<tool_call>" in (work / "merged/chat_template.jinja").read_text()


def test_two_processes_train(work: Path) -> None:
    launch(*paths(work, "ddp"), accelerate="cpu_ddp")
    assert json.loads((work / "ddp/manifest.json").read_text())["steps"] == 4


def test_its_own_template_stops_the_run(work: Path) -> None:
    text = launch(*paths(work, "stock"), "--chat_template_path", "data/templates/smollm3/upstream.jinja", status=1)
    assert "the chat template does not supervise tool calls" in text
    assert not (work / "stock/manifest.json").exists()

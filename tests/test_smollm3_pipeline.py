"""SmolLM3's real tokenizer with a small random model of its architecture: trains, resumes and exports; its own template is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from tests.cli import launch, run
from tests.conftest import SMOLLM3
from tests.smollm3 import small_model
from train.gguf_file import find_converter, template_in, write_gguf

pytestmark = pytest.mark.skipif(not (SMOLLM3 / "tokenizer.json").is_file(), reason=f"SmolLM3's tokenizer.json is not in {SMOLLM3}")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm3")
    small_model(folder / "model")
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


@pytest.mark.skipif("SMOLLORA_GGUF_CONVERTER" not in os.environ, reason="SMOLLORA_GGUF_CONVERTER does not name llama.cpp's converter")
def test_llama_cpps_converter_keeps_the_template_byte_for_byte(work: Path) -> None:
    run("-m", "train.base", "--name", str(work / "model"), "--out", str(work / "base"))
    made = write_gguf(work / "base", find_converter(os.environ["SMOLLORA_GGUF_CONVERTER"]), "f32", "small")
    assert template_in(made) == (work / "base/chat_template.jinja").read_bytes().decode()

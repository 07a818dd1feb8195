"""The commands of the pipeline, run as a user runs them, on a random two-layer model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from tests.cli import ROOT, launch, run, train
from tests.toy import toy_tokenizer

MIX = {"call": 3, "unserved": 3, "dialogue": 2, "write_file": 1, "scene": 1}
FAST = ("--share_prefixes", "true", "--frozen_int8", "true", "--native_bf16", "true")  # the quickstart compiles its layers, too

TWO_PROCESSES = ("-m", "train.launch", "--config_file", "accelerate_configs/cpu_ddp.yaml", "--main_process_port", "0")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared tiny base and a built data set."""
    folder = tmp_path_factory.mktemp("pipeline")
    tokenizer = toy_tokenizer(thinking=False)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=16384, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder / "raw")
    bare = toy_tokenizer(thinking=False, calls=False)
    bare.save_pretrained(folder / "raw")
    run("-m", "train.base", "--name", str(folder / "raw"), "--out", str(folder / "base"), "--dtype", "float32")
    source = {"type": "synthetic", "train": 20, "validation": 8, "max_tools": 2, "mix": MIX}
    (folder / "data.yaml").write_text(yaml.safe_dump({"seed": 1, "sources": [source]}))
    run("-m", "data.build", "--config", str(folder / "data.yaml"), "--out", str(folder / "data"))
    return folder


def paths(work: Path, out: str) -> tuple[str, ...]:
    return ("--model_name_or_path", str(work / "base"), "--dataset_dir", str(work / "data"), "--output_dir", str(work / out), *FAST)


class Interrupted(NamedTuple):
    """What a trainer that got SIGINT left."""

    status: int
    told: str
    step: int
    finished: bool


def interrupt(folder: Path, *command: str, more: tuple[str, ...] = ()) -> Interrupted:
    """Ctrl-C in a terminal, which reaches every process of the command, at the third step or later."""
    options = ("--config", "configs/sft/smoke.yaml", *paths(folder.parent, folder.name), "--max_length", "20000", "--save_steps", "100000")
    whole = [sys.executable, *command, "train/sft.py", *options, *more, "--max_steps", "100000"]
    pipes: Any = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(whole, cwd=ROOT, start_new_session=True, **pipes) as process:
        assert process.stderr
        seen = ""
        while "3/100000" not in seen:  # the progress bar
            seen += process.stderr.read(1)
            assert process.poll() is None, seen
        os.killpg(process.pid, signal.SIGINT)
        told = process.stderr.read()
        status = process.wait(timeout=120)
    (checkpoint,) = list(folder.glob("checkpoint-*")) or pytest.fail(f"no checkpoint, status {status}: {told}")
    return Interrupted(status, told, int(checkpoint.name.split("-")[1]), (folder / "manifest.json").exists())


@pytest.fixture(scope="module")
def interrupted(work: Path) -> Interrupted:
    """A trainer interrupted at its third step or later."""
    return interrupt(work / "adapter")


@pytest.fixture(scope="module")
def adapter(work: Path, interrupted: Interrupted) -> Path:
    """The interrupted training, resumed for two more steps."""
    log = launch(*paths(work, "adapter"), "--max_length", "20000", "--max_steps", str(interrupted.step + 2))
    assert "calls proven" in log
    return work / "adapter"


def test_base_gets_the_missing_tokens(work: Path) -> None:
    manifest = json.loads((work / "base/manifest.json").read_text())
    added = manifest["added_tokens"]
    assert set(added) == {"<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", r"\n", r"\\", " {", " ["}
    assert len(set(added.values())) == len(added)
    assert "--tool-call-parser" in json.loads((work / "base/serve.json").read_text())["arguments"]


def test_every_call_is_proven(adapter: Path) -> None:
    supervision = json.loads((adapter / "supervision.json").read_text())
    assert supervision["calls"] > 0
    assert supervision["share_of_calls_proven"] == 1


def test_interrupted_training_saves_a_checkpoint(interrupted: Interrupted) -> None:
    assert interrupted.status == 130, interrupted.told
    assert "run the same command again to resume" in interrupted.told
    assert interrupted.step >= 3
    assert not interrupted.finished


def test_two_interrupted_processes_save_one_checkpoint(work: Path) -> None:
    muon = ("--muon", "true")
    stopped = interrupt(work / "two", *TWO_PROCESSES, more=muon)
    assert stopped.status == 130, stopped.told
    assert "run the same command again to resume" in stopped.told
    assert "Traceback" not in stopped.told
    assert stopped.step >= 3
    assert not stopped.finished
    launch(*paths(work, "two"), *muon, "--max_length", "20000", "--max_steps", str(stopped.step + 1), accelerate="cpu_ddp")
    assert json.loads((work / "two/manifest.json").read_text())["steps"] == stopped.step + 1


def test_the_error_of_two_processes_is_the_last_thing_said(work: Path, adapter: Path) -> None:
    text = run(*TWO_PROCESSES, "train/sft.py", "--config", "configs/sft/smoke.yaml", *paths(work, "adapter"), status=1)
    assert "finished run" in text
    assert "Traceback" not in text


def test_training_resumed_and_moved_the_wire_rows(interrupted: Interrupted, adapter: Path) -> None:
    manifest = json.loads((adapter / "manifest.json").read_text())
    assert manifest["steps"] == interrupted.step + 2
    weights = load_file(adapter / "adapter_model.safetensors")
    assert any("trainable_tokens_delta" in name for name in weights)
    assert any("lora_B" in name and weight.abs().max() > 0 for name, weight in weights.items())


def test_a_finished_run_is_not_overwritten(work: Path, adapter: Path) -> None:
    text = train(*paths(work, "adapter"), status=1)
    assert "finished run" in text
    assert "remedy" in text


def test_stock_template_stops_the_run(work: Path, adapter: Path) -> None:
    text = train(*paths(work, "stock"), "--chat_template_path", "data/templates/smollm3/upstream.jinja", status=1)
    assert "error: transcript synthetic-train-" in text
    assert "the chat template does not supervise tool calls" in text
    assert not (work / "stock/manifest.json").exists()


def test_export_then_evaluate(work: Path, adapter: Path) -> None:
    run("-m", "train.export", "--adapter", str(adapter), "--out", str(work / "merged"), "--dtype", "float32")
    comparison = json.loads((work / "merged/manifest.json").read_text())["comparison"]
    assert comparison["argmax_agreement"] == 1
    (work / "eval.yaml").write_text(yaml.safe_dump({"native": {"call": 3, "unserved": 2}, "gates": {"native_emission_rate": ">= 0.99"}}))
    command = ("-m", "eval.run", "--config", str(work / "eval.yaml"), "--model", str(work / "merged"), "--out", str(work / "eval"))
    assert "FAILED" in run(*command, status=2)
    assert json.loads((work / "eval/metrics.json").read_text())["n"]["native"] == 5
    first = (work / "eval/completions.jsonl").read_text()
    run(*command, status=2)
    assert (work / "eval/completions.jsonl").read_text() == first
    assert "Native tool calls" in (work / "eval/report.html").read_text()
    assert "No case changed" in run("-m", "eval.compare", str(work / "eval"), str(work / "eval"))
    assert json.loads((work / "eval/comparison.json").read_text())["shared_cases"] == 5
    assert "no finished evaluation" in run("-m", "eval.compare", str(work / "merged"), str(work / "eval"), status=1)


def test_evaluation_during_training_of_two_processes(work: Path) -> None:
    folder = work / "measured"
    (work / "training.yaml").write_text(yaml.safe_dump({"native": {"call": 2, "unserved": 1}}))
    measured = ("--eval_config", str(work / "training.yaml"), "--margin_steps", "2", "--emission_steps", "3", "--max_false_call_rate", "1")
    sizes = ("--max_length", "20000", "--save_total_limit", "1", "--save_steps", "1", "--gradient_checkpointing", "true")
    launch(*paths(work, folder.name), *measured, *sizes, accelerate="cpu_ddp")
    history = json.loads((folder / "manifest.json").read_text())["log_history"]
    assert [line["step"] for line in history if "eval_margin_auc" in line] == [0, 2, 4]
    assert [line["step"] for line in history if "eval_false_call_rate" in line] == [3, 4]
    assert all("loss" in line for line in history if "grad_norm" in line)
    best = json.loads((folder / "best_checkpoint.json").read_text())
    assert best["step"] in (3, 4)
    assert (folder / best["checkpoint"] / "adapter_model.safetensors").is_file()


def test_half_of_the_evaluation_keys_is_refused(work: Path) -> None:
    assert "one without the other" in train(*paths(work, "none"), "--max_length", "20000", "--margin_steps", "2", status=1)


def test_malformed_row_names_its_line(work: Path, tmp_path: Path) -> None:
    lines = (work / "data/train.jsonl").read_text().splitlines()
    row = json.loads(next(line for line in lines if '"tool_calls":[{' in line))
    for message in row["messages"]:
        for call in message.get("tool_calls", []):
            call["function"]["name"] = "get_wether"
    (tmp_path / "train.jsonl").write_text("\n".join([lines[0], json.dumps(row)]) + "\n")
    options = ("--model_name_or_path", str(work / "base"), "--dataset_dir", str(tmp_path), "--output_dir", str(tmp_path / "out"))
    text = train(*options, status=1)
    assert "train.jsonl:2" in text
    assert "names get_wether; tools are" in text


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 KiB, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder / "out"
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("command", ["base", "data", "train", "export"])
def test_full_disk_is_one_screen_and_nothing_looks_finished(command: str, work: Path, adapter: Path, full_disk: Path) -> None:
    out = str(full_disk)
    if command == "base":
        text = run("-m", "train.base", "--name", str(work / "raw"), "--out", out, "--dtype", "float32", status=1)
    elif command == "data":
        text = run("-m", "data.build", "--config", str(work / "data.yaml"), "--out", out, status=1)
    elif command == "train":
        text = train(*paths(work, "none")[:4], "--output_dir", out, "--max_length", "20000", status=1)
    else:
        text = run("-m", "train.export", "--adapter", str(adapter), "--out", out, "--dtype", "float32", status=1)
    error = text[text.index("error: ") :]
    assert [word for word in ("no space left on device", "expected:", "remedy:") if word not in error] == []
    assert not (full_disk / "manifest.json").exists()

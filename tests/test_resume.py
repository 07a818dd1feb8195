"""Killed with SIGKILL at random moments and run again, an evaluation loses no case, does none twice, and ends as an uninterrupted one."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import LlamaConfig, LlamaForCausalLM

from eval.backends.local import TransformersBackend
from eval.backends.protocol import Decoding, Request
from eval.backends.scripted import ScriptedBackend
from eval.completion import Completion, Key, read_completions
from eval.generate import complete_all

STOP, KILLS, CASES = 2, 10, 160
MODULES = ["eval.generate", "eval.backends.local", "eval.backends.scripted"]


def requests(budget: int) -> list[Request]:
    return [Request(Key(f"case-{at}", 0), [3 + (at * 7 + i * 5) % 9 for i in range(3 + at % 11)], [], [], budget) for at in range(CASES)]


def with_model(path: Path) -> None:
    """Small batches of a random model, sampled; in float32, so that rounding would show."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {"vocab_size": 12, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    backend = TransformersBackend(LlamaForCausalLM(LlamaConfig(**sizes)), 0, STOP, batch_size=3)
    complete_all(requests(24), backend, Decoding(temperature=1.0, logprobs=True), path, Console(quiet=True))


def with_script(path: Path) -> None:
    """Lines of many thousand bytes, so that most kills hit the writing of one."""
    script = {f"case-{at}": [at + 3] * 9_000 + [STOP] for at in range(CASES)}
    complete_all(requests(10_000), ScriptedBackend(script, STOP), Decoding(), path, Console(quiet=True))


def whole_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def interrupted(run: Any, path: Path, longest: float) -> list[int]:
    """Kill `run` ten times, each at most `longest` seconds after it began to add to `path`; completions there after each."""
    context = multiprocessing.get_context("forkserver")  # which imports torch once
    context.set_forkserver_preload(MODULES)
    rng, held = random.Random(0), []
    for _ in range(KILLS):
        process = context.Process(target=run, args=(path,))
        before = whole_lines(path)
        process.start()
        while process.is_alive() and whole_lines(path) <= before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, longest))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run was over before the kill"
        held.append(whole_lines(path))
    return held


def without_time(completions: list[Completion]) -> list[dict[str, Any]]:
    return [{**asdict(one), "seconds": None} for one in completions]


def check(run: Any, folder: Path, longest: float) -> None:
    killed, whole = folder / "killed/completions.jsonl", folder / "whole/completions.jsonl"
    held = interrupted(run, killed, longest)
    assert all(later > earlier for earlier, later in pairwise(held)), "each run must have kept what the last had"
    run(killed)
    run(whole)
    names = [json.loads(line)["case_id"] for line in killed.read_text().splitlines()]
    assert names == [f"case-{at}" for at in range(CASES)]
    assert without_time(read_completions(killed)) == without_time(read_completions(whole))


def test_ten_kills_while_a_model_generates(tmp_path: Path) -> None:
    check(with_model, tmp_path, longest=0.03)


def test_ten_kills_while_long_lines_are_written(tmp_path: Path) -> None:
    check(with_script, tmp_path, longest=0.01)

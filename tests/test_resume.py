"""Killed with SIGKILL at random moments and run again, an evaluation loses no case, does none twice, and ends as an uninterrupted one."""

from __future__ import annotations

import multiprocessing
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from transformers import LlamaConfig, LlamaForCausalLM

from eval import run as evaluation
from eval.backends.protocol import Decoding, Request
from eval.backends.scripted import ScriptedBackend
from eval.completion import Completion, Key, read_completions
from eval.generate import complete_all
from tests.toy import toy_tokenizer

STOP, KILLS, CASES = 2, 10, 160
MODULES = ["eval.run", "eval.backends.local", "eval.margin", "eval.backends.scripted"]


def requests(budget: int) -> list[Request]:
    return [Request(Key(f"case-{at}", 0), [3 + (at * 7 + i * 5) % 9 for i in range(3 + at % 11)], [], [], budget) for at in range(CASES)]


def with_command(out: Path) -> None:
    """`python -m eval.run` on a random model: small batches, sampled, with logprobs; in float32, so that rounding would show."""
    torch.set_num_threads(1)
    place = out.parent
    sys.argv = ["eval.run", "--config", str(place / "eval.yaml"), "--model", str(place / "model"), "--out", str(out)]
    with (place / "log.txt").open("a") as log, redirect_stdout(log), redirect_stderr(log):
        sys.exit(evaluation.main())


def prepare(folder: Path) -> None:
    """A random model and what to measure on it."""
    tokenizer = toy_tokenizer(family="smollm2")
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 16384}
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    backend = {"type": "transformers", "batch_size": 2, "dtype": "float32"}
    sampling = {"temperature": 1.0, "logprobs": True, "margin": True}
    (folder / "eval.yaml").write_text(yaml.safe_dump({"native": {"call": 20, "unserved": 12}, "backend": backend, **sampling}))


def with_script(path: Path) -> None:
    """Lines of many thousand bytes, so that most kills hit the writing of one."""
    script = {f"case-{at}": [at + 3] * 9_000 + [STOP] for at in range(CASES)}
    complete_all(requests(10_000), ScriptedBackend(script, STOP), Decoding(), path, Console(quiet=True))


def whole_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def interrupted(run: Callable[[Path], None], target: Path, completions: Path, longest: float) -> list[int]:
    """Kill `run(target)` ten times, each at most `longest` seconds after it added to `completions`; lines there after each."""
    context = multiprocessing.get_context("forkserver")  # which imports torch once
    context.set_forkserver_preload(MODULES)
    rng, held = random.Random(0), []
    for _ in range(KILLS):
        process = context.Process(target=run, args=(target,))
        before = whole_lines(completions)
        process.start()
        while process.is_alive() and whole_lines(completions) <= before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, longest))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run was over before the kill"
        held.append(whole_lines(completions))
    return held


def without_time(completions: list[Completion]) -> list[dict[str, Any]]:
    return [{**asdict(one), "seconds": None} for one in completions]


def finished(run: Callable[[Path], None], target: Path) -> None:
    """`run(target)` to its end, in a process of its own as the killed ones were."""
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=run, args=(target,))
    process.start()
    process.join()
    assert process.exitcode == 0


def test_ten_kills_of_an_evaluation(tmp_path: Path) -> None:
    """No case is lost or done twice, and verdicts and metrics are those of a run that nobody disturbed."""
    prepare(tmp_path)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    held = interrupted(with_command, killed, killed / "completions.jsonl", longest=0.05)
    assert all(later > earlier for earlier, later in pairwise(held)), "each run must have kept what the last had"
    assert not (killed / "manifest.json").exists()
    for out in (killed, whole):
        finished(with_command, out)
    completions = [read_completions(out / "completions.jsonl") for out in (killed, whole)]
    names = [one.case_id for one in completions[0]]
    assert len(names) == len(set(names)) == 32
    assert without_time(completions[0]) == without_time(completions[1])
    assert (killed / "metrics.json").read_text() == (whole / "metrics.json").read_text()


def test_ten_kills_while_long_lines_are_written(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed/completions.jsonl", tmp_path / "whole/completions.jsonl"
    held = interrupted(with_script, killed, killed, longest=0.01)
    assert all(later > earlier for earlier, later in pairwise(held))
    with_script(killed)
    with_script(whole)
    assert [one.case_id for one in read_completions(killed)] == [f"case-{at}" for at in range(CASES)]
    assert without_time(read_completions(killed)) == without_time(read_completions(whole))

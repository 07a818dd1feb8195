"""The watcher: each finished checkpoint exactly once, whatever kills it, and the history that it keeps.

Its evaluations are real processes. `eval.run` is stood in for by a module of that name which takes its options, notes in a file beside
`--out` that it ran, and writes a measured folder: the watcher under test is the real one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eval.checkpoints import SETTLED_SECONDS, content_digest, find, is_finished
from eval.drift import Count, changes
from eval.history import STALE_SECONDS, History, Item
from tests.cli import ROOT

STAND_IN = """
import argparse, json, os, pathlib, sys, time
parser = argparse.ArgumentParser()
for name in ("--config", "--model", "--adapter", "--out", "--fraction"):
    parser.add_argument(name)
args = parser.parse_args()
text = pathlib.Path(args.config).read_text()
out = pathlib.Path(args.out)
out.mkdir(parents=True, exist_ok=True)
log = out.parent / "ran.txt"
def note(word):
    with log.open("a") as file:
        file.write(f"{word} {out.name} {args.model} {args.adapter}\\n")
note("began")
while "wait" in text and not (out.parent / "go").exists():
    time.sleep(0.02)
time.sleep(float(os.environ.get("STAND_IN_SECONDS", 0)))
if "crash" in text:
    sys.exit(1)
rate = {"hits": 9, "n": 10, "value": 0.9, "low": 0.6, "high": 0.98}
(out / "metrics.json").write_text(json.dumps({"metrics": {"native_emission_rate": rate}}))
(out / "manifest.json").write_text("{}")
note("ended")
sys.exit(2 if "gate" in text else 0)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of runs, a config, and a stand-in for eval.run beside the real watcher."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "eval.yaml").write_text("seed: 1\n")
    package = tmp_path / "modules/eval"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"__path__ = [{str(package)!r}, {str(ROOT / 'eval')!r}]\n")
    (package / "run.py").write_text(STAND_IN)
    return tmp_path


def checkpoint(place: Path, name: str, weights: str = "", marker: bool = True) -> Path:
    folder = place / "runs" / name
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "the-base"}))
    (folder / "adapter_model.safetensors").write_text(weights or name)
    if marker:
        (folder / "trainer_state.json").write_text("{}")
    return folder


def start(place: Path, *options: str, seconds: float = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "eval.watch", "--runs", str(place / "runs"), "--config", str(place / "eval.yaml"), *options]
    environment = {**os.environ, "PYTHONPATH": f"{place / 'modules'}:{ROOT}", "STAND_IN_SECONDS": str(seconds), "COLUMNS": "200"}
    return subprocess.Popen(
        command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def watch(place: Path, *options: str, status: int = 0) -> str:
    with start(place, *options) as process:
        text, _ = process.communicate(timeout=120)
    assert process.returncode == status, text
    return text


def ran(place: Path, word: str = "ended") -> list[str]:
    log = place / "runs/evaluations/ran.txt"
    lines = log.read_text().splitlines() if log.is_file() else []
    return sorted(line.split(maxsplit=1)[1] for line in lines if line.startswith(word))


def statuses(place: Path) -> list[str]:
    return [line.status for line in History(place / "runs/evaluations/history.sqlite").evaluations()]


def test_each_checkpoint_once_by_content(place: Path) -> None:
    checkpoint(place, "a/checkpoint-1")
    checkpoint(place, "a/checkpoint-2")
    checkpoint(place, "a/final", weights="a/checkpoint-2")
    watch(place, "--once", "--", "--fraction", "0.5")
    assert len(ran(place)) == 2
    assert all("the-base" in line and "checkpoint-" in line for line in ran(place))
    watch(place, "--once")
    assert len(ran(place)) == 2
    checkpoint(place, "b/checkpoint-1", weights="new")
    watch(place, "--once")
    assert len(ran(place)) == 3
    (place / "eval.yaml").write_text("seed: 2\n")
    watch(place, "--once")
    assert len(ran(place)) == 6, "another config is another measurement"
    text = watch(place, "--history")
    assert text.count("90.0% n=10") == 6


def test_half_written_checkpoints_are_left_alone(place: Path) -> None:
    folder = checkpoint(place, "checkpoint-1", marker=False)
    assert not is_finished(folder)
    assert is_finished(folder, now=time.time() + SETTLED_SECONDS + 1)
    watch(place, "--once")
    assert ran(place, "began") == []
    (folder / "trainer_state.json").write_text("{}")
    assert is_finished(folder)
    os.utime(folder / "trainer_state.json", (0, 0))
    assert not is_finished(folder), "weights newer than the marker are being written anew"
    (folder / "adapter_config.json").unlink()
    assert not is_finished(folder, now=time.time() + SETTLED_SECONDS + 1)


def test_whole_models_are_checkpoints_and_hidden_folders_are_not(tmp_path: Path) -> None:
    for name in ("merged", ".trash"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text("w")
        (tmp_path / name / "manifest.json").write_text("{}")
    (found,) = find(tmp_path)
    assert (found.path, found.base) == (tmp_path / "merged", None)
    before = content_digest(found.path)
    (found.path / "optimizer.pt").write_text("state")
    assert content_digest(found.path) == before
    (found.path / "chat_template.jinja").write_text("another")
    assert content_digest(found.path) != before


def test_failed_gate_is_status_2_and_done(place: Path) -> None:
    checkpoint(place, "checkpoint-1")
    (place / "eval.yaml").write_text("# gate\n")
    watch(place, "--once", status=2)
    assert statuses(place) == ["done"]
    assert "FAILED" in watch(place, "--history")
    watch(place, "--once")


def test_crashes_are_tried_thrice_and_stop_nothing(place: Path) -> None:
    (place / "eval.yaml").write_text("# crash\n")
    checkpoint(place, "checkpoint-1")
    checkpoint(place, "checkpoint-2")
    for _ in range(3):
        watch(place, "--once", status=1)
    assert len(ran(place, "began")) == 6
    watch(place, "--once")
    assert len(ran(place, "began")) == 6
    assert statuses(place) == ["failed", "failed"]


def until_it_began(place: Path, times: int) -> None:
    end = time.monotonic() + 60
    while len(ran(place, "began")) < times:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_killed_watcher_leaves_its_claim_to_the_next(place: Path) -> None:
    """Ten kills at random moments, of the watcher alone or of its evaluation, too: each checkpoint is measured, none by two at a time."""
    for number in range(12):
        checkpoint(place, f"checkpoint-{number:02}")
    chance = random.Random(7)
    for attempt in range(10):
        process = start(place, "--interval", "0.1", seconds=0.3)
        until_it_began(place, len(ran(place, "began")) + 1)
        time.sleep(chance.uniform(0, 0.8))
        (os.kill if attempt % 2 else os.killpg)(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout
        process.stdout.close()
    watch(place, "--once")
    history = place / "runs/evaluations/history.sqlite"
    while "claimed" in statuses(place):  # by an evaluation that outlived its watcher
        watch(place, "--once")
    assert statuses(place) == ["done"] * 12
    assert sqlite3.connect(history).execute("SELECT count(*) FROM rates").fetchone() == (12,)
    lines = [line.split()[:2] for line in (place / "runs/evaluations/ran.txt").read_text().splitlines()]
    assert len({name for word, name in lines if word == "ended"}) == 12


def test_an_orphaned_evaluation_keeps_its_lock(place: Path) -> None:
    checkpoint(place, "checkpoint-1")
    (place / "eval.yaml").write_text("# wait\n")
    process = start(place, "--once")
    until_it_began(place, 1)
    process.kill()
    watch(place, "--once")
    assert len(ran(place, "began")) == 1, "the evaluation of the killed watcher still runs"
    assert statuses(place) == ["claimed"]
    (place / "runs/evaluations/go").touch()
    process.communicate(timeout=60)
    assert len(ran(place)) == 1
    watch(place, "--once")
    assert statuses(place) == ["done"]


def test_two_watchers_share_the_work(place: Path) -> None:
    for number in range(6):
        checkpoint(place, f"checkpoint-{number}")
    processes = [start(place, "--once", seconds=0.5) for _ in range(2)]
    for process in processes:
        text, _ = process.communicate(timeout=120)
        assert process.returncode == 0, text
    assert len(ran(place, "began")) == len(set(ran(place))) == 6


def test_evaluations_are_logged_to_wandb(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(place))
    checkpoint(place, "checkpoint-1")
    watch(place, "--once", "--wandb-project", "smollora")
    (logged,) = place.glob("wandb/offline-run-*/run-*.wandb")
    assert b"eval/native_emission_rate" in logged.read_bytes()


def test_claim_of_another_machine_is_taken_when_it_is_silent(tmp_path: Path) -> None:
    history, item = History(tmp_path / "history.sqlite"), Item("c" * 64, "f" * 64)
    assert history.claim(item, tmp_path, tmp_path / "out", now=1000.0)
    history.database.execute("UPDATE evaluations SET host = 'elsewhere'")
    assert not history.claim(item, tmp_path, tmp_path / "out", now=1000.0 + STALE_SECONDS - 1)
    assert history.claim(item, tmp_path, tmp_path / "out", now=1000.0 + STALE_SECONDS + 1)
    history.finish(item, 0, {"native_emission_rate": {"hits": 3, "n": 4}})
    assert not history.claim(item, tmp_path, tmp_path / "out", now=1e12)
    assert history.evaluations("f" * 64)[0].rates == {"native_emission_rate": Count(3, 4)}
    assert history.evaluations("other") == []


def test_change_points() -> None:
    series = [{"emission": Count(hits, 100)} for hits in (90, 93, 91, 60, 62, 92)]
    notes = changes(series)
    assert [sorted(note) for note in notes] == [[], [], [], ["emission"], [], ["emission"]]
    assert notes[3]["emission"].startswith("fell from 91.3% to 60.0%")
    assert notes[5]["emission"].startswith("rose from 61.0% to 92.0%")
    assert changes([{"emission": Count(0, 0)}, {"emission": Count(9, 10)}]) == [{}, {}]

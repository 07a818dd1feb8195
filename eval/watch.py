"""Evaluate each new checkpoint once: `python -m eval.watch --runs outputs/sft --config configs/eval/quickstart.yaml`

Looks through a folder for checkpoints, adapters or whole models, and runs `eval.run` on each finished one that this config did not
measure yet, told by its content, not by its name. Leaves `evaluations/` in the folder: a run for each checkpoint, and `history.sqlite`.
Killed at any moment and started again, it goes on where it was; several watchers share the work.

With `--once` it ends after one round, with exit status 2 when a gate failed in it and 1 when an evaluation ended without a measurement:
that is what `scripts/schedule/` runs. `--history` shows what was measured, with the change points that `eval.drift` sees.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from data.errors import UserError, reported
from data.manifest import read_manifest, sha256_file
from eval.alarm import hidden_fall_in
from eval.checkpoints import Checkpoint, content_digest, find, is_finished
from eval.drift import Count, changes
from eval.history import HEARTBEAT_SECONDS, Evaluation, History, Item
from eval.tracking import log_to_wandb

GATE_FAILED = 2
MEASURED = (0, GATE_FAILED)  # exit statuses with which eval.run leaves a finished folder
SHOWN = {"native_emission_rate": "emission", "native_accuracy": "correct", "false_call_rate": "false calls"}


@dataclass(frozen=True)
class Watcher:
    """One watcher's settings; `model` overrides what adapters name as their base, `extra` goes to eval.run as it is."""

    runs: Path
    config: Path
    out: Path
    model: str | None
    wandb_project: str | None
    extra: Sequence[str]
    console: Console

    def round(self, history: History) -> list[int]:
        """Evaluate what is new; the exit statuses."""
        statuses = []
        for checkpoint in find(self.runs):
            try:
                if self.out in checkpoint.path.parents or not is_finished(checkpoint.path):
                    continue
                item = Item(content_digest(checkpoint.path, history.sha256), sha256_file(self.config))
            except FileNotFoundError:
                continue  # rotated away by the trainer meanwhile
            status = self.evaluate(checkpoint, item, history)
            statuses += [] if status is None else [status]
        return statuses

    def evaluate(self, checkpoint: Checkpoint, item: Item, history: History) -> int | None:
        """Exit status of the item's evaluation, recorded in the history; None if it is done or in other hands."""
        out = self.out / f"{'-'.join(checkpoint.path.relative_to(self.runs).parts) or 'run'}-{item.name}"
        with history.lock(item) as descriptor:
            if descriptor is None or not history.claim(item, checkpoint.path, out):
                return None
            self.console.rule(f"{checkpoint.path} → {out}", align="left")
            status = self.measure(self.command(checkpoint, out), descriptor, item, history)
            result = out / "metrics.json"
            if status in MEASURED and read_manifest(out) is not None and result.is_file():
                history.finish(item, status, json.loads(result.read_text())["metrics"])
                self.tell(item, history)
            else:
                history.fail(item, status)
                self.console.print(f"{checkpoint.path}: eval.run ended with status {status}", style="bold red", markup=False)
            return status

    def command(self, checkpoint: Checkpoint, out: Path) -> list[str]:
        base = self.model or checkpoint.base
        chosen = ["--model", base, "--adapter", str(checkpoint.path)] if checkpoint.base and base else ["--model", str(checkpoint.path)]
        return [sys.executable, "-m", "eval.run", "--config", str(self.config), *chosen, "--out", str(out), *self.extra]

    def measure(self, command: list[str], descriptor: int, item: Item, history: History) -> int:
        """Run a command that holds the item's lock as long as it lives, also when this watcher is killed; returns its exit status."""
        with subprocess.Popen(command, pass_fds=[descriptor]) as process:
            try:
                while True:
                    try:
                        return process.wait(timeout=HEARTBEAT_SECONDS)
                    except subprocess.TimeoutExpired:
                        history.beat(item)
            finally:
                if process.poll() is None:
                    process.terminate()

    def tell(self, item: Item, history: History) -> None:
        """Print the change points of the newest evaluation and the alarm on a hidden fall, and log it."""
        done = [line for line in history.evaluations(item.config) if line.status == "done"]
        newest, notes = next((line, note) for line, note in zip(done, notes_of(done), strict=True) if line.item == item)
        for metric, note in notes.items():
            self.console.print(f"change point: {metric} {note}", style="bold yellow", markup=False)
        alarm = hidden_fall_in([line.as_rates() for line in done[: done.index(newest) + 1]])
        if alarm.fires:
            self.console.print(f"ALARM: {alarm.reason}", style="bold red", markup=False)
        if self.wandb_project:
            log_to_wandb(self.wandb_project, newest, notes, done.index(newest), self.out)


def notes_of(done: Sequence[Evaluation]) -> list[dict[str, str]]:
    """The change points of each evaluation; those of one config are a series."""
    series: dict[str, list[Evaluation]] = {}
    for line in done:
        series.setdefault(line.item.config, []).append(line)
    found: dict[Item, dict[str, str]] = {}
    for lines in series.values():
        found |= {line.item: note for line, note in zip(lines, changes([line.rates for line in lines]), strict=True)}
    return [found[line.item] for line in done]


def history_table(history: History) -> Table:
    """One line for each evaluation, oldest first."""
    lines = history.evaluations()
    done = [line for line in lines if line.status == "done"]
    notes = dict(zip((line.item for line in done), notes_of(done), strict=True))
    table = Table(title="evaluations", title_justify="left")
    for column in ("started", "checkpoint", "content", "status", *SHOWN.values(), "gates", "change"):
        table.add_column(column, overflow="fold")
    for line in lines:
        gates = {0: "passed", GATE_FAILED: "FAILED"}.get(line.exit_status or 0, "") if line.status == "done" else ""
        change = "; ".join(f"{metric} {note}" for metric, note in notes.get(line.item, {}).items())
        table.add_row(f"{datetime.fromtimestamp(line.started):%Y-%m-%d %H:%M}", line.path, line.item.name, status_text(line),
                      *(rate_text(line.rates.get(metric)) for metric in SHOWN), gates, change)  # fmt: skip
    return table


def status_text(line: Evaluation) -> str:
    if line.status == "claimed":
        return f"claimed by {line.host}:{line.pid}, heard {max(0.0, time.time() - line.heartbeat):.0f} s ago"
    return f"failed {line.failures} times, last status {line.exit_status}" if line.status == "failed" else line.status


def rate_text(count: Count | None) -> str:
    return f"{count.value:.1%} n={count.n}" if count and count.n else "n/a"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", required=True, type=Path, help="folder whose checkpoints, at any depth, are evaluated")
    parser.add_argument("--config", type=Path, help="YAML of suites and gates; see configs/eval/")
    parser.add_argument("--out", type=Path, help="folder of the evaluations and history.sqlite (default RUNS/evaluations)")
    parser.add_argument("--model", help="base of the adapters, instead of the one that each names")
    parser.add_argument("--once", action="store_true", help="end after one round")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between rounds (default %(default)g)")
    parser.add_argument("--wandb-project", help="log each evaluation to this Weights & Biases project")
    parser.add_argument("--history", action="store_true", help="show what was evaluated, and end")
    parser.add_argument("extra", nargs="*", help="after --: options for eval.run, such as --fraction 0.2")
    return parser.parse_args()


def terminated(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@reported
def main() -> int:
    args = parse()
    if not args.runs.is_dir():
        raise UserError(
            f"--runs {args.runs}", "no such folder", "a folder of checkpoints", "name the output_dir of train/sft.py, or above it"
        )
    out = args.out or args.runs / "evaluations"
    if args.history:
        Console().print(history_table(History(out / "history.sqlite")))
        return 0
    if args.config is None or not args.config.is_file():
        raise UserError(f"--config {args.config}", "no such file", "a YAML file", "configs/eval/ holds examples")
    signal.signal(signal.SIGTERM, terminated)
    watcher = Watcher(args.runs, args.config, out, args.model, args.wandb_project, args.extra, Console())
    history = History(out / "history.sqlite")
    while True:
        statuses = watcher.round(history)
        if args.once:
            return 1 if any(status not in MEASURED for status in statuses) else max(statuses, default=0)
        time.sleep(args.interval)


if __name__ == "__main__":
    sys.exit(main())

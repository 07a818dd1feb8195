"""The whole pipeline on the embedded 135M model: base → data → evaluate → train → evaluate → export → compare.

Run it as scripts/quickstart.sh, which sets up the environment first. Every stage leaves its own folder; a finished stage is not
run again, an interrupted one resumes. `summary.json` and `report.html` land in the output folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml
from rich.console import Console
from rich.table import Table

from data.errors import UserError, reported
from data.manifest import read_manifest, write_json
from data.precision import compute_dtype
from eval.backends.parallel import cores
from eval.report import metrics_table

ROOT = Path(__file__).resolve().parent.parent
BASE_FRACTION = 1 / 8  # the base is measured on every eighth case: it dumps code to the end of each budget
WHOLE_SECONDS = 29 * 60  # of everything: training gets what the other stages leave of it
ADAPTER_TO_BASE = 3.4  # how much longer the adapter's evaluation takes than the base's, which is on fewer cases: 2.5 to 3.4 measured
OTHER_SECONDS = 40  # before and after the training loop itself, export, comparison: this,
OTHER_TO_BASE = 0.85  # and as much of the base's evaluation: 52 to 90 s measured where that took 64, and 164 where it took 160
LAUNCH = "accelerate_configs/cpu_ddp.yaml"  # two processes; more would take more trees a step, and so fewer steps
LEAST_MINUTES, NOMINAL_MINUTES = 6.0, 14.0  # of training in half an hour


class Recipe(NamedTuple):
    """Configurations of a training, the minutes that their draws are meant for, and the steps of two trees that a minute usually has."""

    data: str
    train: str
    minutes: float
    steps_a_minute: float


QUICK = Recipe("configs/data/quickstart.yaml", "configs/sft/smollm2_quickstart.yaml", 24.0, 16.0)  # entry 42 of docs/experiments.md
LONG = Recipe("configs/data/long.yaml", "configs/sft/smollm2_long.yaml", 90.0, 11.1)  # entry 56


@dataclass(frozen=True)
class Stage:
    """One command, the folder whose manifest says that it is finished, and the stages whose folders it reads."""

    name: str
    folder: Path
    command: list[str]
    needs: tuple[str, ...] = ()

    def key(self, keys: dict[str, str]) -> str:
        """Changes with the command, the configuration files that it names, and the stages that it needs: then it must run again."""
        files = [(ROOT / part).read_text() for part in self.command if part.endswith(".yaml")]
        return hashlib.sha256("\0".join([*self.command, *files, *(keys[name] for name in self.needs)]).encode()).hexdigest()[:12]


class Quickstart:
    """Runs stages in order, remembers what they took, and skips what is finished."""

    def __init__(self, out: Path, minutes: float | None, console: Console, recipe: Recipe = QUICK) -> None:
        self.out, self.asked_minutes, self.console, self.recipe = out, minutes, console, recipe
        self.log = out / "stages.json"
        self.keys: dict[str, str] = {}
        self.peak = 0  # bytes that all processes of a stage held together
        self.seconds: dict[str, float] = json.loads(self.log.read_text()) if self.log.is_file() else {}

    def folder(self, name: str) -> Path:
        return self.out / name

    def minutes(self) -> float:
        """Of training: as asked for, as chosen before, or what is left of half an hour once the base has been evaluated."""
        chosen = self.out / "minutes.json"
        if self.asked_minutes is not None:
            return self.asked_minutes
        if chosen.is_file():
            return float(json.loads(chosen.read_text()))
        if "evaluate base" not in self.seconds:
            return self.recipe.minutes  # nothing that runs before depends on it
        ahead = (ADAPTER_TO_BASE + OTHER_TO_BASE) * self.seconds["evaluate base"] + OTHER_SECONDS
        left = WHOLE_SECONDS - sum(self.seconds.values()) - ahead
        minutes = round(min(max(left / 60, LEAST_MINUTES), self.recipe.minutes), 1)
        write_json(chosen, minutes)
        return minutes

    def data_config(self) -> Path:
        """The shipped data config, which is as much as the longest training can use, or less for fewer minutes that were asked for."""
        config = yaml.safe_load((ROOT / self.recipe.data).read_text())
        source = config["sources"][0]
        source["train"] = max(20, round(source["train"] * (self.asked_minutes or self.recipe.minutes) / self.recipe.minutes))
        path = self.out / "data.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return path

    def stages(self) -> list[Stage]:
        python = [sys.executable, "-m"]
        base, data, adapter, merged = (self.folder(name) for name in ("base", "data", "adapter", "merged"))
        evaluate = [*python, "eval.run", "--config", "configs/eval/quickstart.yaml", "--model", str(base)]
        options = {
            "config": self.recipe.train,
            "model_name_or_path": base,
            "dataset_dir": data,
            "output_dir": adapter,
            "max_minutes": self.minutes(),
        }
        train = [*trainer(), *(str(part) for name, value in options.items() for part in (f"--{name}", value))]
        eval_base, eval_adapter = self.folder("eval-base"), self.folder("eval-adapter")
        export = [*python, "train.export", "--adapter", str(adapter), "--out", str(merged)]
        return [
            Stage("base", base, [*python, "train.base", "--name", "embedded:smollm2-135m", "--out", str(base)]),
            Stage("data", data, [*python, "data.build", "--config", str(self.data_config()), "--out", str(data)]),
            Stage("evaluate base", eval_base, [*evaluate, "--out", str(eval_base), "--fraction", str(BASE_FRACTION)], ("base",)),
            Stage("train", adapter, train, ("base", "data")),
            Stage("evaluate adapter", eval_adapter, [*evaluate, "--adapter", str(adapter), "--out", str(eval_adapter)], ("train",)),
            Stage("export", merged, [*export, "--metrics", str(eval_adapter)], ("train", "evaluate adapter")),
        ]

    def run(self, stage: Stage, number: int, total: int) -> None:
        """Run one stage unless its manifest stands; time is added up over interrupted attempts."""
        key = self.keys[stage.name] = stage.key(self.keys)
        stamp = self.out / f".{stage.name.replace(' ', '-')}.key"
        self.console.rule(f"[bold]{number}/{total} {stage.name}", align="left")
        if read_manifest(stage.folder) and stamp.is_file() and stamp.read_text() == key:
            self.console.print("finished before; skipped", style="dim")
            return
        if stamp.is_file() and stamp.read_text() != key:
            shutil.rmtree(stage.folder, ignore_errors=True)
            self.seconds.pop(stage.name, None)
        stamp.write_text(key)
        began = time.monotonic()
        try:
            status = self.run_to_end(stage.command)
        finally:
            self.seconds[stage.name] = round(self.seconds.get(stage.name, 0.0) + time.monotonic() - began, 1)
            write_json(self.log, self.seconds)
        if status:
            raise UserError(f"stage {stage.name!r}", f"exit status {status}", "0", "the message above says why; the same command resumes")

    def run_to_end(self, command: list[str]) -> int:
        """Exit status of a stage. Ctrl-C reaches the stage, too, which saves what it has: it is waited for before this process stops."""
        with psutil.Popen(command, cwd=ROOT) as process:
            try:
                while True:
                    self.peak = max(self.peak, memory(process))
                    with suppress(psutil.TimeoutExpired):
                        return int(process.wait(timeout=1))
            except KeyboardInterrupt:
                process.wait()
                raise

    def compare(self) -> None:
        """Pair the two runs, and write the page that shows them side by side."""
        base, adapter = str(self.folder("eval-base")), str(self.folder("eval-adapter"))
        began = time.monotonic()
        page = ["eval.report", adapter, "--baseline", base, "--out", str(self.out / "report.html")]
        for arguments in (["eval.compare", base, adapter], page):
            if self.run_to_end([sys.executable, "-m", *arguments]) == 1:
                raise UserError("stage 'compare'", "exit status 1", "0", "the message above says why")
        self.seconds["compare"] = round(time.monotonic() - began, 1)

    def results(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder(name) / "metrics.json").read_text())

    def summarise(self) -> None:
        """Write `summary.json`, and print both runs side by side."""
        base, adapter = self.results("eval-base"), self.results("eval-adapter")
        training = read_manifest(self.folder("adapter")) or {}
        summary: dict[str, Any] = {
            "base": flat(base),
            "adapter": flat(adapter),
            "wall_seconds": self.seconds,
            "wall_seconds_total": round(sum(self.seconds.values()), 1),
            "peak_memory_gib": round(self.peak / 2**30, 2),
            "tokens_trained": training.get("tokens_seen"),
            "steps": training.get("steps"),
            "minutes": self.minutes(),
            "supervision": training.get("supervision"),
            "dtype": str(compute_dtype()),
        }
        write_json(self.out / "summary.json", summary)
        self.console.print(metrics_table({"base": base, "adapter": adapter}))
        table = Table(title="wall clock, seconds", title_justify="left")
        for name in [*self.seconds, "total"]:
            table.add_column(name, justify="right")
        table.add_row(*(f"{value:.0f}" for value in self.seconds.values()), f"{summary['wall_seconds_total']:.0f}")
        self.console.print(table)
        usual = round(self.recipe.steps_a_minute * (self.asked_minutes or NOMINAL_MINUTES))
        if (summary["steps"] or 0) < 0.7 * usual:
            slow = f"Only {summary['steps']} training steps fitted into {self.minutes():g} minutes, where {usual} are usual"
            self.console.print(f"{slow}: these are the figures of an undertrained adapter.", style="yellow", markup=False)
        self.console.print(f"{self.out / 'summary.json'}  {self.out / 'report.html'}  merged model: {self.folder('merged')}", markup=False)


def trainer() -> list[str]:
    """The trainer's command: processes that share the cores, each with trees of its own, or one where the cores are fewer."""
    processes = yaml.safe_load((ROOT / LAUNCH).read_text())["num_processes"]
    if cores() < processes:
        return [sys.executable, "train/sft.py"]
    threads = f"OMP_NUM_THREADS={cores() // processes}"
    launcher = ["-m", "train.launch", "--config_file", LAUNCH, "--main_process_port", "0"]
    return ["env", threads, sys.executable, *launcher, "train/sft.py"]


def memory(process: psutil.Process) -> int:
    """Resident bytes of a process and those that it started; what they share counts for each."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
    return total


def flat(result: dict[str, Any]) -> dict[str, Any]:
    """Metric → value, with `n` and `interval` beside them."""
    rates = result["metrics"]
    values = {name: rate["value"] for name, rate in rates.items()}
    return {
        **values,
        "n": result["n"],
        "n_of": {name: rate["n"] for name, rate in rates.items()},
        "interval": {name: [rate["low"], rate["high"]] for name, rate in rates.items()},
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, help="of training (default: what the other stages leave of half an hour; with --long 90)")
    parser.add_argument("--long", action="store_true", help=f"train with {LONG.train}: slower, better, more memory")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs/quickstart", help="folder to write (default outputs/quickstart)")
    return parser.parse_args()


@reported
def main() -> int:
    args = parse()
    console = Console()
    args.out.mkdir(parents=True, exist_ok=True)
    recipe = LONG if args.long else QUICK
    quickstart = Quickstart(args.out.resolve(), args.minutes or (LONG.minutes if args.long else None), console, recipe)
    if setup := os.environ.get("QUICKSTART_SETUP_SECONDS"):
        quickstart.seconds = {"set-up": max(float(setup), quickstart.seconds.get("set-up", 0.0)), **quickstart.seconds}
    total = len(quickstart.stages()) + 1
    for number in range(1, total):
        quickstart.run(quickstart.stages()[number - 1], number, total)
    console.rule(f"[bold]{total}/{total} compare", align="left")
    quickstart.compare()
    quickstart.summarise()
    return 0


if __name__ == "__main__":
    sys.exit(main())

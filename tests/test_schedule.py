"""The scheduled jobs: each file by its scheduler's own checker where one is installed, and each command line by the watcher's parser."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from eval import watch

FOLDER = Path(__file__).parents[1] / "scripts/schedule"
WORDS = {
    "crontab": lambda text: text.partition(" && ")[2].partition(">>")[0],
    "smollora-eval.service": lambda text: re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)[1],
    "github-actions.yml": lambda text: yaml.safe_load(text)["jobs"]["evaluate"]["steps"][2]["run"],
    "slurm.sbatch": lambda text: text.partition("exec srun ")[2],
    "kubernetes-cronjob.yaml": lambda text: shlex.join(container(text)["command"] + container(text)["args"]),
}


def container(text: str) -> dict[str, list[str]]:
    return yaml.safe_load(text)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]


def schedule_line() -> str:
    return next(line for line in (FOLDER / "crontab").read_text().splitlines() if " && " in line)


def checker(name: str) -> str:
    """Path of a checker; skips where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def complaint(*command: str, text: str | None = None) -> str:
    """What a checker says where it refuses; empty where it passes."""
    done = subprocess.run(command, capture_output=True, text=True, input=text, check=False)
    return f"exit status {done.returncode}: {done.stdout}{done.stderr}" if done.returncode else ""


@pytest.mark.parametrize("name", WORDS)
def test_its_command_is_one_that_the_watcher_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(WORDS[name]((FOLDER / name).read_text()))
    assert words[1:3] == ["-m", "eval.watch"]
    monkeypatch.setattr(sys, "argv", words[2:])
    args = watch.parse()
    assert args.once
    assert args.config
    assert words[0].endswith(".venv/bin/python")


def test_systemd_units(tmp_path: Path) -> None:
    """`verify` wants commands that exist and are executable, so the checkout's Python becomes one that does."""
    analyze = checker("systemd-analyze")
    for name in ("smollora-eval.service", "smollora-eval.timer"):
        text = (FOLDER / name).read_text().replace("/srv/smollora/.venv/bin/python", "/usr/bin/env")
        (tmp_path / name).write_text(text)
    units = [str(tmp_path / name) for name in ("smollora-eval.service", "smollora-eval.timer")]
    told = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told
    assert "smollora-eval" not in told.stdout + told.stderr
    (calendar,) = re.findall(r"^OnCalendar=(.*)$", (FOLDER / "smollora-eval.timer").read_text(), re.MULTILINE)
    assert not complaint(analyze, "calendar", calendar)


def test_crontab_line() -> None:
    cron = pytest.importorskip("croniter", reason="croniter is not installed")
    fields = schedule_line().split(maxsplit=5)
    assert cron.croniter.is_valid(" ".join(fields[:5]))
    assert "%" not in fields[5], "cron reads % as a line break"


def test_crontab_settings() -> None:
    settings = [line for line in (FOLDER / "crontab").read_text().splitlines() if line and not line.startswith("#") and " && " not in line]
    assert all(re.fullmatch(r"[A-Z]+=\S+", line) for line in settings)
    assert {name.partition("=")[0] for name in settings} >= set(re.findall(r"\$([A-Z]+)", schedule_line()))


def test_bash_reads_the_scripts() -> None:
    assert not complaint("bash", "-n", str(FOLDER / "slurm.sbatch"))
    assert not complaint("bash", "-n", text=schedule_line().split(maxsplit=5)[5])


def test_shellcheck() -> None:
    shellcheck = checker("shellcheck")
    assert not complaint(shellcheck, str(FOLDER / "slurm.sbatch"))
    # the crontab's own settings are the variables of its command
    assert not complaint(shellcheck, "--shell=bash", "--exclude=SC2154", "-", text=schedule_line().split(maxsplit=5)[5])


def test_sbatch_directives_stand_before_the_first_command() -> None:
    lines = (FOLDER / "slurm.sbatch").read_text().splitlines()
    first = next(at for at, line in enumerate(lines) if line and not line.startswith("#"))
    assert [at for at, line in enumerate(lines) if line.startswith("#SBATCH")][-1] < first


def test_github_workflow() -> None:
    assert not complaint(checker("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", str(FOLDER / "github-actions.yml"))


def test_github_workflow_lint() -> None:
    assert not complaint(checker("actionlint"), "-config-file", "/dev/null", str(FOLDER / "github-actions.yml"))


def test_kubernetes_cronjob() -> None:
    assert not complaint(checker("kubernetes-validate"), "--strict", str(FOLDER / "kubernetes-cronjob.yaml"))

"""Runs the project's commands as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*command: str, status: int = 0) -> str:
    """Run a command in the repository; returns stdout and stderr together."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == status, text[-3000:]
    return text


def train(*options: str, status: int = 0) -> str:
    """One process of the trainer without the launcher, which takes as long to start as the trainer itself."""
    return run("train/sft.py", "--config", "configs/sft/smoke.yaml", *options, status=status)


def launch(*options: str, accelerate: str = "cpu", status: int = 0) -> str:
    return run(
        "-m", "accelerate.commands.launch", "--config_file", f"accelerate_configs/{accelerate}.yaml", "train/sft.py",
        "--config", "configs/sft/smoke.yaml", *options, status=status,
    )  # fmt: skip

"""Logs evaluations to Weights & Biases, one run for each history, so that its rates are a curve over checkpoints. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from data.errors import UserError
from eval.history import Evaluation


def log_to_wandb(project: str, line: Evaluation, notes: Mapping[str, str], step: int, folder: Path) -> None:
    """Log one evaluation at `step`, its place in the history of its config.

    Raises:
        UserError: wandb is not installed.
    """
    try:
        import wandb
    except ImportError as error:
        raise UserError("--wandb-project", "wandb is not installed", "the package wandb", "pip install wandb, or leave it out") from error
    name = f"{folder.resolve()} {line.item.config}"
    run = wandb.init(project=project, id=hashlib.sha256(name.encode()).hexdigest()[:16], name=folder.parent.name, resume="allow")
    rates = {f"eval/{metric}": count.value for metric, count in line.rates.items() if count.n}
    run.log({**rates, "eval/gates_passed": int(line.exit_status == 0)}, step=step)
    for metric, note in notes.items():
        run.alert(title=f"{metric} changed", text=f"{line.path}: {metric} {note}")
    run.finish()

"""A wall-clock budget for the training loop, with a learning rate that decays in time as well as in steps."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from accelerate.utils import broadcast
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState


class TimeBudget(TrainerCallback, ExportableState):
    """Stops after `minutes` of training. Time already spent survives a resume through the trainer's state."""

    def __init__(self, minutes: float, spent_seconds: float = 0.0) -> None:
        self.seconds = 60 * minutes
        self.spent_seconds = spent_seconds
        self._since: float | None = None
        self._agreed = spent_seconds

    def state(self) -> dict[str, Any]:
        return {"args": {"minutes": self.seconds / 60}, "attributes": {"spent_seconds": self.elapsed()}}

    def elapsed(self) -> float:
        """Seconds of training, this run and those it resumes."""
        return self.spent_seconds + (time.monotonic() - self._since if self._since is not None else 0.0)

    def fraction(self) -> float:
        """The part of the budget that was spent at the end of the last step, the same on every process."""
        return self._agreed / self.seconds

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        callbacks: Any = state.stateful_callbacks or {}
        saved = callbacks.get(type(self).__name__)
        if isinstance(saved, dict) and state.global_step:
            self.spent_seconds = saved["attributes"]["spent_seconds"]
        self._since = time.monotonic()
        self._agreed = self.spent_seconds

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._agreed = float(broadcast(torch.tensor(self.elapsed(), device=args.device)))
        if self.fraction() >= 1:
            control.should_training_stop = True


def lr_factor(step: int, warmup_steps: int, max_steps: int, spent_fraction: float) -> float:
    """Linear warm-up by steps, then a cosine to 0 by steps or spent time, whichever is further on."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = min(1.0, max((step - warmup_steps) / max(1, max_steps - warmup_steps), spent_fraction))
    return 0.5 * (1 + math.cos(math.pi * progress))

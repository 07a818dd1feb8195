"""Ctrl-C in the training loop: nothing that was learnt is lost."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class SaveOnInterrupt(TrainerCallback):
    """On SIGINT or SIGTERM: end the step, save a checkpoint, stop. A second signal interrupts at once.

    One process only: several would have to agree on the step, and their launcher stops them itself.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.caught = False
        self._before: dict[int, Any] = {}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if args.world_size == 1:
            self._before = {number: signal.signal(number, self._catch) for number in self.SIGNALS}

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.caught = True
        self._restore()
        print("\nending this step and saving a checkpoint; once more to stop at once", file=sys.stderr)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.caught:
            control.should_save = control.should_training_stop = True

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._restore()

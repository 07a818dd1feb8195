"""Ctrl-C in the training loop: nothing that was learnt is lost."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

import torch
from accelerate.utils import reduce
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class SaveOnInterrupt(TrainerCallback):
    """On SIGINT or SIGTERM: end the step, save a checkpoint, stop. A second signal interrupts at once.

    Several processes stop after the same step, once any of them has caught one. Their launcher passes the signal on, which the terminal has
    sent to them already, so that one repetition does not count; it waits half a minute before it kills them.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.caught = False
        self._left = 1  # signals until one interrupts at once
        self._before: dict[int, Any] = {}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._left = 1 if args.world_size == 1 else 2
        self._before = {number: signal.signal(number, self._catch) for number in self.SIGNALS}

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if not self._left:
            self._restore()
            signal.raise_signal(number)
            return
        self._left -= 1
        if not self.caught:
            self.caught = True
            print("\nending this step and saving a checkpoint; once more to stop at once", file=sys.stderr)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        stop = self.caught
        if args.world_size > 1:
            stop = bool(reduce(torch.tensor(float(stop), device=args.device)))
        if stop:  # a signal that came while the processes agreed is told to the others after the next step
            self.caught = control.should_save = control.should_training_stop = True

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._restore()

"""Ctrl-C in the training loop: nothing that was learnt is lost."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType
from typing import Any

import torch
from accelerate.utils import reduce
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

ECHO_SECONDS = 2.0  # within which a launcher passes a signal on to processes that the terminal has sent it to already


class SaveOnInterrupt(TrainerCallback):
    """On SIGINT or SIGTERM: end the step, save a checkpoint, stop. A second signal interrupts at once.

    Several processes stop after the same step, once any of them has caught one. Their launcher waits half a minute before it kills them.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.caught = False
        self._until = 0.0
        self._echo = 0.0
        self._before: dict[int, Any] = {}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._echo = ECHO_SECONDS if args.world_size > 1 else 0.0
        self._before = {number: signal.signal(number, self._catch) for number in self.SIGNALS}

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if not self.caught:
            self.caught, self._until = True, time.monotonic() + self._echo
            print("\nending this step and saving a checkpoint; once more to stop at once", file=sys.stderr)
        elif time.monotonic() > self._until:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if args.world_size > 1:
            self.caught = bool(reduce(torch.tensor(float(self.caught), device=args.device)))
        if self.caught:
            control.should_save = control.should_training_stop = True

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._restore()

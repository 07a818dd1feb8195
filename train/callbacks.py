"""Evaluation during training: first-token margins often, emission now and then, and the best checkpoint by emission.

The only module of `train` that imports `eval`. The cases are those of `eval_config`, which should be few: at each `emission_steps` all of
them are completed by the model in training, adapter on, nothing merged. Under DDP each process takes its share of the cases.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType, gather_object
from transformers import PreTrainedTokenizerBase, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from data.errors import UserError
from data.manifest import write_json
from data.wire import WireIds
from eval.backends.config import TransformersConfig
from eval.backends.local import TransformersBackend
from eval.backends.protocol import Decoding
from eval.case import Case
from eval.config import load_cases, load_config
from eval.emission import Emission
from eval.generate import requests_of
from eval.margin import margins
from eval.rows import Row, rows_of
from eval.score import Rate, emitted, judged
from eval.separation import ALL, separation
from eval.verdict import Verdict
from train.arguments import DataArguments

BEST = "best_checkpoint.json"
WHOLE_WEIGHTS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)  # every process can generate by itself


@dataclass(frozen=True)
class Best:
    """What `best_checkpoint.json` holds: the checkpoint with the highest emission among those within the limit on false calls."""

    checkpoint: str
    step: int
    emission_rate: float
    false_call_rate: float | None
    max_false_call_rate: float

    @property
    def rank(self) -> tuple[float, float]:
        """More emission first, then fewer false calls."""
        return self.emission_rate, -(self.false_call_rate or 0.0)


class EvaluationCallback(TrainerCallback):
    """Measures the model in training; rates go through the trainer's log, and so to wandb, as `eval_…`."""

    def __init__(self, trainer: Trainer, cases: Sequence[Case], tokenizer: PreTrainedTokenizerBase, wire: WireIds, thinking: bool,
                 arguments: DataArguments, batch_size: int) -> None:  # fmt: skip
        self.trainer, self.cases, self.tokenizer, self.wire, self.batch_size = trainer, cases, tokenizer, wire, batch_size
        self.margin_steps, self.emission_steps = arguments.margin_steps, arguments.emission_steps
        self.max_false_call_rate = arguments.max_false_call_rate
        self.requests = requests_of(cases, tokenizer, wire, thinking)
        self.best: Best | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Margins of the start, or what an interrupted run had found best so far."""
        if state.global_step:
            self.best = read_best(Path(str(args.output_dir)), state.global_step)
        elif self.margin_steps:
            self.measure_margins(kwargs["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if is_due(state, self.margin_steps):
            self.measure_margins(kwargs["model"])
        if is_due(state, self.emission_steps):
            emission, false_calls = self.measure_emission(kwargs["model"])
            self.judge(emission, false_calls, state, control)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.best and self.best.step == state.global_step and state.is_world_process_zero:
            write_json(Path(str(args.output_dir)) / BEST, asdict(self.best))

    def measure_margins(self, model: Any) -> None:
        """Log mean margins in nats of cases that want a call and of those that do not, the shares above 0, and their AUC."""
        with self.measuring(model) as logs:
            found = self.gathered(list(margins(model, self.share(self.requests), self.wire, self.tokenizer, quiet=True).items()))
            group = separation(self.cases, {case_id: margin.margin for case_id, margin in found})[ALL]
            for wanted in ("call", "silent"):
                if group[wanted]:
                    logs |= {f"eval_margin_{wanted}": group[wanted]["mean"], f"eval_margin_{wanted}_above_0": group[wanted]["positive"]}
            logs |= {} if group["auc"] is None else {"eval_margin_auc": group["auc"]}

    def measure_emission(self, model: Any) -> tuple[Rate, Rate]:
        """Complete every case; log and return native emission where a call is wanted, and false calls where none is."""
        with self.measuring(model) as logs:
            backend = TransformersBackend(model, self.tokenizer.pad_token_id, self.wire.turn_close, self.batch_size)
            completions = self.gathered(list(backend.complete(self.share(self.requests), Decoding())))
            rows: list[Row] = [row for row in rows_of(self.cases, completions, self.tokenizer, self.wire, quiet=True) if row.counted]
            calling = [row for row in rows if row.case.expects_call]
            emission = emitted(calling, [Emission.NATIVE_CALL])
            false_calls = judged([row for row in rows if not row.case.expects_call], [Verdict.FALSE_CALL])
            right = judged(calling, [Verdict.RIGHT_CALL])
            rates = {"eval_emission_rate": emission, "eval_right_call_rate": right, "eval_false_call_rate": false_calls}
            logs |= {name: rate.value for name, rate in rates.items() if rate.value is not None}
        return emission, false_calls

    def judge(self, emission: Rate, false_calls: Rate, state: TrainerState, control: TrainerControl) -> None:
        """Have the trainer save this step, and keep it from rotation, if it is the best within the limit on false calls."""
        if emission.value is None or (false_calls.value or 0.0) > self.max_false_call_rate:
            return
        step = state.global_step
        found = Best(f"checkpoint-{step}", step, emission.value, false_calls.value, self.max_false_call_rate)
        if self.best is None or found.rank > self.best.rank:
            self.best = found
            state.best_global_step, state.best_metric = step, emission.value
            control.should_save = True

    @contextmanager
    def measuring(self, model: Any) -> Iterator[dict[str, float]]:
        """The model in evaluation mode; what is put into the dict is logged, with the seconds that it took."""
        logs: dict[str, float] = {}
        began, was_training = time.monotonic(), model.training
        model.eval()
        try:
            # layers compiled for training would be compiled anew for a growing cache
            with self.trainer.autocast_smart_context_manager(), torch.compiler.set_stance("force_eager"):
                yield logs
            logs["eval_seconds"] = round(time.monotonic() - began, 2)
            self.trainer.log(logs)  # in evaluation mode, or SFTTrainer would flush its training metrics into this line
        finally:
            model.train(was_training)

    def share(self, items: Sequence[Any]) -> Sequence[Any]:
        """This process's part."""
        return items[self.trainer.args.process_index :: self.trainer.args.world_size]

    def gathered(self, items: list[Any]) -> list[Any]:
        """The parts of all processes."""
        return list(gather_object(items))


def is_due(state: TrainerState, every: int | None) -> bool:
    """Every so many steps, and at the last one."""
    return bool(every) and (state.global_step % int(every or 1) == 0 or state.global_step == state.max_steps)


def read_best(folder: Path, step: int) -> Best | None:
    """The best checkpoint found up to `step`, if it is still there."""
    path = folder / BEST
    found = Best(**json.loads(path.read_text())) if path.is_file() else None
    return found if found and found.step <= step and (folder / found.checkpoint).is_dir() else None


def evaluation_callback(
    arguments: DataArguments, trainer: Trainer, tokenizer: PreTrainedTokenizerBase, wire: WireIds
) -> EvaluationCallback | None:
    """The callback that the arguments ask for, or None.

    Raises:
        UserError: steps without `eval_config` or the other way round, or weights that are spread over processes.
    """
    steps = [arguments.margin_steps, arguments.emission_steps]
    if not any(steps) and not arguments.eval_config:
        return None
    if not any(steps) or not arguments.eval_config:
        raise UserError("eval_config, margin_steps, emission_steps", "one without the other", "a file, and how often", "set both or none")
    if trainer.accelerator.distributed_type not in WHOLE_WEIGHTS:
        found = f"weights spread over processes ({trainer.accelerator.distributed_type.value})"
        raise UserError("eval_config", found, "whole weights in every process", "leave it out, and run python -m eval.watch beside")
    config = load_config(Path(arguments.eval_config))
    batch_size = config.backend.batch_size if isinstance(config.backend, TransformersConfig) else TransformersConfig().batch_size
    return EvaluationCallback(trainer, load_cases(config), tokenizer, wire, config.enable_thinking, arguments, batch_size)

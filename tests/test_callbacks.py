"""The best checkpoint: the most native calls among those within the limit on false calls."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments

from data.wire import read_ids
from eval.score import rate
from tests.toy import toy_tokenizer
from train.arguments import DataArguments
from train.callbacks import EvaluationCallback, is_due, read_best

ARGUMENTS = DataArguments(dataset_dir="", eval_config="small.yaml", emission_steps=1, max_false_call_rate=0.25)


@pytest.fixture
def callback(tmp_path: Path) -> EvaluationCallback:
    tokenizer = toy_tokenizer()
    trainer = Trainer(torch.nn.Linear(1, 1), TrainingArguments(str(tmp_path), use_cpu=True, report_to="none"))
    return EvaluationCallback(trainer, [], tokenizer, read_ids(tokenizer), False, ARGUMENTS, 8)


def step(callback: EvaluationCallback, number: int, calls: int, false_calls: int) -> bool:
    """Judge a measurement of ten and ten cases, and save if told so; whether a save was asked for."""
    state, control = callback.trainer.state, TrainerControl()
    state.global_step = number
    callback.judge(rate(calls, 10), rate(false_calls, 10), state, control)
    if control.should_save:
        (Path(cast(str, callback.trainer.args.output_dir)) / f"checkpoint-{number}").mkdir()
        callback.on_save(callback.trainer.args, state, control)
    return control.should_save


def test_best_has_the_most_calls_within_the_limit(callback: EvaluationCallback, tmp_path: Path) -> None:
    assert not step(callback, 1, calls=10, false_calls=3)
    assert step(callback, 2, calls=6, false_calls=2)
    assert not step(callback, 3, calls=6, false_calls=2)
    assert step(callback, 4, calls=6, false_calls=1)
    assert step(callback, 5, calls=8, false_calls=2)
    assert not step(callback, 6, calls=7, false_calls=0)
    best = read_best(tmp_path, 6)
    assert best == callback.best
    assert best is not None
    assert (best.step, best.emission_rate) == (5, 0.8)
    assert callback.trainer.state.best_global_step == 5


def test_best_of_a_later_step_or_a_lost_folder_is_not_taken_up(callback: EvaluationCallback, tmp_path: Path) -> None:
    assert read_best(tmp_path, 9) is None
    step(callback, 5, calls=8, false_calls=2)
    assert read_best(tmp_path, 4) is None
    (tmp_path / "checkpoint-5").rmdir()
    assert read_best(tmp_path, 9) is None


def test_measurements_are_due_at_multiples_and_at_the_end() -> None:
    state = TrainerState(max_steps=7)
    due = [number for number in range(1, 8) if is_due(TrainerState(global_step=number, max_steps=7), 3)]
    assert due == [3, 6, 7]
    assert not is_due(state, None)

"""The shims, the budget, and the added rows."""

from __future__ import annotations

import inspect
import signal
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import trl.trainer.utils as trl_utils
from peft import LoraConfig, get_peft_model
from peft.utils.other import TrainableTokensWrapper
from rich.console import Console
from transformers import LlamaConfig, LlamaForCausalLM, TrainerControl, TrainerState

from tests.toy import toy_tokenizer
from train import compat
from train.base import add_rows
from train.budget import lr_factor
from train.interrupt import SaveOnInterrupt
from train.layers import compile_layers, decoder_layers, has_compiler
from train.rows import Ordinary, lengthen_rows, ordinary_rows, split_rows


def test_upstream_still_needs_the_bias_shim() -> None:
    """Fails when PEFT's wrapper answers `bias` or TRL stops asking: then delete `give_tied_head_a_bias`."""
    assert "bias" not in {name for cls in TrainableTokensWrapper.__mro__ for name in vars(cls)} or TrainableTokensWrapper.bias is None
    assert "lm_head.weight, lm_head.bias" in inspect.getsource(trl_utils.add_fused_lm_head)


def test_upstream_still_scores_every_position_on_cpu() -> None:
    """Fails when TRL decides otherwise: then delete `score_supervised_positions_on_cpu`."""
    assert "compact = _use_triton(hidden_states.device)" in inspect.getsource(trl_utils.add_fused_lm_head)
    compat.apply()
    assert trl_utils._use_triton(torch.device("cpu"))


@pytest.mark.parametrize(("processes", "signals"), [(1, 2), (2, 3)])
def test_the_signal_that_a_launcher_passes_on_is_no_second_one(processes: int, signals: int) -> None:
    """Nor where another process caught it first, and this one was told at the end of the step."""
    waiting: Any = SimpleNamespace(world_size=processes)
    for told in (False, True):
        interrupt = SaveOnInterrupt()
        interrupt.on_train_begin(waiting, TrainerState(), TrainerControl())
        interrupt.caught = told
        for _ in range(signals - 1):
            signal.raise_signal(signal.SIGINT)
        assert interrupt.caught
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_signal_that_comes_while_processes_agree_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def agree(asked: torch.Tensor) -> torch.Tensor:
        if not asked:
            signal.raise_signal(signal.SIGINT)
        return asked

    monkeypatch.setattr("train.interrupt.reduce", agree)
    interrupt, control = SaveOnInterrupt(), TrainerControl()
    two: Any = SimpleNamespace(world_size=2, device=torch.device("cpu"))
    interrupt.on_train_begin(two, TrainerState(), control)
    interrupt.on_step_end(two, TrainerState(), control)
    assert not control.should_training_stop  # the others were told to go on
    interrupt.on_step_end(two, TrainerState(), control)
    assert control.should_training_stop
    assert control.should_save
    interrupt.on_train_end(two, TrainerState(), control)


def test_learning_rate_follows_the_slower_of_steps_and_time() -> None:
    assert lr_factor(0, 10, 100, 0.0) == pytest.approx(1 / 11)
    assert lr_factor(10, 10, 100, 0.0) == 1
    assert lr_factor(55, 10, 100, 0.0) == pytest.approx(0.5)
    assert lr_factor(20, 10, 100, 1.0) == pytest.approx(0.0)


def test_added_rows_are_the_mean_of_their_pieces() -> None:
    tokenizer = toy_tokenizer(thinking=False)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer) - 1, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    )
    text = r"\\"
    assert tokenizer.convert_tokens_to_ids(text) == len(tokenizer) - 1
    add_rows(model, tokenizer, {text: [5, 6, 7]})
    table = model.get_input_embeddings().weight.detach()
    assert torch.allclose(table[-1], table[[5, 6, 7]].mean(0))


def model_with_rows() -> torch.nn.Module:
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=20, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, tie_word_embeddings=True
        )
    )
    return get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", trainable_token_indices=[18, 19]))


def test_training_starts_with_rows_as_far_from_the_mean_row_as_others() -> None:
    model = model_with_rows()
    before = model.get_input_embeddings()(torch.tensor([18, 19])).detach().clone()
    mean = torch.linspace(-1, 1, 16)
    lengthen_rows(model, Ordinary(mean, 3.0))
    after = model.get_input_embeddings()(torch.tensor([18, 19])).detach()
    assert (after - mean).norm(dim=1).tolist() == pytest.approx([3.0, 3.0])
    assert torch.cosine_similarity(after - mean, before - mean).tolist() == pytest.approx([1.0, 1.0])


def test_a_table_is_described_by_its_mean_row_and_the_distance_from_it() -> None:
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=2, hidden_size=2, intermediate_size=2, num_hidden_layers=1, num_attention_heads=1, tie_word_embeddings=True)
    )
    model.get_input_embeddings().weight.data = torch.tensor([[1.0, 5.0], [1.0, -3.0]])
    mean, distance = ordinary_rows(model)
    assert mean.tolist() == [1.0, 1.0]
    assert distance == 4.0


def test_rows_get_their_own_learning_rate() -> None:
    model = model_with_rows()
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-3)
    split_rows(model, optimizer, 1e-2)
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3, 1e-2]
    assert [list(weight.shape) for weight in optimizer.param_groups[1]["params"]] == [[2, 16]]


def test_decoder_layers_are_found_under_peft() -> None:
    assert [type(layer).__name__ for layer in decoder_layers(model_with_rows())] == ["LlamaDecoderLayer"]


@pytest.mark.skipif(not has_compiler(), reason="needs a C++ compiler")
def test_compiled_layers_compute_the_same() -> None:
    model, ids = model_with_rows(), torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
    plain = model(input_ids=ids, labels=ids).loss
    compile_layers(model, Console(quiet=True))
    compiled = model(input_ids=ids, labels=ids).loss
    compiled.backward()
    assert compiled.item() == pytest.approx(plain.item(), rel=1e-5)
    assert all(weight.grad is not None for name, weight in model.named_parameters() if "lora_A" in name)


def test_without_a_compiler_layers_stay_as_they_are(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    model = model_with_rows()
    compile_layers(model, Console())
    assert "no C++ compiler" in capsys.readouterr().out
    assert all(layer._compiled_call_impl is None for layer in decoder_layers(model))

"""Muon for LoRA's matrices beside AdamW for the rest: what each takes, that it is torch's step, that its state is saved and loaded."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from train.muon import MATRICES, Muon, MuonForLora


def adapted() -> torch.nn.Module:
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=20, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    config.tie_word_embeddings = True
    return get_peft_model(LlamaForCausalLM(config), LoraConfig(r=2, target_modules="all-linear", trainable_token_indices=[18, 19]))


def trained(model: torch.nn.Module, matrices: bool) -> list[torch.nn.Parameter]:
    """LoRA's matrices, or the other trained weights."""
    return [
        weight for name, weight in model.named_parameters() if weight.requires_grad and any(part in name for part in MATRICES) == matrices
    ]


def beside(model: torch.nn.Module) -> MuonForLora:
    other = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2, weight_decay=0.0)
    return MuonForLora(model, other, momentum=0.9)


def backward(model: torch.nn.Module, step: int) -> None:
    ids = torch.randint(20, (1, 12), generator=torch.Generator().manual_seed(step))
    model.zero_grad()
    model(input_ids=ids, labels=ids).loss.backward()


def test_each_part_steps_as_it_does_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that the step is torch's, with its products in float32."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.float)
    model = adapted()
    twin = copy.deepcopy(model)
    optimizer = beside(model)
    options = {"momentum": 0.9, "weight_decay": 0.0, "adjust_lr_fn": "match_rms_adamw"}
    apart = [torch.optim.Muon(trained(twin, True), lr=1e-2, **options), torch.optim.AdamW(trained(twin, False), lr=1e-2, weight_decay=0.0)]
    for step in range(3):
        backward(model, step)
        backward(twin, step)
        optimizer.step()
        for part in apart:
            part.step()
    for matrices in (True, False):
        assert len(trained(model, matrices)) == (14 if matrices else 1)
        for weight, expected in zip(trained(model, matrices), trained(twin, matrices), strict=True):
            assert torch.allclose(weight, expected, rtol=1e-5, atol=1e-7)


def test_a_step_is_near_torchs_in_bfloat16() -> None:
    torch.manual_seed(0)
    weight, twin = (torch.nn.Parameter(torch.zeros(48, 8)) for _ in range(2))
    weight.grad = twin.grad = torch.randn(48, 8)
    options = {"lr": 1e-2, "adjust_lr_fn": "match_rms_adamw"}
    Muon([weight], **options).step()
    torch.optim.Muon([twin], **options).step()
    assert (weight - twin).norm() < 0.02 * twin.norm()
    singular = torch.linalg.svdvals(weight / (1e-2 * 0.2 * 48**0.5))
    assert singular.min() > 0.5
    assert singular.max() < 1.5


def test_going_on_from_a_saved_state_is_going_on() -> None:
    model = adapted()
    optimizer = beside(model)
    for step in range(2):
        backward(model, step)
        optimizer.step()
    resumed = copy.deepcopy(model)
    after = beside(resumed)
    after.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, its in ((model, optimizer), (resumed, after)):
        for group in its.param_groups:
            group["lr"] = 3e-3  # as a schedule does
        backward(one, 2)
        its.step()
    for weight, expected in zip(resumed.parameters(), model.parameters(), strict=True):
        assert torch.equal(weight, expected)

"""Our decoding loop against the library's."""

from __future__ import annotations

import copy

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from eval.backends.local import TransformersBackend, batches, store_by_columns
from eval.backends.protocol import Request
from eval.completion import Key

STOP, PAD = 2, 0


def small_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"vocab_size": 12, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config = LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2, eos_token_id=STOP, pad_token_id=PAD)
    return LlamaForCausalLM(config).double().eval()


def test_rows_that_end_early_leave_the_others_as_they_are() -> None:
    model = small_model()
    prompts = [[3 + (row * 7 + at * 5) % 9 for at in range(3 + row)] for row in range(20)]
    budgets = [90 - row for row in range(20)]  # longer than the cache's room
    stored = copy.deepcopy(model)
    store_by_columns(stored)
    outputs = TransformersBackend(stored, PAD, STOP).generate(prompts, budgets)
    for prompt, budget, output in zip(prompts, budgets, outputs, strict=True):
        alone = model.generate(torch.tensor([prompt]), max_new_tokens=budget, do_sample=False, attention_mask=torch.ones(1, len(prompt)))
        assert output == alone[0, len(prompt) :].tolist()
    assert len({len(output) for output in outputs if output[-1] == STOP}) > 1, "the test needs rows that end at different steps"


def test_batches_hold_every_case_once_by_budget_and_length() -> None:
    requests = [Request(Key(str(at), 0), [1] * (10 - at), [], [], 300 if at == 6 else 80 + at) for at in range(7)]
    found = list(batches(requests, 3))
    assert [len(batch) for batch in found] == [3, 3, 1]
    assert [len(request.prompt) for batch in found for request in batch] == [5, 6, 7, 8, 9, 10, 4]

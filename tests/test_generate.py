"""Our decoding loop against the library's, and what a batch owes each of its requests."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedModel

from eval.backends.decode import prefill_parts
from eval.backends.local import TransformersBackend, batches, store_by_columns
from eval.backends.protocol import Decoding, Request
from eval.completion import Completion, Key

STOP, PAD, VOCABULARY, CONTEXT = 2, 0, 12, 160
GREEDY = Decoding()
SAMPLED = Decoding(temperature=0.8, seed=7, logprobs=True)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, eos_token_id=STOP, pad_token_id=PAD)).double().eval()


def request(name: str, prompt: list[int], budget: int, repeat: int = 0) -> Request:
    return Request(Key(name, repeat), prompt, [], [], budget)


def some_requests(count: int = 20) -> list[Request]:
    """Prompts and budgets of many lengths, some budgets longer than the cache's room."""
    return [request(str(row), [3 + (row * 7 + at * 5) % 9 for at in range(3 + row)], 90 - row) for row in range(count)]


def completed(model: LlamaForCausalLM, requests: Sequence[Request], decoding: Decoding = GREEDY, size: int = 48) -> dict[Key, Completion]:
    return {one.key: replace(one, seconds=0) for one in TransformersBackend(model, PAD, STOP, size).complete(requests, decoding)}


def generated(model: PreTrainedModel, requests: Sequence[Request]) -> dict[Key, list[int]]:
    """What `model.generate` gives for each request by itself."""
    found = {}
    for one in requests:
        prompt = torch.tensor([one.prompt])
        whole = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=one.max_new_tokens, do_sample=False)
        found[one.key] = whole[0, len(one.prompt) :].tolist()
    return found


def ids_of(completions: dict[Key, Completion]) -> dict[Key, list[int] | None]:
    return {key: one.ids for key, one in completions.items()}


def test_rows_that_end_early_leave_the_others_as_they_are(model: LlamaForCausalLM) -> None:
    stored = copy.deepcopy(model)
    store_by_columns(stored)
    found = completed(stored, some_requests())
    assert ids_of(found) == generated(model, some_requests())
    assert len({len(one.ids or []) for one in found.values() if one.finish == "stop"}) > 1, (
        "the test needs rows that end at different steps"
    )


@pytest.mark.parametrize("shared", [1, 5, 40])
@pytest.mark.parametrize("window", [None, 8])
def test_a_common_beginning_is_read_once_and_changes_nothing(shared: int, window: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "sliding_window": window}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT}
    model = MistralForCausalLM(MistralConfig(**sizes, **heads, eos_token_id=STOP, pad_token_id=PAD)).double().eval()
    beginning = [3 + at * 4 % 9 for at in range(shared)]
    requests = [replace(one, prompt=beginning + one.prompt) for one in some_requests(12)] + [request("short", [*beginning, 4], 20)]
    monkeypatch.setattr("eval.backends.decode.PREFILL_POSITIONS", {"cpu": 50})  # several parts
    assert ids_of(completed(model, requests)) == generated(model, requests)


def test_a_common_beginning_is_read_once(model: LlamaForCausalLM) -> None:
    read: list[int] = []
    hook = model.get_input_embeddings().register_forward_hook(lambda module, args, out: read.append(args[0].numel()))
    completed(model, [request(str(at), [5] * 40 + [6 + at % 2] * 3, 1) for at in range(10)])
    hook.remove()
    assert read == [40, 30]


def test_equal_prompts(model: LlamaForCausalLM) -> None:
    requests = [request(str(at), [5, 6, 7, 8], 10 + at) for at in range(5)]
    assert ids_of(completed(model, requests)) == generated(model, requests)


@pytest.mark.parametrize(
    ("lengths", "parts"),
    [([9, 10, 10], [3]), ([4, 10, 10], [1, 2]), ([10] * 12, [10, 2]), ([99, 300, 301], [1, 1, 1]), ([], []), ([7], [1])],
)
def test_parts_hold_few_positions_and_little_padding(lengths: list[int], parts: list[int]) -> None:
    assert [part.stop - part.start for part in prefill_parts(lengths, 100)] == parts


def test_batches_hold_every_case_once_by_budget_and_length() -> None:
    requests = [request(str(at), [1] * (10 - at), 300 if at == 6 else 80 + at) for at in range(7)]
    found = list(batches(requests, 3))
    assert [len(batch) for batch in found] == [3, 3, 1]
    assert [len(one.prompt) for batch in found for one in batch] == [5, 6, 7, 8, 9, 10, 4]
    assert [len(one.prompt) for one in next(batches(requests, 7))] == [4, 5, 6, 7, 8, 9, 10], "read in the order of length"


def test_a_sample_does_not_depend_on_its_batch(model: LlamaForCausalLM) -> None:
    requests = some_requests()
    together, apart = completed(model, requests, SAMPLED), completed(model, requests[::-1], SAMPLED, size=3)
    assert {key: one.ids for key, one in together.items()} == {key: one.ids for key, one in apart.items()}
    assert together[Key("3", 0)].ids != completed(model, requests)[Key("3", 0)].ids


def test_repeats_and_seeds_differ(model: LlamaForCausalLM) -> None:
    repeats = [request("same", [3, 4, 5], 40, repeat) for repeat in range(3)]
    found = [one.ids for one in completed(model, repeats, SAMPLED).values()]
    other = [one.ids for one in completed(model, repeats, replace(SAMPLED, seed=8)).values()]
    assert len({tuple(ids or []) for ids in (*found, *other)}) == 6


def test_samples_follow_the_models_distribution(model: LlamaForCausalLM) -> None:
    """First ids of 3,000 samples of one prompt, against the softmax at that temperature."""
    draws = completed(model, [request("same", [3, 4, 5], 1, repeat) for repeat in range(3000)], SAMPLED, size=3000)
    counts = torch.bincount(torch.tensor([one.ids[0] for one in draws.values() if one.ids]), minlength=VOCABULARY)
    with torch.inference_mode():
        wanted = (model(torch.tensor([[3, 4, 5]])).logits[0, -1] / SAMPLED.temperature).softmax(-1)
    assert (counts / 3000 - wanted).abs().max() < 0.04  # four standard deviations


@pytest.mark.parametrize("decoding", [Decoding(logprobs=True), SAMPLED])
def test_logprobs_are_the_models_own_of_each_id(model: LlamaForCausalLM, decoding: Decoding) -> None:
    requests = some_requests(5)
    for one, found in zip(requests, map(completed(model, requests, decoding).get, (one.key for one in requests)), strict=True):
        assert found is not None
        assert found.ids
        with torch.inference_mode():
            logits = model(torch.tensor([one.prompt + found.ids])).logits[0, len(one.prompt) - 1 : -1]
        expected = logits.log_softmax(-1).gather(-1, torch.tensor(found.ids)[:, None])[:, 0].tolist()
        assert found.logprobs == pytest.approx(expected, abs=1e-4)


def test_a_request_that_throws_is_an_error_and_the_others_are_not(model: LlamaForCausalLM) -> None:
    good = some_requests(9)
    found = completed(model, [*good[:4], request("unknown id", [3, VOCABULARY + 5], 9), *good[4:]])
    assert found[Key("unknown id", 0)].finish == "error"
    assert "IndexError" in (found[Key("unknown id", 0)].error or "")
    alone = completed(model, good)
    assert {key: one.ids for key, one in found.items() if key in alone} == {key: one.ids for key, one in alone.items()}


def test_the_context_bounds_prompt_and_budget(model: LlamaForCausalLM) -> None:
    found = completed(model, [request("fits", [3] * (CONTEXT - 4), 50), request("too long", [3] * CONTEXT, 50)])
    assert len(found[Key("fits", 0)].ids or []) <= 4
    assert f"the model's context {CONTEXT}" in (found[Key("too long", 0)].error or "")


def test_a_resumed_run_forms_the_batches_of_a_whole_one(model: LlamaForCausalLM) -> None:
    requests, sizes = some_requests(), []
    backend = TransformersBackend(model, PAD, STOP, batch_size=4)
    generate = backend.decoder.generate
    backend.decoder.generate = lambda batch, decoding: (sizes.append(len(batch)), generate(batch, decoding))[1]  # type: ignore[method-assign]
    whole = [one.key for one in backend.complete(requests, Decoding())]
    rest = [one.key for one in backend.complete(requests, Decoding(), done=frozenset(whole[:6]))]
    assert rest == whole[6:]
    assert sizes == [4] * 5 + [4] * 4

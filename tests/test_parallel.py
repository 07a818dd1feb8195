"""Several processes complete what one would, and what kills one of them is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from data.errors import UserError
from eval.backends.local import TransformersBackend
from eval.backends.parallel import ParallelBackend
from eval.backends.protocol import Backend, Decoding, Request
from eval.completion import Completion, Key

STOP, PAD, REQUESTS, SIZE = 2, 0, 21, 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    sizes = {"vocab_size": 12, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    LlamaForCausalLM(LlamaConfig(**sizes, max_position_embeddings=128)).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def backend(model: str) -> Iterator[ParallelBackend]:
    opened = ParallelBackend(model, None, torch.float32, PAD, STOP, SIZE, processes=2)
    yield opened
    opened.close()
    opened.close()


def requests() -> list[Request]:
    """One of them is longer than the model's context."""
    prompts = [[3 + (row * 7 + at * 5) % 9 for at in range(3 + row)] for row in range(REQUESTS - 1)]
    return [Request(Key(str(row), 0), prompt, [], [], 60 - row) for row, prompt in enumerate([*prompts, [3] * 200])]


def completed(backend: Backend, done: frozenset[Key] = frozenset()) -> dict[Key, Completion]:
    found = list(backend.complete(requests(), Decoding(), done))
    assert len({one.key for one in found}) == len(found)
    return {one.key: replace(one, seconds=0) for one in found}


def test_completions_are_those_of_one_process(model: str, backend: ParallelBackend) -> None:
    alone = TransformersBackend.load(model, None, torch.float32, PAD, STOP, SIZE)
    found = completed(backend)
    assert found == completed(alone)
    assert [one.finish for one in found.values()].count("error") == 1
    assert backend.description == {**alone.description, "processes": 2}


def test_what_is_done_is_not_done_again(backend: ParallelBackend) -> None:
    done = frozenset(Key(str(row), 0) for row in range(15))
    assert {int(key.case_id) for key in completed(backend, done)} == set(range(15, REQUESTS))


def test_fewer_requests_than_a_batch_are_shared_out(model: str, backend: ParallelBackend) -> None:
    few = requests()[:3]
    assert [one.finish for one in backend.complete(few, Decoding())] != ["error"] * 3


def test_a_process_that_dies_is_an_error_with_a_remedy(model: str) -> None:
    backend = ParallelBackend(model, None, torch.float32, PAD, STOP, 1, processes=2)
    found = backend.complete(requests() * 20, Decoding())
    next(found)
    for worker in backend._workers():
        worker.kill()
    with pytest.raises(UserError, match="smaller batch_size or fewer processes"):
        list(found)
    backend.close()

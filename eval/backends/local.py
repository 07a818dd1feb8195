"""Generates with transformers: batched, left-padded, sorted by length; ids are kept."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedModel

from data.memory import keep_freed_memory
from eval.backends.decode import Decoder
from eval.backends.hashes import hashes
from eval.backends.protocol import Decoding, Request
from eval.completion import Completion, Finish, Key


@torch.no_grad()
def store_by_columns(model: torch.nn.Module) -> None:
    """Lay out each linear weight so that a product with few rows, a decoding step, runs along memory: two to three times as fast with MKL.

    Shapes and values stay as they are. A head that shares its weight with the embedding gets one of its own.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight = torch.nn.Parameter(module.weight.t().contiguous().t(), requires_grad=False)


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's architecture."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {platform.machine()}"


def describe(dtype: torch.dtype, device: torch.device, batch_size: int) -> dict[str, Any]:
    """What decides the numbers beside the model and the requests."""
    return {
        "backend": "transformers",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "dtype": str(dtype).removeprefix("torch."),
        "device": device_name(device),
        "batch_size": batch_size,
    }


class TransformersBackend:
    """A local model, with or without an adapter. A prompt may fill the model's context but for one id; the budget ends where it does."""

    def __init__(
        self, model: PreTrainedModel, pad_id: int, stop_id: int, batch_size: int = 48, description: dict[str, Any] | None = None
    ) -> None:
        self.decoder, self.stop_id, self.batch_size = Decoder(model.eval(), pad_id, stop_id), stop_id, batch_size
        self.description = {**describe(model.dtype, model.device, batch_size), **(description or {})}

    @classmethod
    def load(
        cls, model: str, adapter: str | None, dtype: torch.dtype, pad_id: int, stop_id: int, batch_size: int = 48
    ) -> TransformersBackend:
        """Load the base and merge the adapter into it in memory: the same weights that an export would write."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        keep_freed_memory()
        loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
        loaded = loaded.to(device)
        if adapter:
            from peft import PeftModel

            loaded = PeftModel.from_pretrained(loaded, adapter).merge_and_unload()
        if device == "cpu":
            store_by_columns(loaded)
        return cls(loaded, pad_id, stop_id, batch_size, hashes(model, adapter))

    def complete(self, requests: Sequence[Request], decoding: Decoding, done: AbstractSet[Key] = frozenset()) -> Iterator[Completion]:
        fitting = [request for request in requests if self._fits(request)]
        yield from (request.failed(self._too_long(request)) for request in requests if not self._fits(request) and request.key not in done)
        for batch in batches(fitting, self.batch_size):
            if any(request.key not in done for request in batch):
                yield from (completion for completion in self._completed(batch, decoding) if completion.key not in done)

    def close(self) -> None:
        """Nothing is held but memory."""

    def _fits(self, request: Request) -> bool:
        return self.decoder.context is None or len(request.prompt) < self.decoder.context

    def _too_long(self, request: Request) -> str:
        return f"the prompt has {len(request.prompt)} tokens, the model's context {self.decoder.context}"

    def _completed(self, batch: Sequence[Request], decoding: Decoding) -> Iterator[Completion]:
        """The batch's completions; where it fails, those of its halves, down to the request that is to blame."""
        began = time.monotonic()
        try:
            outputs, logprobs = self.decoder.generate(batch, decoding)
        except Exception as error:  # kept apart: one case, which may fail in any way, must not stop the others
            if len(batch) == 1:
                yield batch[0].failed(f"{type(error).__name__}: {error}", time.monotonic() - began)
                return
            outputs = []
        if not outputs:  # outside the handler, which would hold on to the failed batch's memory
            half = len(batch) // 2
            for part in (batch[:half], batch[half:]):
                yield from self._completed(part, decoding)
            return
        seconds = (time.monotonic() - began) / len(batch)
        for at, (request, ids) in enumerate(zip(batch, outputs, strict=True)):
            finish: Finish = "stop" if ids[-1:] == [self.stop_id] else "length"
            yield request.completed(ids, finish, seconds, logprobs=[round(p, 5) for p in logprobs[at][: len(ids)]] if logprobs else None)


def batches(requests: Sequence[Request], size: int) -> Iterator[list[Request]]:
    """Batches of `size` requests with budgets of like size and, among those, prompts of like length; the shortest prompt of each first.

    Like budgets, because a batch with one long answer decodes that answer alone.
    """
    ordered = sorted(requests, key=lambda request: (request.max_new_tokens.bit_length(), len(request.prompt)))
    for start in range(0, len(ordered), size):
        yield sorted(ordered[start : start + size], key=lambda request: len(request.prompt))

"""Generates with transformers: batched, left-padded, sorted by length; ids are kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel

from data.manifest import sha256_file
from eval.backends.cache import merged
from eval.backends.protocol import Decoding, Request
from eval.completion import Completion

PREFILL_ROWS = 8
KEPT_SHARE = 7 / 8  # rows are dropped when this share or less is still open: dropping copies the cache


@torch.no_grad()
def store_by_columns(model: torch.nn.Module) -> None:
    """Lay out each linear weight so that a product with few rows, a decoding step, runs along memory: two to three times as fast with MKL.

    Shapes and values stay as they are. A head that shares its weight with the embedding gets one of its own.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight = torch.nn.Parameter(module.weight.t().contiguous().t(), requires_grad=False)


class TransformersBackend:
    """A local model, with or without an adapter."""

    def __init__(
        self, model: PreTrainedModel, pad_id: int, stop_id: int, batch_size: int = 48, description: dict[str, Any] | None = None
    ) -> None:
        self.model, self.pad_id, self.stop_id, self.batch_size = model.eval(), pad_id, stop_id, batch_size
        self.description = {"backend": "transformers", **(description or {})}

    @classmethod
    def load(
        cls, model: str, adapter: str | None, dtype: torch.dtype, pad_id: int, stop_id: int, batch_size: int = 48
    ) -> TransformersBackend:
        """Load the base and merge the adapter into it in memory: the same weights that an export would write."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
        loaded = loaded.to(device)
        description: dict[str, Any] = {"dtype": str(dtype).removeprefix("torch.")}
        if adapter:
            from peft import PeftModel

            loaded = PeftModel.from_pretrained(loaded, adapter).merge_and_unload()
            description["adapter_sha256"] = sha256_file(Path(adapter) / "adapter_model.safetensors")
        if device == "cpu":
            store_by_columns(loaded)
        return cls(loaded, pad_id, stop_id, batch_size, description)

    def complete(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Completion]:
        for batch in batches(requests, self.batch_size):
            began = time.monotonic()
            outputs = self.generate([request.prompt for request in batch], [request.max_new_tokens for request in batch])
            seconds = round((time.monotonic() - began) / len(batch), 4)
            for request, ids in zip(batch, outputs, strict=True):
                yield Completion(
                    case_id=request.key.case_id,
                    ids=ids,
                    finish="stop" if ids[-1] == self.stop_id else "length",
                    prompt_tokens=len(request.prompt),
                    seconds=seconds,
                    repeat=request.key.repeat,
                    starts_in_reasoning=request.starts_in_reasoning,
                )

    def close(self) -> None:
        """Nothing is held but memory."""

    @torch.inference_mode()
    def generate(self, prompts: list[list[int]], budgets: list[int]) -> list[list[int]]:
        """Left-padded greedy decoding that drops rows soon after they end.

        `model.generate` carries finished rows along until the last one ends, which on a CPU costs more than the answers themselves;
        a test holds the two to the same ids.
        """
        longest, device = max(map(len, prompts)), self.model.device
        ids = torch.tensor([[self.pad_id] * (longest - len(prompt)) + prompt for prompt in prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        logits, cache = self._prefill(ids, mask, positions)
        rows, outputs = list(range(len(prompts))), [list[int]() for _ in prompts]
        positions = positions[:, -1:]
        while True:
            chosen = logits.argmax(dim=-1)
            for row, token in zip(rows, chosen.tolist(), strict=True):
                if not self._ended(outputs[row], budgets[row]):
                    outputs[row].append(token)
            open_rows = [at for at, row in enumerate(rows) if not self._ended(outputs[row], budgets[row])]
            if not open_rows:
                return outputs
            if len(open_rows) <= KEPT_SHARE * len(rows):
                index = torch.tensor(open_rows, device=device)
                cache.batch_select_indices(index)
                mask, positions, chosen, rows = mask[index], positions[index], chosen[index], [rows[at] for at in open_rows]
            positions, mask = positions + 1, torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            logits = self._forward(chosen[:, None], mask, positions, cache)

    def _ended(self, output: list[int], budget: int) -> bool:
        return len(output) >= budget or output[-1:] == [self.stop_id]

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
        """Logits after the last id of each row, shape (rows, vocabulary); `cache` grows by `ids`."""
        step = self.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        return step.logits[:, -1]

    def _prefill(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, DynamicCache]:
        """Logits and cache after the prompts, a few rows at a time: fewer fit a processor's caches, more pay off when decoding.

        Each part leaves out the padding that all of its rows have.
        """
        logits, caches, paddings = [], [], []
        for start in range(0, len(ids), PREFILL_ROWS):
            part = slice(start, start + PREFILL_ROWS)
            padding = int(mask[part].any(dim=0).int().argmax())
            caches.append(DynamicCache(config=self.model.config))
            logits.append(self._forward(ids[part, padding:], mask[part, padding:], positions[part, padding:], caches[-1]))
            paddings.append(padding)
        return torch.cat(logits), merged(caches, paddings)


def batches(requests: Sequence[Request], size: int) -> Iterator[list[Request]]:
    """Batches of `size` requests with budgets of like size and, among those, prompts of like length; the shortest first.

    Like budgets, because a batch with one long answer decodes that answer alone.
    """
    ordered = sorted(requests, key=lambda request: (request.max_new_tokens.bit_length(), len(request.prompt)))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]

"""Decodes one batch of prompts with a transformers model: left-padded, rows dropped soon after they end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from transformers import DynamicCache, PreTrainedModel

from eval.backends.cache import merged
from eval.backends.choose import Chooser
from eval.backends.protocol import Decoding, Request

PREFILL_ROWS = 8
KEPT_SHARE = 7 / 8  # rows are dropped when this share or less is still open: dropping copies the cache


class Decoder:
    """`context` is the most positions that the model has, None where its config does not say."""

    def __init__(self, model: PreTrainedModel, pad_id: int, stop_id: int) -> None:
        self.model, self.pad_id, self.stop_id = model, pad_id, stop_id
        self.context: int | None = getattr(model.config, "max_position_embeddings", None)

    @torch.inference_mode()
    def generate(self, requests: Sequence[Request], decoding: Decoding) -> tuple[list[list[int]], list[list[float]] | None]:
        """Ids of each request, and their logprobs if asked for, some of them after the end.

        `model.generate` carries finished rows along until the last one ends, which on a CPU costs more than the answers themselves;
        a test holds the two to the same ids.
        """
        prompts, device = [request.prompt for request in requests], self.model.device
        budgets = [min(one.max_new_tokens, (self.context or math.inf) - len(one.prompt)) for one in requests]
        choose = Chooser(requests, decoding)
        longest = max(map(len, prompts))
        ids = torch.tensor([[self.pad_id] * (longest - len(prompt)) + prompt for prompt in prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        logits, cache = self._prefill(ids, mask, positions)
        rows, outputs = list(range(len(prompts))), [list[int]() for _ in prompts]
        positions = positions[:, -1:]
        for step in itertools.count():
            chosen = choose(logits, rows, step)
            for row, token in zip(rows, chosen.tolist(), strict=True):
                if not self._ended(outputs[row], budgets[row]):
                    outputs[row].append(token)
            open_rows = [at for at, row in enumerate(rows) if not self._ended(outputs[row], budgets[row])]
            if not open_rows:
                break
            if len(open_rows) <= KEPT_SHARE * len(rows):
                index = torch.tensor(open_rows, device=device)
                cache.batch_select_indices(index)
                mask, positions, chosen, rows = mask[index], positions[index], chosen[index], [rows[at] for at in open_rows]
            positions, mask = positions + 1, torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            logits = self._forward(chosen[:, None], mask, positions, cache)
        return outputs, choose.logprobs

    def _ended(self, output: list[int], budget: float) -> bool:
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

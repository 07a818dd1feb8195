"""Decodes a batch of prompts with a transformers model: their common beginning is read once, rows are dropped soon after they end."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from data.sequences import shared_length
from eval.backends.cache import merged
from eval.backends.choose import Chooser
from eval.backends.protocol import Decoding, Request

PREFILL_POSITIONS = {"cpu": 2048}  # read at once: fewer fit a processor's caches, and larger tensors are mapped anew each time
MANY_POSITIONS = 1 << 16  # on any other device
PREFILL_PADDING = 1 / 16  # share of a part's positions that may be padding
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
        longest, shared = max(map(len, prompts)), self._shared(prompts)
        gaps = [longest - len(prompt) for prompt in prompts]  # the padding follows what is shared
        ids = torch.tensor(
            [one[:shared] + [self.pad_id] * gap + one[shared:] for one, gap in zip(prompts, gaps, strict=True)], device=device
        )
        mask = torch.ones_like(ids)
        for row, gap in enumerate(gaps):
            mask[row, shared : shared + gap] = 0
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        logits, cache = self.prefill(ids, mask, positions, shared)
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

    def _shared(self, prompts: Sequence[list[int]]) -> int:
        """How many ids all prompts begin with; 0 where padding behind them would change what a layer sees, as it does for a sliding window.

        The last id of a prompt is always its own, since its logits are wanted.
        """
        if len(prompts) == 1 or any(type(layer) is not DynamicLayer for layer in DynamicCache(config=self.model.config).layers):
            return 0
        return min(shared_length(prompts), min(map(len, prompts)) - 1)

    def prefill(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, shared: int) -> tuple[torch.Tensor, DynamicCache]:
        """Logits and cache after the prompts: the first `shared` ids once, the rest a few rows at a time, without the padding of all."""
        logits, caches, paddings = [], [], []
        most = PREFILL_POSITIONS.get(ids.device.type, MANY_POSITIONS)
        beginning = DynamicCache(config=self.model.config)
        if shared:
            self._forward(ids[:1, :shared], mask[:1, :shared], positions[:1, :shared], beginning)
        for part in prefill_parts((mask.sum(dim=1) - shared).tolist(), most):
            own = shared + int(mask[part, shared:].any(dim=0).int().argmax())
            cache = copy.deepcopy(beginning)
            if shared:
                cache.batch_repeat_interleave(part.stop - part.start)
            seen = torch.cat([mask[part, :shared], mask[part, own:]], dim=1)
            logits.append(self._forward(ids[part, own:], seen, positions[part, own:], cache))
            caches.append(cache)
            paddings.append(own - shared)
        return torch.cat(logits), merged(caches, shared, paddings)


def prefill_parts(lengths: Sequence[int], most: int) -> Iterator[slice]:
    """Consecutive rows to be read together: at most `most` positions, little of it padding; a row of any length alone."""
    start = 0
    for at in range(1, len(lengths) + 1):
        rows, longest = at + 1 - start, max(lengths[start : at + 1])
        full = at == len(lengths) or rows * longest > most
        if full or rows * longest - sum(lengths[start : at + 1]) > PREFILL_PADDING * rows * longest:
            yield slice(start, at)
            start = at

"""Generates completions with transformers: greedy, batched, left-padded, sorted by length; ids are kept. Resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from data.render import prompt_ids
from eval.cache import merged
from eval.case import Case

PREFILL_ROWS = 8
KEPT_SHARE = 7 / 8  # rows are dropped when this share or less is still open: dropping copies the cache


@dataclass(frozen=True)
class Completion:
    """The generated ids of one case, up to and including the end of turn; `finish` is `stop` or `length`."""

    case_id: str
    ids: list[int]
    finish: str
    prompt_tokens: int
    seconds: float


class Backend(Protocol):
    """Whatever turns prompts into generated ids."""

    def generate(self, prompts: list[list[int]], budgets: list[int]) -> list[list[int]]:
        """Greedy continuation of each prompt, at most `budgets[i]` ids, up to and including the end of turn, without padding."""
        ...


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

    def __init__(self, model: PreTrainedModel, pad_id: int, stop_id: int) -> None:
        self.model, self.pad_id, self.stop_id = model.eval(), pad_id, stop_id

    @classmethod
    def load(cls, model: str, adapter: str | None, dtype: torch.dtype, pad_id: int, stop_id: int) -> TransformersBackend:
        """Load the base and merge the adapter into it in memory: the same weights that an export would write."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
        loaded = loaded.to(device)
        if adapter:
            from peft import PeftModel

            loaded = PeftModel.from_pretrained(loaded, adapter).merge_and_unload()
        if device == "cpu":
            store_by_columns(loaded)
        return cls(loaded, pad_id, stop_id)

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


def batches(cases: Sequence[Case], prompts: dict[str, list[int]], size: int) -> Iterator[list[Case]]:
    """Batches of `size` cases with budgets of like size and, among those, prompts of like length; the shortest first.

    Like budgets, because a batch with one long answer decodes that answer alone.
    """
    ordered = sorted(cases, key=lambda case: (case.max_new_tokens.bit_length(), len(prompts[case.id])))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def prompts_of(cases: Sequence[Case], tokenizer: PreTrainedTokenizerBase, enable_thinking: bool) -> dict[str, list[int]]:
    """Generation prompt of each case, by its id."""
    return {case.id: prompt_ids(case.messages, case.tools or None, tokenizer, enable_thinking=enable_thinking) for case in cases}


def read_completions(path: Path) -> list[Completion]:
    """Completions written so far; a last line cut short by a crash is left out."""
    if not path.is_file():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [Completion(**json.loads(line)) for line in lines if line.endswith("\n")]


def complete(
    cases: Sequence[Case], prompts: dict[str, list[int]], backend: Backend, stop_id: int, path: Path, size: int
) -> list[Completion]:
    """Complete every case that `path` does not hold yet, appending batch by batch of `size`; returns all, in the order of `cases`."""
    done = read_completions(path)
    path.write_text("".join(json.dumps(asdict(completion)) + "\n" for completion in done))
    have = {completion.case_id for completion in done}
    todo = [case for case in cases if case.id not in have]
    columns = (TextColumn("generate"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    with Progress(*columns) as progress, path.open("a") as file:
        task = progress.add_task("generate", total=len(cases), completed=len(have))
        for batch in batches(todo, prompts, size):
            for completion in _complete_batch(batch, prompts, backend, stop_id):
                file.write(json.dumps(asdict(completion)) + "\n")
                done.append(completion)
            file.flush()
            progress.advance(task, len(batch))
    by_id = {completion.case_id: completion for completion in done}
    return [by_id[case.id] for case in cases]


def _complete_batch(batch: list[Case], prompts: dict[str, list[int]], backend: Backend, stop_id: int) -> Iterator[Completion]:
    began = time.monotonic()
    outputs = backend.generate([prompts[case.id] for case in batch], [case.max_new_tokens for case in batch])
    seconds = (time.monotonic() - began) / len(batch)
    for case, ids in zip(batch, outputs, strict=True):
        finish = "stop" if ids[-1] == stop_id else "length"
        yield Completion(case.id, ids, finish, len(prompts[case.id]), round(seconds, 4))

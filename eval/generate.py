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
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from data.render import prompt_ids
from eval.case import Case


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

    def generate(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """Greedy continuation of each prompt, at most `max_new_tokens` ids, without padding."""
        ...


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
        return cls(loaded, pad_id, stop_id)

    @torch.inference_mode()
    def generate(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        longest = max(map(len, prompts))
        ids = torch.tensor([[self.pad_id] * (longest - len(prompt)) + prompt for prompt in prompts], device=self.model.device)
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=self.model.device)
        output = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=self.stop_id,
            pad_token_id=self.pad_id,
        )
        return [self._trim(row) for row in output[:, longest:].tolist()]

    def _trim(self, ids: list[int]) -> list[int]:
        return ids[: ids.index(self.stop_id) + 1] if self.stop_id in ids else ids


def batches(cases: Sequence[Case], prompts: dict[str, list[int]], max_tokens: int) -> Iterator[list[Case]]:
    """Group cases of like length so that a batch's padded size (prompt plus budget) stays under `max_tokens`."""
    batch: list[Case] = []
    longest = 0
    for case in sorted(cases, key=lambda case: (case.max_new_tokens // 32, len(prompts[case.id]))):
        size = max(longest, len(prompts[case.id]) + case.max_new_tokens)
        if batch and size * (len(batch) + 1) > max_tokens:
            yield batch
            batch, size = [], len(prompts[case.id]) + case.max_new_tokens
        batch.append(case)
        longest = size
    if batch:
        yield batch


def read_completions(path: Path) -> list[Completion]:
    """Completions written so far; a last line cut short by a crash is left out."""
    if not path.is_file():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [Completion(**json.loads(line)) for line in lines if line.endswith("\n")]


def complete(
    cases: Sequence[Case], backend: Backend, tokenizer: PreTrainedTokenizerBase, stop_id: int, path: Path, max_tokens: int, title: str
) -> list[Completion]:
    """Complete every case that `path` does not hold yet, appending batch by batch; returns all, in the order of `cases`."""
    done = read_completions(path)
    path.write_text("".join(json.dumps(asdict(completion)) + "\n" for completion in done))
    have = {completion.case_id for completion in done}
    todo = [case for case in cases if case.id not in have]
    prompts = {case.id: prompt_ids(case.messages, case.tools or None, tokenizer) for case in todo}
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    with Progress(*columns) as progress, path.open("a") as file:
        task = progress.add_task(title, total=len(cases), completed=len(have))
        for batch in batches(todo, prompts, max_tokens):
            for completion in _complete_batch(batch, prompts, backend, stop_id):
                file.write(json.dumps(asdict(completion)) + "\n")
                done.append(completion)
            file.flush()
            progress.advance(task, len(batch))
    by_id = {completion.case_id: completion for completion in done}
    return [by_id[case.id] for case in cases]


def _complete_batch(batch: list[Case], prompts: dict[str, list[int]], backend: Backend, stop_id: int) -> Iterator[Completion]:
    began = time.monotonic()
    outputs = backend.generate([prompts[case.id] for case in batch], max(case.max_new_tokens for case in batch))
    seconds = (time.monotonic() - began) / len(batch)
    for case, ids in zip(batch, outputs, strict=True):
        kept = ids[: case.max_new_tokens]
        finish = "stop" if stop_id in kept else "length"
        yield Completion(case.id, kept, finish, len(prompts[case.id]), round(seconds, 4))

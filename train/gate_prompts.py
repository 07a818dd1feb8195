"""The prompts on which a merged model is held against the unmerged one: short ones of held-out transcripts, half of them before a call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from data.errors import UserError
from data.manifest import sha256_file
from data.render import prompt_ids
from data.sources.dialogue import generate
from data.sources.jsonl import Rejected, read_rows
from data.transcript import AssistantMessage, Transcript

FILE = "validation.jsonl"
POOL = 200  # transcripts to choose from


@dataclass(frozen=True)
class Prompts:
    """Generation prompts as ids, and where they are from."""

    ids: list[list[int]]
    source: str


def validation_file(manifest: dict[str, Any], folder: Path | None) -> Path | None:
    """The validation split that the adapter was trained beside: in `folder`, or where the adapter's manifest says it was.

    A file with another sha256 than the manifest's is an error in a folder that was asked for, and left alone elsewhere.
    """
    recorded = manifest.get("dataset_dir")
    place = folder or (Path(recorded) if recorded else None)
    if place is None or not (place / FILE).is_file():
        if folder:
            raise UserError(str(folder), f"no {FILE}", "a folder made by data.build", "mend --dataset, or leave it out")
        return None
    expected, found = ((manifest.get("dataset") or {}).get("sha256") or {}).get(FILE), sha256_file(place / FILE)
    if expected == found:
        return place / FILE
    if folder:
        raise UserError(str(place / FILE), f"sha256 {found}", f"{expected}, which the adapter's manifest records", "name that data set")
    return None


def held_out(path: Path | None) -> tuple[list[Transcript], str]:
    """Transcripts of the validation split, or synthetic ones whose tools are held out of every training set of ours."""
    if path:
        rows = [row for _, row in zip(range(POOL), read_rows(path), strict=False)]
        transcripts = [row for row in rows if not isinstance(row, Rejected)]
        if transcripts:
            return transcripts, f"validation split, sha256 {sha256_file(path)}"
    return list(generate("validation", 16, 40, {"call": 1, "unserved": 1})), "synthetic held-out transcripts, seed 16"


def choose(transcripts: Iterable[Transcript], tokenizer: PreTrainedTokenizerBase, count: int) -> list[list[int]]:
    """The shortest prompts up to a first assistant turn, half of them before a call if there are enough."""
    found: dict[bool, list[list[int]]] = {True: [], False: []}
    for transcript in transcripts:
        turns = [index for index, message in enumerate(transcript.messages) if isinstance(message, AssistantMessage)]
        if not turns:
            continue
        turn = transcript.messages[turns[0]]
        assert isinstance(turn, AssistantMessage)
        prompt = prompt_ids(transcript.chat()[: turns[0]], transcript.tool_dicts(), tokenizer, enable_thinking=transcript.reasons())
        found[bool(turn.tool_calls)].append(prompt)
    calling, silent = (sorted(prompts, key=len) for prompts in (found[True], found[False]))
    half = max(count // 2, count - len(silent))
    return calling[:half] + silent[: count - len(calling[:half])]


def gate_prompts(tokenizer: PreTrainedTokenizerBase, manifest: dict[str, Any], folder: Path | None, count: int) -> Prompts:
    """`count` prompts for the merge gate, fewer if the split holds fewer."""
    transcripts, source = held_out(validation_file(manifest, folder))
    return Prompts(choose(transcripts, tokenizer, count), source)

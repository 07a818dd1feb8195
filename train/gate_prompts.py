"""The prompts on which a merged model is held against the unmerged one: requests of held-out transcripts, half of them before a call."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from data.errors import UserError
from data.manifest import sha256_file
from data.render import prompt_ids
from data.sources.dialogue import generate
from data.sources.jsonl import Rejected, read_rows
from data.sources.messages import user
from data.transcript import AssistantMessage, Transcript, UserMessage

FILE = "validation.jsonl"
POOL = 200  # transcripts to choose from
SHORT = 240  # characters of a request


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
    return list(generate("validation", 16, 40, {"dialogue": 2, "call": 1, "unserved": 1})), "synthetic held-out transcripts, seed 16"


class Request(NamedTuple):
    """What a user said, and whether a call answered it."""

    text: str
    called: bool


def requests(transcript: Transcript) -> Iterator[Request]:
    """Each user message that the assistant answers next."""
    for asked, answer in pairwise(transcript.messages):
        if isinstance(asked, UserMessage) and isinstance(answer, AssistantMessage):
            yield Request(asked.content, bool(answer.tool_calls))


def choose(transcripts: Iterable[Transcript], tokenizer: PreTrainedTokenizerBase, count: int) -> list[list[int]]:
    """Prompts of one request each, short ones first, half of them before a call if there are enough.

    All are over one list of tools, the one with the most short requests for a call, so that a model need read it only once and little
    beside it; requests from elsewhere fill up.
    """
    asked: dict[str, list[Request]] = defaultdict(list)
    held = list(transcripts)
    for transcript in held:
        asked[json.dumps(transcript.tool_dicts())] += requests(transcript)
    tools = max(asked, key=lambda key: sum(request.called and len(request.text) <= SHORT for request in asked[key]))
    calling = _short_first(request for request in asked[tools] if request.called)
    silent = _short_first(request for request in asked[tools] if not request.called)
    foreign = _short_first(request for key in asked if key != tools for request in asked[key])
    wanted = [*calling[: count - count // 2], *silent, *foreign, *calling[count - count // 2 :]]
    chosen = list(dict.fromkeys(request.text for request in wanted))[:count]
    thinking = any(transcript.reasons() for transcript in held)
    return [prompt_ids([user(text)], json.loads(tools), tokenizer, enable_thinking=thinking) for text in chosen]


def _short_first(requests: Iterable[Request]) -> list[Request]:
    return sorted(requests, key=lambda request: len(request.text))


def gate_prompts(tokenizer: PreTrainedTokenizerBase, manifest: dict[str, Any], folder: Path | None, count: int) -> Prompts:
    """`count` prompts for the merge gate, fewer if the split holds fewer."""
    transcripts, source = held_out(validation_file(manifest, folder))
    return Prompts(choose(transcripts, tokenizer, count), source)

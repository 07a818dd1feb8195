"""Rendered and proven columns for the trainer: `input_ids` and `assistant_masks`, both lists of int of equal length, or trees of them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset
from rich.progress import track
from transformers import PreTrainedTokenizerBase

from data.errors import UserError
from data.render import Rendered, render
from data.sources.jsonl import Rejected, read_rows
from data.transcript import SystemMessage, Transcript
from data.wire import WireIds
from train.proof import SupervisionError, prove
from train.shared_prefix import trees


@dataclass
class Supervision:
    """What the proof found: the content of `supervision.json`."""

    examples: int = 0
    tokens: int = 0
    supervised_tokens: int = 0
    calls: int = 0
    calls_proven: int = 0
    turns: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        share = self.calls_proven / self.calls if self.calls else None
        return {**vars(self), "dropped": dict(self.dropped), "share_of_calls_proven": share}


def read_transcripts(path: Path) -> list[Transcript]:
    """All rows of a built file; the first invalid row is an error with its line number."""
    if not path.is_file():
        raise UserError(
            str(path), "no such file", "a JSONL file of transcripts", "python -m data.build --config configs/data/….yaml --out DIR"
        )
    transcripts = []
    for row in read_rows(path):
        if isinstance(row, Rejected):
            raise UserError(
                f"{path.parent / row.place}",
                row.message,
                f"a valid transcript (rule {row.rule})",
                "mend or remove the row, or build with data.build, which sets invalid rows aside",
            )
        transcripts.append(row)
    return transcripts


def render_all(
    transcripts: list[Transcript],
    tokenizer: PreTrainedTokenizerBase,
    wire: WireIds,
    max_length: int | None,
    title: str,
    quiet: bool = False,
) -> tuple[list[tuple[str, Rendered]], Supervision]:
    """Render and prove every transcript; each comes with a key that is the same for transcripts which begin alike.

    One that is longer than `max_length` is dropped whole, never cut.

    Raises:
        UserError: a call, or the end of a turn, is not supervised as it must be; names the transcript.
    """
    found = Supervision()
    rows: list[tuple[str, Rendered]] = []
    for transcript in track(transcripts, description=title, disable=quiet):
        rendered = render(transcript, tokenizer)
        if max_length and len(rendered.input_ids) > max_length:
            found.dropped["longer than max_length"] += 1
            continue
        try:
            proven = prove(transcript, rendered, tokenizer, wire)
        except SupervisionError as error:
            raise UserError(
                f"transcript {transcript.id}",
                str(error),
                "every call's ids, and the end of turn after them, inside the loss",
                "the chat template does not supervise tool calls: python -m train.base attaches one that does",
            ) from error
        found.examples += 1
        found.tokens += len(rendered.input_ids)
        found.supervised_tokens += rendered.supervised
        found.calls += len(transcript.calls())
        found.calls_proven += proven.calls
        found.turns += proven.turns
        rows.append((beginning(transcript), rendered))
    return rows, found


def beginning(transcript: Transcript) -> str:
    """What the rendering of a transcript begins with: its tools, its system message, its thinking mode."""
    first = transcript.messages[0]
    return json.dumps([transcript.tool_dicts(), first.content if isinstance(first, SystemMessage) else "", transcript.reasons()])


def columns(examples: list[tuple[str, Rendered]], max_length: int | None, share_prefixes: bool) -> Dataset:
    """`input_ids` and `assistant_masks` of each example, or the trees of examples that begin alike (`train.shared_prefix`)."""
    if share_prefixes:
        return Dataset.from_list([tree._asdict() for tree in trees(examples, max_length or sys.maxsize)])
    return Dataset.from_list([example._asdict() for _, example in examples])

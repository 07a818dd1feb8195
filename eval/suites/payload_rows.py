"""Payload cases from files of one's own: real files for `write_file`, real configurations for `save_config`, put into buckets by length.

Rows are `{"path": str, "content": str}` and `{"filename": str, "parsed": object}`, one a line; further keys are ignored. Line breaks at
both ends of a text are left out, since a request cannot show them. Of each bucket `per_bucket` rows are taken, over all that it holds of
back-ticks, escape densities and nesting.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from data.sources.jsonl import Rejected
from eval.case import Case
from eval.suites.bfcl import spaced
from eval.suites.content import tokens_in, traits_of
from eval.suites.files import FileSection, Line, lines_of, told
from eval.suites.payload import PayloadSection, config_case, file_case

OFF = math.sqrt(2)  # farther from every bucket than half a doubling is in none


class Content(NamedTuple):
    """The name and content of one row, and where it stands."""

    line: int
    where: str
    content: Any


def cases(section: PayloadSection, seed: int) -> list[Case]:
    """The cases of `text_rows` and `config_rows`; `UserError` where a file is missing or has no usable row."""
    found = []
    for file, keys, kind, make in (
        (section.text_rows, ("path", "content"), str, file_case),
        (section.config_rows, ("filename", "parsed"), dict, config_case),
    ):
        if file is None:
            continue
        rows, rejected, total = _contents(file, keys, kind)
        rng = random.Random(f"{seed}:{file.label}")
        made = [
            make(f"payload-{file.label}-{length}-{row.line}", row.where, row.content, length, rng, file.label)
            for length in section.lengths
            for row in _bucket(rows, length, section.per_bucket)
        ]
        found += told(file, made, rejected, total, f'rows {{"{keys[0]}", "{keys[1]}"}} of lengths {section.lengths} in tokens')
    return found


def _contents(file: FileSection, keys: tuple[str, str], kind: type) -> tuple[list[Content], list[Rejected], int]:
    rows: list[Content] = []
    rejected: list[Rejected] = []
    lines = lines_of(file, f'a JSONL file of rows {{"{keys[0]}", "{keys[1]}"}}, plain or .gz')
    for line in lines:
        try:
            rows.append(_content(line, keys, kind))
        except ValueError as error:
            rejected.append(Rejected(line.place, "payload", str(error)))
    return rows, rejected, len(lines)


def _content(line: Line, keys: tuple[str, str], kind: type) -> Content:
    row = json.loads(line.text)
    where, content = (row.get(key) for key in keys) if isinstance(row, dict) else (None, None)
    if not isinstance(where, str) or not isinstance(content, kind) or not content:
        raise ValueError(f"{keys[0]} must be text and {keys[1]} a filled {kind.__name__}")
    return Content(int(line.place.rsplit(":", 1)[1]), where, content.strip("\n") if isinstance(content, str) else content)


def _bucket(rows: Sequence[Content], length: int, count: int) -> list[Content]:
    """At most `count` rows whose length is nearest to `length`, evenly spaced over the kinds of content."""
    near = [row for row in rows if length / OFF <= tokens_in(row.content) < length * OFF]
    kinds = {row.line: traits_of(row.content, length) for row in near}
    near.sort(key=lambda row: (kinds[row.line].nesting, kinds[row.line].backticks, kinds[row.line].escape_density, row.line))
    return [near[index] for index in spaced(len(near), count)]

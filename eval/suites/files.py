"""Rows of a user's file: which are taken, and what is said of those set aside."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from data.errors import UserError
from data.sources.jsonl import Rejected
from eval.case import Case
from eval.suites.bfcl import spaced

SHOWN = 5


class FileSection(BaseModel):
    """A file of rows in the evaluation config: at most `limit` of them, evenly spaced. `name` marks its cases, by default the file's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    limit: int | None = Field(default=None, ge=1)
    name: str = ""

    @property
    def label(self) -> str:
        return self.name or self.path.name.split(".")[0]


class Line(NamedTuple):
    """A line that is not blank, and its place as `file:number`."""

    place: str
    text: str


def lines_of(section: FileSection, expected: str) -> list[Line]:
    """The lines to read, plain or gzip; `UserError` where there is no such file."""
    if not section.path.is_file():
        raise UserError(str(section.path), "no such file", expected, "mend `path` in the evaluation config")
    opener = gzip.open if section.path.suffix == ".gz" else open
    with opener(section.path, "rt", encoding="utf-8", errors="replace") as file:
        lines = [Line(f"{section.path.name}:{number}", text) for number, text in enumerate(file, start=1) if text.strip()]
    return [lines[index] for index in spaced(len(lines), section.limit)]


def told(section: FileSection, cases: Sequence[Case], rejected: Sequence[Rejected], rows: int, expected: str) -> list[Case]:
    """`cases`, after saying on standard error how many of `rows` were set aside and why; `UserError` where none is left."""
    if rows and not cases:
        first = f"; the first: {rejected[0].place} {rejected[0].message}" if rejected else ""
        raise UserError(str(section.path), f"no case in {rows} rows{first}", expected, "mend the rows, or point `path` at another file")
    console = Console(stderr=True)
    if rejected:
        console.print(f"{section.path}: {len(rejected)} of {rows} rows set aside", style="yellow", markup=False, soft_wrap=True)
    for row in rejected[:SHOWN]:
        console.print(f"  {row.place} [{row.rule}] {row.message}", style="yellow", markup=False, soft_wrap=True)
    return list(cases)

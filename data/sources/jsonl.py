"""Canonical rows from a file: one JSON object a line, plain or gzip."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from data.transcript import Transcript
from data.validate import problems


class Rejected(NamedTuple):
    """A row that is no valid transcript: where, by which rule, and what is wrong."""

    place: str
    rule: str
    message: str


def read_rows(path: Path) -> Iterator[Transcript | Rejected]:
    """Each line of `path` as a validated transcript or as the reason why it is none. Blank lines are passed over."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield read_row(line, f"{path.name}:{number}")


def read_row(line: str, place: str) -> Transcript | Rejected:
    """One line as a transcript, or why it is none."""
    try:
        transcript = Transcript.model_validate(json.loads(line))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return Rejected(
            place, "schema", f"{where}: {first['msg']}" + (f" ({error.error_count()} problems)" if error.error_count() > 1 else "")
        )
    except json.JSONDecodeError as error:
        return Rejected(place, "json", f"not a JSON object: {error}")
    for rule, message in problems(transcript):
        return Rejected(place, rule, message)
    return transcript

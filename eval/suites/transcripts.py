"""Any JSONL of transcripts, as `data.build` writes it and reads it (format: `data/transcript.py`): each assistant turn is a case.

What the transcript's assistant does is taken for right: its calls exactly, or no call. Rows that are no valid transcript are set aside,
counted and told. Turns that come before the first request are no cases.
"""

from __future__ import annotations

from collections.abc import Sequence

from data.sources.jsonl import Rejected, read_row
from eval.case import Case
from eval.suites.files import FileSection, lines_of, told
from eval.suites.turns import turn_cases

EXPECTED = "a JSONL file of transcripts, plain or .gz: {id, tools, messages} a line"


def load(sections: Sequence[FileSection]) -> list[Case]:
    """The cases of each file, with ids `label/transcript:message`."""
    return [case for section in sections for case in _file_cases(section)]


def _file_cases(section: FileSection) -> list[Case]:
    cases: list[Case] = []
    rejected: list[Rejected] = []
    seen: set[str] = set()
    lines = lines_of(section, EXPECTED)
    for line in lines:
        row = read_row(line.text, line.place)
        if isinstance(row, Rejected):
            rejected.append(row)
        elif row.id in seen:
            rejected.append(Rejected(line.place, "duplicate_id", f"id {row.id} occurs twice"))
        else:
            seen.add(row.id)
            cases += turn_cases(row, "transcripts", section.label, f"{section.label}/")
    return told(section, cases, rejected, len(lines), EXPECTED)

"""A run's judged completions: what `verdicts.jsonl` holds, and all that scoring, comparing and the page need. Pure; no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import track

from data.errors import UserError
from data.manifest import read_manifest
from data.response import Response, read_response
from data.transcript import Json
from data.wire import WireIds
from eval.case import Case
from eval.classify import judge
from eval.completion import Completion
from eval.emission import UNCOUNTED, Emission
from eval.verdict import Judged, Verdict

EMPTY = Response("", None, (), (), ended=False)


@dataclass(frozen=True)
class Row:
    """One completion with its case and all that was made of it.

    `calls` are those of the strict reading, `[{"name", "arguments"}]`; `malformed` its blocks that are no calls, `[{"text", "defect"}]`;
    `tokens` the text of each generated id. `readings` holds what others make of the same ids, by reader; `margin` the first-token margin.
    """

    case: Case
    completion: Completion
    judged: Judged
    calls: list[Json] = field(default_factory=list)
    malformed: list[Json] = field(default_factory=list)
    content: str = ""
    reasoning: str | None = None
    tokens: list[str] = field(default_factory=list)
    readings: Json = field(default_factory=dict)
    margin: Json | None = None

    @property
    def counted(self) -> bool:
        """Whether the row is in the denominators: neither an error nor unmeasurable."""
        return self.judged.emission not in UNCOUNTED

    def to_line(self) -> str:
        return json.dumps({**asdict(self), "case": self.case.to_json()}, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, row: Json) -> Row:
        """The inverse of `to_line`; an unknown or missing field raises `TypeError`, an unknown class `ValueError`."""
        judged = row["judged"]
        verdict = Verdict(judged["verdict"]) if judged["verdict"] else None
        return cls(
            **{
                **row,
                "case": Case.from_json(row["case"]),
                "completion": Completion(**row["completion"]),
                "judged": Judged(Emission(judged["emission"]), verdict, judged["why"], judged["mismatch"]),
            }
        )


def row_of(case: Case, completion: Completion, tokenizer: Any, wire: WireIds) -> Row:
    """Read one completion strictly, from where its prompt left off, and judge it against its case."""
    if completion.ids is None or completion.finish == "error":
        return Row(case, completion, judge(case, completion, EMPTY), content=completion.text or "")
    response = read_response(completion.ids, tokenizer, wire, completion.starts_in_reasoning)
    return Row(
        case,
        completion,
        judge(case, completion, response),
        calls=[{"name": call.name, "arguments": call.arguments} for call in response.calls],
        malformed=[{"text": block.text, "defect": block.defect.value} for block in response.malformed],
        content=response.content,
        reasoning=response.reasoning,
        tokens=[tokenizer.decode([token]) for token in completion.ids],
    )


def rows_of(cases: Sequence[Case], completions: Sequence[Completion], tokenizer: Any, wire: WireIds, quiet: bool = False) -> list[Row]:
    """A row for each completion, in their order."""
    by_id = {case.id: case for case in cases}
    return [row_of(by_id[item.case_id], item, tokenizer, wire) for item in track(completions, description="read", disable=quiet)]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(row.to_line() for row in rows)


def read_rows(folder: Path) -> list[Row]:
    """The rows of a finished run; `UserError` where there is none."""
    path = folder / "verdicts.jsonl"
    if read_manifest(folder) is None or not path.is_file():
        raise UserError(str(folder), "no finished evaluation", "a folder left by eval.run", "run or resume eval.run")
    with path.open(encoding="utf-8") as file:
        return [Row.from_json(json.loads(line)) for line in file]

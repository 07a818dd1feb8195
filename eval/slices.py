"""How rows are grouped: by suite and slice, by tool, by how long and how nested the expected content is. Pure; no torch."""

from __future__ import annotations

from math import log2

from eval.case import Case
from eval.rows import Row


def slice_name(row: Row) -> str:
    return f"{row.case.suite}/{row.case.slice}"


def graded(case: Case, name: str) -> int | None:
    """The grade of a case by `Case.meta[name]`: content length to the nearest power of two, nesting as it is; None where it has none."""
    value = case.meta.get(name)
    if value is None or name != "content_tokens":
        return value
    return int(2 ** round(log2(max(1, value))))

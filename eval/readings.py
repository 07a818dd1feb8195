"""Three readings of the same ids: strict (ours), deployed (the server's parser) and permissive (all that could be rebuilt). Pure; no torch.

The strict reading is the row's own `calls`. The others stand in `Row.readings` by name: `{"calls": [{"name", "arguments"}], "defect": why a
call of theirs is none, or None, "by": the parser or the rule}`. *Salvage* is a call that a reading finds beyond the strict one, *loss* a
strict call that a reading does not find, or finds changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from data.transcript import Json
from data.wire import HERMES
from eval.match import calls_mismatch, equal
from eval.repair import json_value
from eval.rows import Row
from eval.salvage import salvage

READERS = ("deployed", "permissive")


def with_readings(rows: Sequence[Row]) -> list[Row]:
    """The rows with each reading that can be had: the deployed one where a parser's answer came with the completion."""
    return [replace(row, readings={**row.readings, **readings_of(row)}) for row in rows]


def readings_of(row: Row) -> dict[str, Json]:
    """Readings of one row, by reader; none for an error or without ids."""
    if not row.counted:
        return {}
    found = {"permissive": permissive(row)}
    if row.completion.deployed is not None:
        found["deployed"] = deployed(row.completion.deployed)
    return found


def deployed(answer: Json) -> Json:
    """A server's answer as a reading: arguments that are no JSON object make a defect, not a call."""
    calls: list[Json] = []
    defects = []
    for call in answer.get("tool_calls") or ():
        arguments = json_value(call["arguments"]) if isinstance(call["arguments"], str) else call["arguments"]
        if isinstance(arguments, dict):
            calls.append({"name": call["name"], "arguments": arguments})
        else:
            defects.append(f"arguments of {call['name']} are no JSON object")
    return {"calls": calls, "defect": "; ".join(defects) or None, "by": answer.get("parser")}


def permissive(row: Row) -> Json:
    """The strict calls where every block is one; else whatever can be rebuilt from the text."""
    if row.calls and not row.malformed:
        return {"calls": row.calls, "defect": None, "by": "strict"}
    calls, rule = salvage(answer_text(row), row.case.functions)
    more = len(calls) > len(row.calls)
    return {"calls": calls if more else row.calls, "defect": None, "by": rule if more else "strict"}


def answer_text(row: Row) -> str:
    """The completion's text behind its reasoning."""
    text = "".join(row.tokens)
    return text.rpartition(HERMES.think_close)[2]


def emits(row: Row, reader: str) -> bool:
    return bool(row.readings[reader]["calls"])


def salvages(row: Row, reader: str) -> bool:
    """Whether the reading has more calls than the strict one."""
    return len(row.readings[reader]["calls"]) > len(row.calls)


def loses(row: Row, reader: str) -> bool:
    """Whether a strict call is not among the reading's, unchanged."""
    left = list(row.readings[reader]["calls"])
    for call in row.calls:
        at = next((i for i, other in enumerate(left) if equal(other, call)), None)
        if at is None:
            return True
        del left[at]
    return False


def accurate(row: Row, reader: str) -> bool:
    """Whether the reading's calls are those expected: what a user of that reader sees, end to end."""
    found: list[tuple[str, Any]] = [(call["name"], call["arguments"]) for call in row.readings[reader]["calls"]]
    return calls_mismatch(found, list(row.case.expected), row.case.functions) is None


Outcome = Callable[[Row], bool]


def reading_outcomes(rows: Sequence[Row]) -> dict[str, tuple[list[Row], Outcome]]:
    """Metric name → the rows that count for it, and what counts as a hit, for each reader that read any of `rows`."""
    outcomes: dict[str, tuple[list[Row], Outcome]] = {}
    for reader in READERS:
        read = [row for row in rows if row.counted and reader in row.readings]
        calling = [row for row in read if row.case.expects_call]
        outcomes |= {
            f"{reader}_emission_rate": (calling, partial(emits, reader=reader)),
            f"{reader}_accuracy": (calling, partial(accurate, reader=reader)),
            f"{reader}_salvage_rate": (read, partial(salvages, reader=reader)),
            f"{reader}_loss_rate": ([row for row in read if row.calls], partial(loses, reader=reader)),
        }
    return outcomes

"""What a completion is worth against its case. Pure; no torch."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

import jsonschema
import referencing
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from data.response import Call, Response
from data.transcript import Json
from eval.case import Case
from eval.emission import ATTEMPTS, Emission
from eval.match import calls_mismatch


class Verdict(StrEnum):
    """Exhaustive and exclusive for completions that count; an error or an unmeasurable completion has none."""

    RIGHT_CALL = "right call"
    WRONG_TOOL = "wrong tool"
    INVALID_ARGUMENTS = "invalid arguments"  # against the tool's JSON Schema
    WRONG_ARGUMENTS = "wrong arguments"  # valid, but not those that were asked for
    WRONG_NUMBER = "wrong number"  # of calls
    MISSED = "missed"
    FALSE_CALL = "false call"
    RIGHT_ABSTENTION = "right abstention"
    RIGHT_QUESTION = "right question"


RIGHT = frozenset({Verdict.RIGHT_CALL, Verdict.RIGHT_ABSTENTION, Verdict.RIGHT_QUESTION})


@dataclass(frozen=True)
class Judged:
    """An emission class and a verdict, each with the reason for it in words."""

    emission: Emission
    verdict: Verdict | None
    why: str
    mismatch: str = ""


def verdict_of(case: Case, emission: Emission, response: Response) -> tuple[Verdict, str]:
    """What the completion is worth, and what is wrong with it.

    Where no call is expected, a failed attempt to call is as false as a call: native but malformed, typed, JSON, a Python call, `<code>`
    mode; some client would run each of them. A code dump, a shell dump and a promise call nothing and abstain, whatever they are worth as
    answers. Where a question is expected (`asks`), anything but a call or a question misses it.
    """
    if case.expects_call:
        return _called(case, response) if emission is Emission.NATIVE_CALL else (Verdict.MISSED, f"{emission} where a call was expected")
    if emission in ATTEMPTS:
        return Verdict.FALSE_CALL, f"{emission} although no call was expected"
    if not case.asks:
        return Verdict.RIGHT_ABSTENTION, ""
    return (Verdict.RIGHT_QUESTION, "") if emission is Emission.QUESTION else (Verdict.MISSED, f"{emission} where a question was expected")


def _called(case: Case, response: Response) -> tuple[Verdict, str]:
    """At least one native call, where one was expected: right, or the first thing that is wrong in the order tool, number, arguments."""
    schemas = {function["name"]: function.get("parameters") or {} for function in case.functions}
    unknown = next((call.name for call in response.calls if call.name not in schemas), None)
    if unknown is not None:
        return Verdict.WRONG_TOOL, f"calls {unknown!r}, which is not offered"
    if not case.expected:
        return Verdict.RIGHT_CALL, ""
    if response.malformed:
        return Verdict.WRONG_NUMBER, f"a further block is malformed: {response.malformed[0].defect}"
    mismatch = calls_mismatch([(call.name, call.arguments) for call in response.calls], list(case.expected), case.functions)
    return (_kind_of_mismatch(case, response.calls, schemas), mismatch) if mismatch else (Verdict.RIGHT_CALL, "")


def _kind_of_mismatch(case: Case, calls: tuple[Call, ...], schemas: dict[str, Json]) -> Verdict:
    if len(calls) != len(case.expected):
        return Verdict.WRONG_NUMBER
    if Counter(call.name for call in calls) != Counter(call.name for call in case.expected):
        return Verdict.WRONG_TOOL
    valid = all(is_valid(call.arguments, schemas[call.name]) for call in calls)
    return Verdict.WRONG_ARGUMENTS if valid else Verdict.INVALID_ARGUMENTS


def is_valid(arguments: Json, schema: Json) -> bool:
    """Whether `arguments` fit a JSON Schema (draft 2020-12); no reference is fetched, and a schema that is none forbids nothing."""
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
        return jsonschema.Draft202012Validator(schema, registry=referencing.Registry()).is_valid(arguments)
    except (SchemaError, Unresolvable, re.error, RecursionError):
        return True

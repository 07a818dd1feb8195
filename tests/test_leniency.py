"""Each leniency forgives its own kind of difference and no other."""

from __future__ import annotations

from typing import Any

import pytest

from eval.case import Case, ExpectedCall
from eval.completion import Completion
from eval.emission import Emission
from eval.leniency import LENIENCIES, columns
from eval.rows import Row
from eval.verdict import Judged, Verdict

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "nights": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "unit": {"type": "string", "default": "km"},
        "note": {"type": "string"},
    },
    "required": ["city"],
}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}


def row(found: list[dict[str, Any]], wanted: dict[str, Any], exact: bool = True, malformed: list[dict[str, Any]] | None = None) -> Row:
    case = Case("c", "native", "call", [], [TOOL], (ExpectedCall("f", wanted, exact=exact),), 8)
    judged = Judged(Emission.NATIVE_CALL, Verdict.WRONG_ARGUMENTS, "")
    calls = [{"name": "f", "arguments": arguments} for arguments in found]
    return Row(case, Completion("c", [2], "stop", 1, 0.0), judged, calls=calls, malformed=malformed or [])


def forgiving(found: dict[str, Any], wanted: dict[str, Any], exact: bool = True) -> set[str]:
    return {name for name, right in columns(row([found], wanted, exact)).items() if right}


ALONE = {
    "extra_optional": ({"city": "Rome", "note": "x"}, {"city": "Rome"}),
    "dropped_defaults": ({"city": "Rome"}, {"city": "Rome", "unit": "km"}),
    "numeric_strings": ({"city": "Rome", "nights": "3"}, {"city": "Rome", "nights": 3}),
    "dates": ({"city": "1 May 2024"}, {"city": "2024-05-01"}),
    "white_space": ({"city": " New\tYork"}, {"city": "New York"}),
    "punctuation": ({"city": "Rome!"}, {"city": "Rome"}),
    "unordered_lists": ({"city": "Rome", "tags": ["b", "a"]}, {"city": "Rome", "tags": ["a", "b"]}),
}


@pytest.mark.parametrize("name", ALONE)
def test_one_leniency_forgives(name: str) -> None:
    assert forgiving(*ALONE[name]) == {f"with_{name}", "with_all"}


def test_case_is_forgiven_by_bfcls_standard_too() -> None:
    assert forgiving({"city": "ROME"}, {"city": "Rome"}) == {"with_letter_case", "with_bfcl_standard", "with_all"}
    assert forgiving({"city": "Rome_'x'"}, {"city": 'rome "x"'}) == {"with_bfcl_standard", "with_all"}


def test_a_default_may_be_given_unasked() -> None:
    assert forgiving({"city": "Rome", "unit": "km"}, {"city": "Rome"}) == {"with_extra_optional", "with_dropped_defaults", "with_all"}


def test_what_is_right_is_right_in_every_column() -> None:
    assert forgiving({"city": "Rome", "nights": 3.0}, {"city": "Rome", "nights": 3}) == set(columns(row([], {})))


@pytest.mark.parametrize("found", [{"city": "Oslo"}, {}, {"city": "Rome", "pets": 1}, {"city": "Rome", "nights": True}])
def test_a_real_difference_is_never_forgiven(found: dict[str, Any]) -> None:
    assert forgiving(found, {"city": "Rome", "nights": 1} if "nights" in found else {"city": "Rome"}) == set()


def test_acceptable_values_are_met_exactly() -> None:
    accepted = {"city": ["Rome", "Roma"], "nights": ["", 3]}
    assert "strict" in forgiving({"city": "Roma"}, accepted, exact=False)
    assert forgiving({"city": "roma"}, accepted, exact=False) == {"with_letter_case", "with_bfcl_standard", "with_all"}
    nested = {"city": [{"name": ["Rome"], "zip": ["", "00100"]}]}
    assert "strict" in forgiving({"city": {"name": "Rome"}}, nested, exact=False)
    assert forgiving({"city": {"name": "Oslo"}}, nested, exact=False) == set()


def test_a_python_body_is_a_call_for_its_own_column_only() -> None:
    block = {"text": "<tool_call>\n{'name': 'f', 'arguments': {'city': 'Rome'}}\n</tool_call>", "defect": "python_literal"}
    found = columns(row([], {"city": "Rome"}, malformed=[block]))
    assert {name for name, right in found.items() if right} == {"with_python_body", "with_all"}


def test_more_or_fewer_calls_are_never_forgiven() -> None:
    assert not any(columns(row([], {"city": "Rome"})).values())
    assert not any(columns(row([{"city": "Rome"}] * 2, {"city": "Rome"})).values())


def test_every_leniency_says_what_it_forgives() -> None:
    assert all(leniency.__doc__ and leniency.__name__ == name for name, leniency in LENIENCIES.items())

"""Cases: what they may claim of the right answer, and rows of older files."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from eval.case import Case, ExpectedCall

TOOLS = [{"type": "function", "function": {"name": name, "description": "", "parameters": {"type": "object"}}} for name in ("f", "a")]
CASE = Case("1", "native", "call", [{"role": "user", "content": "?"}], TOOLS, (), 8)
CALL = (ExpectedCall("f", {}, exact=True),)


@pytest.mark.parametrize(
    ("claims", "call", "no_call"),
    [
        ({"expected": CALL}, True, False),
        ({"any_call": True}, True, False),
        ({"asks": True}, False, True),
        ({}, False, True),
        ({"unjudged": True}, False, False),
    ],
)
def test_what_is_right_is_a_call_no_call_or_unknown(claims: dict[str, Any], call: bool, no_call: bool) -> None:
    case = replace(CASE, **claims)
    assert (case.expects_call, case.expects_no_call) == (call, no_call)
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case


@pytest.mark.parametrize(
    "claims", [{"expected": CALL, "any_call": True}, {"expected": CALL, "asks": True}, {"asks": True, "unjudged": True}]
)
def test_two_claims_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="more than one of"):
        replace(CASE, **claims)


def test_any_call_needs_a_tool() -> None:
    with pytest.raises(ValueError, match="offers no tool"):
        replace(CASE, any_call=True, tools=[])


def test_a_row_of_an_older_file_is_read() -> None:
    row = CASE.to_json()
    for name in ("any_call", "asks", "unjudged"):
        del row[name]
    assert Case.from_json(row) == CASE
    with pytest.raises(TypeError):
        Case.from_json({**row, "weight": 2})


def test_cases_cluster_by_expected_tool_or_else_by_those_offered() -> None:
    assert replace(CASE, expected=CALL * 2).cluster == "f"
    assert CASE.cluster == "a,f"
    assert replace(CASE, tools=[]).cluster == CASE.id

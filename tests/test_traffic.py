"""Captured traffic: what a row says is right, the shapes that are read, and rows that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data.errors import UserError
from eval.case import Case
from eval.suites.captured import Unreadable
from eval.suites.files import FileSection
from eval.suites.traffic import TOKENS_UNKNOWN, case_of, load

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS, "strict": True, "description": None}}
REQUEST = {"model": "m", "temperature": 0, "messages": [{"role": "user", "content": "Weather in Rome?"}], "tools": [TOOL]}
CALL = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
CALLED = {"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": [CALL]}}]}
SAID = {"choices": [{"message": {"role": "assistant", "content": "import requests", "tool_calls": None}}]}


def read(row: Any) -> Case:
    return case_of(row, "log", "log/rows.jsonl:1")


def claims(case: Case) -> tuple[list[tuple[str, Any]], bool, bool]:
    return [(call.name, call.arguments) for call in case.expected], case.any_call, case.unjudged


ROME = [("get_weather", {"city": "Rome"})]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"request": REQUEST, "response": CALLED, "expected": True}, (ROME, False, False)),
        ({"request": REQUEST, "response": SAID, "expected": True}, ([], False, False)),
        ({"request": REQUEST, "expected_calls": [{"name": "get_weather", "arguments": {"city": "Rome"}}]}, (ROME, False, False)),
        ({"request": REQUEST, "response": CALLED, "expected_calls": []}, ([], False, False)),
        ({"request": REQUEST, "response": CALLED}, ([], True, False)),
        ({"request": REQUEST, "response": SAID}, ([], False, True)),
        ({"request": {**REQUEST, "tool_choice": "required"}, "response": SAID}, ([], True, False)),
        ({"request": {**REQUEST, "tool_choice": "none"}}, ([], False, False)),
        (REQUEST, ([], False, True)),
    ],
)
def test_what_is_right_is_what_the_row_vouches_for(row: Any, expected: Any) -> None:
    assert claims(read(row)) == expected


@pytest.mark.parametrize(
    "row",
    [
        {"request": REQUEST, "response": CALLED, "expected": True},
        {"request": json.dumps(REQUEST), "response": json.dumps(CALLED), "expected": True},
        {
            "request": {"method": "POST", "postData": {"text": json.dumps(REQUEST)}},
            "response": {"status": 200, "content": {"text": json.dumps(CALLED)}},
            "expected": True,
        },
    ],
)
def test_bodies_text_and_har_entries_are_one_case(row: Any) -> None:
    assert read(row) == read({"request": REQUEST, "response": CALLED, "expected": True})


def test_history_comes_in_our_form() -> None:
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]},
        {"role": "user", "content": "Weather in Rome?", "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None},
        {"role": "tool", "tool_call_id": "1", "content": "18 degrees"},
    ]
    case = read({**REQUEST, "messages": messages})
    assert [message["role"] for message in case.messages] == ["system", "user", "assistant", "tool"]
    assert case.messages[0]["content"] == "Be brief."
    assert case.messages[2]["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": {"city": "Rome"}}
    assert case.tools[0]["function"] == {"name": "get_weather", "description": "", "parameters": PARAMETERS}


def test_the_request_limits_what_may_be_generated() -> None:
    assert read(REQUEST).max_new_tokens == TOKENS_UNKNOWN
    assert read({**REQUEST, "max_tokens": 40}).max_new_tokens == 40


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "the row is list"),
        ({"request": "{"}, "request is not JSON"),
        ({"request": {**REQUEST, "messages": []}}, "nothing is asked"),
        ({"request": {**REQUEST, "messages": [{"role": "assistant", "content": "Hi"}]}}, "nothing is asked"),
        ({"request": {**REQUEST, "tools": ["get_weather"]}}, "expected a list of objects"),
        ({"request": {**REQUEST, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}}, "no text"),
        ({"request": REQUEST, "response": {"error": "overloaded"}}, "choices"),
        ({"request": REQUEST, "expected": True}, "no response"),
        ({"request": REQUEST, "expected_calls": [{"name": "get_time", "arguments": {}}]}, "names get_time; tools are get_weather"),
        ({"request": REQUEST, "expected_calls": [{"name": "get_weather", "arguments": "{city"}]}, "arguments of get_weather is not JSON"),
        ({"request": REQUEST, "expected_calls": [{"name": "get_weather", "arguments": {}}]}, "'city' is a required property"),
    ],
)
def test_an_unreadable_row_says_why(row: Any, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        read(row)


def test_bad_rows_are_set_aside_counted_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join([json.dumps(REQUEST), "{", "", json.dumps({"request": REQUEST, "response": CALLED})]))
    cases = load([FileSection(path=path)])
    assert [(case.id, case.slice) for case in cases] == [("log/log.jsonl:1", "log:unjudged"), ("log/log.jsonl:4", "log:any_call")]
    told = " ".join(capsys.readouterr().err.split())
    assert "1 of 3 rows set aside" in told
    assert "log.jsonl:2 [traffic] the line is not JSON" in told


def test_a_file_without_a_usable_row_is_a_user_error(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("{}\n")
    with pytest.raises(UserError, match="no case in 1 rows"):
        load([FileSection(path=path)])
    with pytest.raises(UserError, match="no such file"):
        load([FileSection(path=tmp_path / "absent.jsonl")])

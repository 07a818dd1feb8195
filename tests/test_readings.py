"""What the permissive and the deployed reading make of completions, what is salvage and loss, and when the alarm fires."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from eval.alarm import hidden_fall, hidden_fall_in
from eval.case import Case, ExpectedCall
from eval.completion import Completion, Key
from eval.emission import Emission
from eval.readings import deployed, loses, salvages, with_readings
from eval.rows import Row
from eval.salvage import salvage
from eval.verdict import Judged, Verdict

FUNCTIONS = [{"name": "write_file", "parameters": {"type": "object", "properties": {"path": {}, "content": {}}}}, {"name": "a.get"}]
WANTED = {"path": "a.py", "content": "x"}
BODY = '{"name": "write_file", "arguments": {"path": "a.py", "content": "x"}}'


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (f"<tool_call>\n{BODY}\n</tool_call>", "tagged_calls"),
        (f"Now <tool_call>{BODY}", "tagged_calls"),
        ("<tool_call>{'name': 'write_file', 'arguments': {'path': 'a.py', 'content': 'x'}}</tool_call>", "tagged_calls"),
        ('<tool_call>{"name": "write_file", "arguments": {"path": "a.py", "content": "x', "tagged_calls"),
        (f"Sure:\n```json\n{BODY}\n```", "json_calls"),
        ('{"name": "write_file", "parameters": {"path": "a.py", "content": "x"}}', "json_calls"),
        ("```python\nwrite_file('a.py', content='x')\n```", "python_calls"),
        ('import tools\ntools.write_file(path="a.py", content="x")', "python_calls"),
    ],
)
def test_what_can_be_rebuilt(text: str, rule: str) -> None:
    assert salvage(text, FUNCTIONS) == ([{"name": "write_file", "arguments": WANTED}], rule)


@pytest.mark.parametrize(
    "text",
    [
        "I would use write_file (it writes a file).",
        "def write_file(path, content):\n    pass",
        "write_file(path, content)",
        '{"name": "unknown", "arguments": {}}',
        "other.get('x')",
        "<tool_call> opens a call.",
        "write_file(x" + "," * 5000,
        "{" * 5000,
    ],
)
def test_what_is_no_call(text: str) -> None:
    assert salvage(text, FUNCTIONS) == ([], None)


def test_arguments_that_are_no_json_are_a_defect_of_the_server() -> None:
    answer = {"parser": "hermes", "tool_calls": [{"name": "f", "arguments": '{"a": 1}'}, {"name": "g", "arguments": "{"}]}
    assert deployed(answer) == {
        "calls": [{"name": "f", "arguments": {"a": 1}}],
        "defect": "arguments of g are no JSON object",
        "by": "hermes",
    }


def row(number: int, strict: bool, found: bool, repeat: int = 0) -> Row:
    """A case that expects `tool_N(a=1)`, whether the strict reading has that call, and whether the deployed one has."""
    name = f"tool_{number}"
    tool = {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}}
    case = Case(str(number), "native", "call", [], [tool], (ExpectedCall(name, {"a": 1}, exact=True),), 8)
    answer: dict[str, Any] = {"parser": "p", "tool_calls": [{"name": name, "arguments": '{"a": 1}'}] if found else []}
    judged = Judged(Emission.NATIVE_CALL, Verdict.RIGHT_CALL, "") if strict else Judged(Emission.TYPED_CALL, Verdict.MISSED, "")
    calls = [{"name": name, "arguments": {"a": 1}}] if strict else []
    return Row(case, Completion(str(number), [2], "stop", 1, 0.0, repeat, deployed=answer), judged, calls=calls)


def test_salvage_and_loss() -> None:
    salvaged, lost, same = with_readings([row(0, False, True), row(1, True, False), row(2, True, True)])
    changed = replace(same, readings={"deployed": {"calls": [{"name": "tool_2", "arguments": {"a": "1"}}], "defect": None}})
    assert [salvages(one, "deployed") for one in (salvaged, lost, same, changed)] == [True, False, False, False]
    assert [loses(one, "deployed") for one in (salvaged, lost, same, changed)] == [False, True, False, True]


def test_errors_have_no_readings() -> None:
    error = replace(row(0, False, True), judged=Judged(Emission.ERROR, None, "timeout"))
    assert with_readings([error])[0].readings == {}


def run_of(strict: int, right: int, total: int = 200) -> dict[Key, Row]:
    rows = with_readings([row(i, i < strict, i < right) for i in range(total)])
    return {one.completion.key: one for one in rows}


def test_the_alarm_fires_when_a_parser_hides_a_fall() -> None:
    found = hidden_fall(run_of(190, 190), run_of(150, 190))
    assert found.fires
    assert found.reader == "deployed"


SILENT = [(190, 190, "did not fall"), (150, 150, "may have fallen"), (195, 100, "did not fall")]


@pytest.mark.parametrize(("strict", "right", "reason"), SILENT)
def test_it_is_silent_when_nothing_is_hidden(strict: int, right: int, reason: str) -> None:
    found = hidden_fall(run_of(190, 190), run_of(strict, right))
    assert not found.fires
    assert reason in found.reason


def rates(strict: int, right: int, n: int = 1000) -> dict[str, dict[str, Any]]:
    named = {"native_emission_rate": strict, "deployed_accuracy": right}
    return {name: {"hits": hits, "n": n, "value": hits / n if n else None} for name, hits in named.items()}


def test_the_alarm_over_a_history_looks_back_to_the_best() -> None:
    assert hidden_fall_in([rates(950, 900), rates(900, 900), rates(880, 900)]).fires
    assert not hidden_fall_in([rates(950, 900), rates(945, 900)]).fires
    assert not hidden_fall_in([rates(950, 900), rates(800, 700)]).fires
    assert not hidden_fall_in([rates(950, 900)]).fires
    assert not hidden_fall_in([rates(950, 900), rates(0, 0, 0)]).fires

"""Verdicts on hand-written completions."""

from __future__ import annotations

import pytest

from data.response import Call, Defect, Malformed, Response
from data.wire import HERMES
from eval.case import Case, ExpectedCall
from eval.classify import judge
from eval.completion import Completion
from eval.emission import Emission
from eval.verdict import Verdict, is_valid

TOOL = {
    "type": "function",
    "function": {
        "name": "write_file",
        "description": "Write text to a file.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}, "required": ["path"]},
    },
}
RIGHT = {"path": "a.py", "content": "x = 1"}


def case(expects: bool) -> Case:
    expected = (ExpectedCall("write_file", RIGHT, exact=True),) if expects else ()
    return Case("c", "native", "call", [{"role": "user", "content": "?"}], [TOOL], expected, 64)


def response(content: str = "", calls: tuple[Call, ...] = (), malformed: tuple[Malformed, ...] = ()) -> Response:
    return Response(content, None, calls, malformed, ended=True)


BROKEN = Malformed((1, 2), "<...>", Defect.NOT_JSON)


DONE = Completion("c", [2], "stop", 1, 0.0)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (response(calls=(Call("write_file", RIGHT),)), Verdict.RIGHT_CALL),
        (response(calls=(Call("write_file", {"path": "b.py", "content": "x = 1"}),)), Verdict.WRONG_ARGUMENTS),
        (response(calls=(Call("write_file", RIGHT),), malformed=(BROKEN,)), Verdict.WRONG_NUMBER),
        (response(calls=(Call("write_file", RIGHT), Call("write_file", RIGHT))), Verdict.WRONG_NUMBER),
        (response(calls=(Call("read_file", RIGHT),)), Verdict.WRONG_TOOL),
        (response(calls=(Call("write_file", {"path": 1, "content": "x = 1"}),)), Verdict.INVALID_ARGUMENTS),
        (response(calls=(Call("write_file", {"content": "x = 1"}),)), Verdict.INVALID_ARGUMENTS),
    ],
)
def test_where_a_call_is_expected_and_made(answer: Response, verdict: Verdict) -> None:
    found = judge(case(True), DONE, answer)
    assert (found.emission, found.verdict) == (Emission.NATIVE_CALL, verdict)


@pytest.mark.parametrize(
    ("answer", "emission"),
    [
        (response(malformed=(BROKEN,)), Emission.NATIVE_MALFORMED),
        (response(f'{HERMES.call_open}\n{{"name": "write_file"}}'), Emission.TYPED_CALL),
        (response('Sure: {"name": "write_file", "arguments": {"path": "a.py"}}'), Emission.JSON_IN_TEXT),
        (response("```python\nwith open('a.py') as f:\n    pass\n```"), Emission.CODE_DUMP),
        (response("import os\n\ndef write_file(path):\n    ..."), Emission.CODE_DUMP),
        (response("def write_file(path, content):\n    with open(path"), Emission.CODE_DUMP),
        (response("The value is {5} and the set {a, b}."), Emission.ANSWER),
        (response("```text\njust a note\n```"), Emission.ANSWER),
        (response("  \n"), Emission.EMPTY),
    ],
)
def test_where_a_call_is_expected_and_missed(answer: Response, emission: Emission) -> None:
    found = judge(case(True), DONE, answer)
    assert (found.emission, found.verdict) == (emission, Verdict.MISSED)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (response("Water boils at 100 degrees."), Verdict.RIGHT_ABSTENTION),
        (response("```python\nprint(1)\n```"), Verdict.RIGHT_ABSTENTION),
        (response("```python\ndef write_file(path):\n    ...\n```"), Verdict.RIGHT_ABSTENTION),
        (response("Which file?"), Verdict.RIGHT_ABSTENTION),
        (response('```python\nwrite_file("a.py")\n```'), Verdict.FALSE_CALL),
        (response(calls=(Call("write_file", RIGHT),)), Verdict.FALSE_CALL),
        (response(malformed=(BROKEN,)), Verdict.FALSE_CALL),
        (response('{"name": "write_file", "arguments": {}}'), Verdict.FALSE_CALL),
    ],
)
def test_where_no_call_is_expected(answer: Response, verdict: Verdict) -> None:
    assert judge(case(False), DONE, answer).verdict is verdict


def test_what_does_not_count_has_no_verdict() -> None:
    error = judge(case(True), Completion("c", None, "error", 0, 0.0, error="HTTP 500"), response())
    assert (error.emission, error.verdict, error.why) == (Emission.ERROR, None, "HTTP 500")
    without_ids = judge(case(True), Completion("c", None, "stop", 0, 0.0, text="hello"), response("hello"))
    assert (without_ids.emission, without_ids.verdict) == (Emission.UNMEASURABLE, None)


def flagged(name: str) -> Case:
    """A case without expected calls that has this flag set."""
    found = case(False)
    object.__setattr__(found, name, True)
    return found


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (response("Which file?"), Verdict.RIGHT_QUESTION),
        (response("Files are collections of bytes."), Verdict.MISSED),
        (response(calls=(Call("write_file", RIGHT),)), Verdict.FALSE_CALL),
    ],
)
def test_where_a_question_is_expected(answer: Response, verdict: Verdict) -> None:
    assert judge(flagged("asks"), DONE, answer).verdict is verdict


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (response(calls=(Call("write_file", {}),)), Verdict.RIGHT_CALL),
        (response(calls=(Call("read_file", {}),)), Verdict.WRONG_TOOL),
        (response("No."), Verdict.MISSED),
    ],
)
def test_where_any_call_is_right(answer: Response, verdict: Verdict) -> None:
    assert judge(flagged("any_call"), DONE, answer).verdict is verdict


@pytest.mark.parametrize("schema", [{"type": "dict"}, {"properties": {"a": {"$ref": "http://localhost/x.json"}}}, {"pattern": "("}])
def test_a_schema_that_cannot_be_checked_forbids_nothing(schema: dict[str, object]) -> None:
    assert is_valid({"a": 1}, schema)


def test_a_schema_forbids_what_it_says() -> None:
    assert not is_valid({}, {"required": ["a"]})

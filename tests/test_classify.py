"""Verdicts on hand-written completions."""

from __future__ import annotations

import pytest

from data.response import Call, Defect, Malformed, Response
from data.wire import HERMES
from eval.case import Case, ExpectedCall
from eval.classify import Verdict, judge

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


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (response(calls=(Call("write_file", RIGHT),)), Verdict.CORRECT_CALL),
        (response(calls=(Call("write_file", {"path": "b.py", "content": "x = 1"}),)), Verdict.WRONG_CALL),
        (response(calls=(Call("write_file", RIGHT), Call("write_file", RIGHT))), Verdict.WRONG_CALL),
        (response(calls=(Call("write_file", RIGHT),), malformed=(BROKEN,)), Verdict.WRONG_CALL),
        (response(malformed=(BROKEN,)), Verdict.MALFORMED),
        (response(f"{HERMES.call_open}\n{{}}"), Verdict.TYPED_CALL),
        (response('Sure: {"name": "write_file", "arguments": {"path": "a.py"}}'), Verdict.TYPED_CALL),
        (response("```python\nwith open('a.py') as f:\n    pass\n```"), Verdict.CODE_DUMP),
        (response("Here it is:\n```bash\necho x > a.py"), Verdict.CODE_DUMP),
        (response("write_file('a.py', 'x = 1')"), Verdict.CODE_DUMP),
        (response("import os\n\ndef write_file(path):\n    ..."), Verdict.CODE_DUMP),
        (response("def write_file(path, content):\n    with open(path"), Verdict.CODE_DUMP),
        (response("I would write_file for you, but which path?"), Verdict.PROSE),
        (response("The value is {5} and the set {a, b}."), Verdict.PROSE),
        (response("```text\njust a note\n```"), Verdict.PROSE),
        (response("  \n"), Verdict.EMPTY),
    ],
)
def test_where_a_call_is_expected(answer: Response, verdict: Verdict) -> None:
    assert judge(case(True), answer).verdict is verdict


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (response("I can't do that."), Verdict.CORRECT_ABSTENTION),
        (response("```python\nprint(1)\n```"), Verdict.CORRECT_ABSTENTION),
        (response(calls=(Call("write_file", RIGHT),)), Verdict.FALSE_CALL),
        (response(malformed=(BROKEN,)), Verdict.FALSE_CALL),
        (response('{"name": "write_file", "arguments": {}}'), Verdict.FALSE_CALL),
    ],
)
def test_where_no_call_is_expected(answer: Response, verdict: Verdict) -> None:
    assert judge(case(False), answer).verdict is verdict

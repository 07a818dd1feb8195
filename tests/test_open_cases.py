"""Verdicts on cases without gold calls: any call is right, or nobody said what is."""

from __future__ import annotations

import pytest

from data.response import Call, Response
from eval.case import Case
from eval.classify import judge
from eval.completion import Completion
from eval.emission import Emission
from eval.verdict import Verdict

TOOL = {"type": "function", "function": {"name": "look_up", "description": "", "parameters": {"type": "object", "properties": {}}}}
DONE = Completion("c", [2], "stop", 1, 0.0)


def case(**claims: bool) -> Case:
    return Case("c", "traffic", "t", [{"role": "user", "content": "?"}], [TOOL], (), 64, **claims)  # type: ignore[arg-type]


def response(*names: str) -> Response:
    return Response("" if names else "Good morning.", None, tuple(Call(name, {}) for name in names), (), ended=True)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (response("look_up"), Verdict.RIGHT_CALL),
        (response("look_up", "look_up"), Verdict.RIGHT_CALL),
        (response("look_up", "look_down"), Verdict.WRONG_TOOL),
        (response(), Verdict.MISSED),
    ],
)
def test_any_call_of_an_offered_tool_is_right(answer: Response, verdict: Verdict) -> None:
    assert judge(case(any_call=True), DONE, answer).verdict is verdict


@pytest.mark.parametrize(("answer", "emission"), [(response("look_up"), Emission.NATIVE_CALL), (response(), Emission.ANSWER)])
def test_an_unjudged_case_has_an_emission_and_no_verdict(answer: Response, emission: Emission) -> None:
    found = judge(case(unjudged=True), DONE, answer)
    assert (found.emission, found.verdict) == (emission, None)

"""Rates, intervals, pairing."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from eval.case import Case, ExpectedCall
from eval.classify import Verdict
from eval.compare import mcnemar, show_turned, turned
from eval.score import Scored, metrics, rate

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def scored(suite: str, name: str, verdict: Verdict, calls: bool) -> Scored:
    expected = (ExpectedCall("f", {}, exact=True),) if calls else ()
    return Scored(Case("c", suite, name, [{"role": "user", "content": "?"}], [TOOL], expected, 8), verdict)


def test_wilson_interval() -> None:
    found = rate(8, 10)
    assert found.value == 0.8
    assert (found.low, found.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


def test_no_case_is_not_zero() -> None:
    assert rate(0, 0).value is None
    assert str(rate(0, 0)) == "n/a"
    assert metrics([])["false_call_rate"].value is None


def test_denominators() -> None:
    rows = [
        scored("native", "call", Verdict.CORRECT_CALL, True),
        scored("native", "call", Verdict.WRONG_CALL, True),
        scored("native", "call", Verdict.CODE_DUMP, True),
        scored("native", "unserved", Verdict.FALSE_CALL, False),
        scored("native", "unserved", Verdict.CORRECT_ABSTENTION, False),
        scored("bfcl", "irrelevance", Verdict.FALSE_CALL, False),
        scored("bfcl", "simple_python", Verdict.MALFORMED, True),
    ]
    found = metrics(rows)
    assert (found["native_emission_rate"].hits, found["native_emission_rate"].n) == (2, 3)
    assert (found["code_dump_rate"].hits, found["code_dump_rate"].n) == (1, 3)
    assert (found["false_call_rate"].hits, found["false_call_rate"].n) == (1, 2)
    assert found["bfcl_false_call_rate"].value == 1
    assert found["bfcl_native_emission_rate"].value == 0


def test_mcnemar_is_exact() -> None:
    gained = [(Verdict.CODE_DUMP, Verdict.CORRECT_CALL)] * 8
    paired = mcnemar([*gained, (Verdict.CORRECT_CALL, Verdict.PROSE), (Verdict.PROSE, Verdict.PROSE)])
    assert (paired.gained, paired.lost, paired.neither) == (8, 1, 1)
    assert paired.p_value == pytest.approx(2 * (1 + 9) / 2**9)
    assert mcnemar([]).p_value is None


def row(id_: str, request: str, verdict: Verdict, text: str) -> dict[str, Any]:
    case = {"id": id_, "messages": [{"role": "user", "content": request}]}
    return {"case": case, "verdict": verdict.value, "reason": "so", "tokens": list(text)}


def test_comparison_shows_a_code_dump_that_became_a_call() -> None:
    dumps = {
        name: row(name, request, Verdict.CODE_DUMP, "def f():\n" + "    pass\n" * 20)
        for name, request in (("a", "long one"), ("b", "short"))
    }
    calls = {name: row(name, dumps[name]["case"]["messages"][0]["content"], Verdict.CORRECT_CALL, "[call]") for name in dumps}
    pair = turned(dumps, calls)
    assert pair == (dumps["b"], calls["b"])
    assert turned(calls, dumps) is None
    console = Console(file=io.StringIO(), width=80)
    show_turned(pair, ("base", "adapter"), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.index("base: code dump") < text.index("def f():") < text.index("…") < text.index("[call]")

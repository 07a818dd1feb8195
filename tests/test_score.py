"""Rates, intervals, pairing."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

import eval.score
from eval.case import Case, ExpectedCall
from eval.compare import show_turned, turned
from eval.completion import Completion, Key
from eval.emission import Emission
from eval.repeats import repeats_json
from eval.rows import Row
from eval.score import metrics, metrics_json, rate
from eval.verdict import Judged, Verdict

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def row(
    suite: str, name: str, emission: Emission, verdict: Verdict | None, calls: bool, id_: str = "c", request: str = "?", text: str = ""
) -> Row:
    expected = (ExpectedCall("f", {}, exact=True),) if calls else ()
    case = Case(id_, suite, name, [{"role": "user", "content": request}], [TOOL], expected, 8)
    return Row(case, Completion(id_, [2], "stop", 1, 0.0), Judged(emission, verdict, "so"), tokens=list(text))


def test_no_case_is_not_zero() -> None:
    assert rate(0, 0).value is None
    assert str(rate(0, 0)) == "n/a"
    assert metrics([])["false_call_rate"].value is None


def test_denominators() -> None:
    rows = [
        row("native", "call", Emission.NATIVE_CALL, Verdict.RIGHT_CALL, True),
        row("native", "call", Emission.NATIVE_CALL, Verdict.WRONG_ARGUMENTS, True),
        row("native", "call", Emission.CODE_DUMP, Verdict.MISSED, True),
        row("native", "call", Emission.ERROR, None, True),
        row("native", "unserved", Emission.TYPED_CALL, Verdict.FALSE_CALL, False),
        row("native", "unserved", Emission.REFUSAL, Verdict.RIGHT_ABSTENTION, False),
        row("bfcl", "irrelevance", Emission.NATIVE_CALL, Verdict.FALSE_CALL, False),
        row("bfcl", "simple_python", Emission.NATIVE_MALFORMED, Verdict.MISSED, True),
    ]
    found = metrics(rows)
    assert (found["native_emission_rate"].hits, found["native_emission_rate"].n) == (2, 3)
    assert (found["code_dump_rate"].hits, found["code_dump_rate"].n) == (1, 3)
    assert (found["false_call_rate"].hits, found["false_call_rate"].n) == (1, 2)
    assert found["bfcl_false_call_rate"].value == 1
    assert found["bfcl_native_emission_rate"].value == 0


def test_comparison_shows_a_code_dump_that_became_a_call() -> None:
    code = "def f():\n" + "    pass\n" * 20
    requests = {"a": "long one", "b": "short"}
    dumps = {
        Key(id_, 0): row("native", "call", Emission.CODE_DUMP, Verdict.MISSED, True, id_, request, code)
        for id_, request in requests.items()
    }
    calls = {
        Key(id_, 0): row("native", "call", Emission.NATIVE_CALL, Verdict.RIGHT_CALL, True, id_, request, "[call]")
        for id_, request in requests.items()
    }
    pair = turned(dumps, calls)
    assert pair == (dumps[Key("b", 0)], calls[Key("b", 0)])
    assert turned(calls, dumps) is None
    console = Console(file=io.StringIO(), width=80)
    show_turned(pair, ("base", "adapter"), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.index("base: code dump") < text.index("def f():") < text.index("…") < text.index("[call]")


def test_metrics_json_follows_its_schema() -> None:
    schema = json.loads(Path(eval.score.__file__).with_name("metrics.schema.json").read_text())
    rows = [
        row("native", "call", Emission.NATIVE_CALL, Verdict.RIGHT_CALL, True, "a"),
        row("native", "call", Emission.CODE_DUMP, Verdict.MISSED, True, "b"),
        row("native", "call", Emission.ERROR, None, True, "c"),
    ]
    long = replace(rows[0], case=replace(rows[0].case, meta={"content_tokens": 500, "nesting": 3}))
    repeats = [replace(one, completion=replace(one.completion, repeat=1)) for one in rows]
    for some in ([], rows, [long], [*rows, *repeats]):
        jsonschema.validate(metrics_json(some), schema)
    found = metrics_json([long, *rows[1:]])
    assert list(found["by_content_tokens"]) == ["512"]
    assert found["by_nesting"]["3"]["emission_rate"]["value"] == 1
    assert found["uncounted"] == {"error": 1, "unmeasurable": 0}


def test_repeats_tell_reliability_and_flaky_cases() -> None:
    def repeated(id_: str, *right: bool) -> list[Row]:
        rows = [row("native", "call", Emission.NATIVE_CALL, Verdict.RIGHT_CALL if one else Verdict.MISSED, True, id_) for one in right]
        return [replace(one, completion=replace(one.completion, repeat=repeat)) for repeat, one in enumerate(rows)]

    found = repeats_json([*repeated("a", True, True), *repeated("b", True, False), *repeated("c", False, False), *repeated("d", True)])
    assert found
    assert (found["cases"], found["incomplete"], found["flaky"]) == (3, 1, ["b"])
    assert found["pass^k"]["1"]["value"] == 0.5
    assert found["pass^k"]["2"]["value"] == pytest.approx(1 / 3)
    assert repeats_json(repeated("a", True)) is None

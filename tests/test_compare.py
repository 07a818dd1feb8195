"""What a comparison finds, what it says, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.errors import UserError
from data.manifest import write_manifest
from eval.case import Case, ExpectedCall
from eval.comparable import check_fingerprints, shared_keys
from eval.compare import compare
from eval.completion import Completion, Key
from eval.emission import Emission
from eval.pairing import OUTCOMES, change, pairs_of
from eval.rows import Row, write_rows
from eval.verdict import Judged, Verdict
from tests.cli import run

FINGERPRINT = {"model": "a", "decoding": {"temperature": 0.0}, "template_sha256": "t", "suite_sha256": "s"}
RIGHT = Judged(Emission.NATIVE_CALL, Verdict.RIGHT_CALL, "")
MISSED = Judged(Emission.CODE_DUMP, Verdict.MISSED, "")
FALSE = Judged(Emission.NATIVE_CALL, Verdict.FALSE_CALL, "")
SILENT = Judged(Emission.ANSWER, Verdict.RIGHT_ABSTENTION, "")


def row(number: int, judged: Judged, repeat: int = 0, calls: bool = True) -> Row:
    name = f"tool_{number % 20}"
    tool = {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    expected = (ExpectedCall(name, {}, exact=True),) if calls else ()
    id_ = f"{'call' if calls else 'none'}-{number}"
    case = Case(id_, "native", "call" if calls else "unserved", [{"role": "user", "content": "?"}], [tool], expected, 8)
    found = [{"name": name, "arguments": {}}] if judged.emission is Emission.NATIVE_CALL else []
    return Row(case, Completion(id_, [2], "stop", 1, 0.0, repeat=repeat), judged, calls=found)


def keyed(*rows: Row) -> dict[Key, Row]:
    return {one.completion.key: one for one in rows}


def run_of(right: int, total: int = 60, false: int = 0) -> dict[Key, Row]:
    calling = [row(i, RIGHT if i < right else MISSED) for i in range(total)]
    return keyed(*calling, *(row(i, FALSE if i < false else SILENT, calls=False) for i in range(20)))


def test_a_clear_gain_and_a_clear_loss() -> None:
    gain, loss = compare(run_of(10), run_of(40)), compare(run_of(40), run_of(10))
    assert (gain["regression"], loss["regression"]) == (False, True)
    assert (gain["changes"]["right"]["gained"], gain["changes"]["right"]["lost"]) == (30, 0)
    assert gain["sentence"].startswith("The new run is better in right answers and native calls, not shown to differ in false calls.")
    assert "WORSE in right answers" in loss["sentence"]


def test_a_small_change_is_unclear_and_says_what_would_go_unnoticed() -> None:
    found = compare(run_of(30), run_of(29))
    assert not found["regression"]
    assert "not shown to differ" in found["sentence"]
    assert "gone unnoticed" in found["sentence"]


def test_equal_runs() -> None:
    found = compare(run_of(30), run_of(30))
    assert "No case changed" in found["sentence"]
    assert not found["regression"]


def test_more_false_calls_are_a_regression_unless_right_answers_are_better() -> None:
    assert compare(run_of(30), run_of(30, false=12))["regression"]
    traded = compare(run_of(5), run_of(55, false=12))
    assert traded["changes"]["false_calls"]["conclusion"] == "worse"
    assert not traded["regression"]
    assert "WORSE in false calls" in traded["sentence"]


def test_a_part_of_the_suite_is_compared_on_what_both_hold() -> None:
    whole = run_of(10)
    part = {key: one for key, one in run_of(40).items() if key.case_id.startswith("call")}
    found = compare(whole, part)
    assert found["shared_cases"] == 60
    assert found["left_out"] == {"base": 20, "candidate": 0}


def test_errors_are_left_out_of_the_pairs() -> None:
    base, candidate = run_of(30), run_of(30)
    broken = row(0, Judged(Emission.ERROR, None, "timeout"))
    assert compare(base, {**candidate, broken.completion.key: broken})["changes"]["right"]["n"] == 79


def test_repeats_of_a_case_are_one_pair() -> None:
    base = [row(0, RIGHT, 0), row(0, MISSED, 1), row(0, MISSED, 2)]
    found = change(pairs_of(base, [row(0, RIGHT, repeat) for repeat in range(3)], ["call-0"]), OUTCOMES["right"])
    assert (found["n"], found["gained"]) == (1, 1)
    assert (found["base"], found["candidate"]) == (pytest.approx(1 / 3), 1)


def test_cases_of_one_id_and_two_contents_are_refused_by_name() -> None:
    base = run_of(1)
    other = {
        key: replace(one, case=replace(one.case, messages=[{"role": "user", "content": "!"}])) if key.case_id == "call-3" else one
        for key, one in base.items()
    }
    with pytest.raises(UserError, match=r"call-3[\s\S]*messages"):
        shared_keys(base, other)
    assert len(shared_keys(base, other, {"cases"})) == 79


@pytest.mark.parametrize(("change_", "name"), [({"decoding": {"temperature": 1.0}}, "decoding"), ({"template_sha256": "u"}, "template")])
def test_fingerprints_that_differ_where_they_must_not_are_refused(change_: dict[str, Any], name: str) -> None:
    with pytest.raises(UserError, match=rf"--allow {name}"):
        check_fingerprints(FINGERPRINT, {**FINGERPRINT, **change_})
    check_fingerprints(FINGERPRINT, {**FINGERPRINT, **change_}, {name})


def test_model_and_size_of_the_suite_may_differ() -> None:
    check_fingerprints(FINGERPRINT, {**FINGERPRINT, "model": "b", "suite_sha256": "part"})


def folder(path: Path, rows: dict[Key, Row], **fingerprint: Any) -> str:
    path.mkdir()
    write_rows(path / "verdicts.jsonl", rows.values())
    (path / "fingerprint.json").write_text(json.dumps({**FINGERPRINT, **fingerprint}))
    write_manifest(path, "evaluation")
    return str(path)


def test_the_command(tmp_path: Path) -> None:
    good, bad = folder(tmp_path / "good", run_of(50)), folder(tmp_path / "bad", run_of(10), model="b")
    sampled = folder(tmp_path / "sampled", run_of(50), decoding={"temperature": 0.7})
    assert "detectable" in run("-m", "eval.compare", bad, good)
    run("-m", "eval.compare", good, bad, status=2)
    written = json.loads((tmp_path / "bad/comparison.json").read_text())
    assert written["regression"]
    assert written["fingerprints_differ"] == {"model": ["a", "b"]}
    assert "comparison: decoding" in run("-m", "eval.compare", good, sampled, status=1)
    run("-m", "eval.compare", good, sampled, "--allow", "decoding")

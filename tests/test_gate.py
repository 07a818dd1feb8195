"""Gates: the grammar, what fails, and that a wrong one stops the run before it begins."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from data.errors import UserError
from data.manifest import write_json, write_manifest
from eval.config import load_config
from eval.gate import Outcome, check, gate_table, parse_gates, read_baseline, write_outcomes
from eval.score import rate

KNOWN = ("emission", "false_calls")


def outcome(condition: str, hits: int = 90, n: int = 100, baseline: tuple[int, int] = (90, 100)) -> Outcome:
    gates = parse_gates({"emission": condition}, KNOWN, "released", "eval.yaml")
    (found,) = check(gates, {"emission": asdict(rate(hits, n))}, {"emission": asdict(rate(*baseline))})
    return found


@pytest.mark.parametrize(
    ("condition", "passed"),
    [
        (">= 0.9", True),
        ("> 0.9", False),
        (">=.95", False),
        ("<= 0.9", True),
        ("< 0.9", False),
        ("value >= 0.9", True),
        ("lower >= 0.9", False),
        ("lower >= 0.8", True),
        ("upper <= 0.9", False),
        ("upper < 1", True),
        (">= baseline", True),
        (">= baseline - 0.02", True),
        (">= baseline + 0.02", False),
        ("lower >= baseline - 0.02", False),
    ],
)
def test_conditions(condition: str, passed: bool) -> None:
    found = outcome(condition)
    assert found.passed is passed, found.why


def test_a_difference_of_rounding_alone_is_none() -> None:
    assert outcome(">= baseline - 0.1", hits=8, n=10, baseline=(9, 10)).passed
    assert not outcome("< baseline - 0.1", hits=8, n=10, baseline=(9, 10)).passed


def test_unmeasured_fails_whatever_the_condition() -> None:
    found = outcome(">= 0", hits=0, n=0)
    assert (found.passed, found.value, found.why) == (False, None, "measured on no case")
    assert not outcome("<= 1", hits=0, n=0).passed
    found = outcome(">= baseline - 1", baseline=(0, 0))
    assert (found.passed, found.why) == (False, "the baseline did not measure it")
    gates = parse_gates({"emission": "<= 1"}, KNOWN, None, "eval.yaml")
    assert [(item.passed, item.why) for item in check(gates, {}, {})] == [(False, "no such metric in this run")]
    assert not check(gates, {"emission": {"value": float("nan")}}, {})[0].passed


@pytest.mark.parametrize(
    "condition", ["", "0.9", "=> 0.9", ">= ninety", ">= 90%", ">= baseline * 2", "median >= 0.9", ">= 0.9 or so", "== 1"]
)
def test_a_condition_outside_the_grammar_is_named(condition: str) -> None:
    with pytest.raises(UserError, match=r"eval\.yaml: gates\.emission"):
        parse_gates({"emission": condition}, KNOWN, "released", "eval.yaml")


def test_unknown_metric_and_absent_baseline_are_named() -> None:
    with pytest.raises(UserError, match=r"gates\.emision(?s:.*)one of emission, false_calls"):
        parse_gates({"emision": ">= 0.9"}, KNOWN, None, "eval.yaml")
    with pytest.raises(UserError, match="without a baseline"):
        parse_gates({"emission": ">= baseline"}, KNOWN, None, "eval.yaml")


def test_a_config_with_a_wrong_gate_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "eval.yaml"
    path.write_text("gates:\n  native_emission_rat: '>= 0.9'\n")
    with pytest.raises(UserError, match="unknown metric"):
        load_config(path)
    path.write_text("gates:\n  native_emission_rate: '> = 0.9'\n")
    with pytest.raises(UserError, match=r"gates\.native_emission_rate"):
        load_config(path)


def test_baseline_is_a_folder_or_a_name_beside_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished evaluation"):
        read_baseline("released", tmp_path / "candidate")
    rates = {"emission": asdict(rate(3, 4))}
    (tmp_path / "released").mkdir()
    write_json(tmp_path / "released/metrics.json", {"metrics": rates})
    write_manifest(tmp_path / "released", "evaluation")
    assert read_baseline("released", tmp_path / "candidate") == rates
    assert read_baseline(str(tmp_path / "released"), Path("elsewhere/candidate")) == rates
    assert read_baseline(None, tmp_path) == {}


def test_outcomes_are_written_and_shown(tmp_path: Path) -> None:
    outcomes = [outcome(">= 0.9"), outcome(">= 0.95")]
    write_outcomes(tmp_path / "gates.json", outcomes)
    assert [row["passed"] for row in json.loads((tmp_path / "gates.json").read_text())] == [True, False]
    assert gate_table(outcomes).row_count == 2

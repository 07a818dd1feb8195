"""The script that holds our reader against other projects' parser tests: over their cases where those are, and over cases of our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli import run
from tests.conftest import SMOLLM3

FIXTURES = SMOLLM3.parent / "data" / "fixtures"
CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
pytestmark = pytest.mark.skipif(not (SMOLLM3 / "tokenizer.json").is_file(), reason=f"SmolLM3's tokenizer.json is not in {SMOLLM3}")


def conformance(folder: Path, status: int, *options: str) -> str:
    return run("scripts/conformance.py", str(folder), "--tokenizer", str(SMOLLM3), *options, status=status)


def case(text: str, calls: list[dict[str, Any]], content: str = "", **more: Any) -> str:
    row = {"id": "c", "source": "ours", "format": "hermes_json", "model_output": text, "tools": None, "expected_reasoning": None}
    return json.dumps({**row, "expected_calls": calls, "expected_content": content, **more})


@pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no cases in {FIXTURES}")
def test_every_difference_has_a_reason(tmp_path: Path) -> None:
    conformance(FIXTURES, 0, "--markdown", str(tmp_path / "table.md"))
    rows = [line.strip("| ").split(" | ") for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith("| ")]
    total = dict(zip(rows[0], next(row for row in rows if row[0] == "all"), strict=True))
    assert total["unexplained"] == "0"
    assert int(total["agree"]) > int(total["cases"]) / 2
    assert int(total["from ids"]) >= 33, "Qwen3's ids are read as ids"


def test_agreement_reason_and_difference_are_told_apart(tmp_path: Path) -> None:
    found = [{"name": "f", "arguments": '{"x": 1}'}]
    bare = '{"name": "f", "arguments": {"x": 1}}'
    (tmp_path / "parser_cases").mkdir()
    path = tmp_path / "parser_cases" / "cases.jsonl"
    path.write_text("\n".join((case(f"Now.\n{CALL}", found, "Now."), case(bare, found))))
    assert "no wire token, no call" in conformance(tmp_path, 0)
    path.write_text(case(CALL, [{"name": "g", "arguments": '{"x": 1}'}]))
    assert "c: calls differ, and no rule says why" in conformance(tmp_path, 1).replace("\n", " ").replace("  ", " ")


def test_folder_without_cases_is_an_error(tmp_path: Path) -> None:
    assert "no cases in" in conformance(tmp_path, 1)

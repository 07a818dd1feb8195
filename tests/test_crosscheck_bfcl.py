"""The matcher agrees with `bfcl-eval`'s checker on rows of every Python category, live ones included."""

import json
from pathlib import Path

import pytest

from data.contamination import bfcl_folder
from tests.cli import run


def test_no_verdict_differs_on_every_fortieth_row(tmp_path: Path) -> None:
    if bfcl_folder() is None:
        pytest.skip("bfcl-eval is not installed: scripts/setup.sh")
    out = tmp_path / "crosscheck.json"
    run("scripts/crosscheck_bfcl.py", "--every", "40", "--json", str(out))
    found = json.loads(out.read_text())
    assert found["differences"] == []
    assert found["agree"] > 2000

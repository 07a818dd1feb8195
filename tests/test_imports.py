"""The pure core imports without torch and transformers, so that reading and scoring data starts at once, anywhere."""

import subprocess
import sys
from pathlib import Path

import pytest

LIGHT = [
    "data.transcript",
    "data.validate",
    "data.contamination",
    "data.split",
    "data.sources.dialogue",
    "eval.classify",
    "eval.detector",
    "eval.score",
    "eval.match",
    "eval.case",
    "eval.gate",
    "eval.separation",
    "eval.history",
    "eval.watch",
    "eval.drift",
    "eval.checkpoints",
]


@pytest.mark.parametrize("module", LIGHT)
def test_imports_without_torch(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{'torch', 'transformers'}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []

"""Where a Python that has vLLM is. vLLM pins other versions than this project, so it has an environment of its own."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cli import ROOT

HINT = "no vLLM: scripts/test.sh --serving makes its environment, or SMOLLORA_VLLM_PYTHON names a Python that has it"


def vllm_python() -> str | None:
    """`SMOLLORA_VLLM_PYTHON`, or the Python of the environment that `scripts/serve_vllm.sh --setup` finished; None without either."""
    if named := os.environ.get("SMOLLORA_VLLM_PYTHON"):
        return named
    environment = Path(os.environ.get("VLLM_VENV") or ROOT / ".venv-vllm")
    return str(environment / "bin/python") if (environment / ".setup-stamp").is_file() else None

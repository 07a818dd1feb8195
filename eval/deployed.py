"""The deployed reading without a server: vLLM's tool parser over ids that were generated elsewhere.

vLLM pins other versions than this project, so `eval/serving/vllm_reader.py` runs in a Python of its own, the config's
`deployed.vllm_python`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.transcript import Json
from eval.completion import Key
from eval.readings import deployed
from eval.rows import Row

READER = Path(__file__).parent / "serving" / "vllm_reader.py"
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_DO_NOT_TRACK": "1", "PYTHONPATH": ""}


def vllm_answers(python: str, tokenizer: Path, cases: Sequence[Json], parser: str, reasons: bool) -> list[Json]:
    """vLLM's answers to `cases` of prompt, output, tools and thinking, in their order; `UserError` where it cannot run.

    Args:
        python: an interpreter that has vLLM.
        tokenizer: folder of the tokenizer that the server loads, with its chat template and, for `hf`, its response template.
        parser: vLLM's `--tool-call-parser`: `hf`, `hermes`, …
        reasons: whether the response template has a field for reasoning, which `hf` then reads too.
    """
    pair = [parser, "hf" if parser == "hf" and reasons else None]
    given = {"tokenizer": str(tokenizer), "pairs": [pair], "cases": list(cases), "streamed": False}
    done = subprocess.run(
        [python, "-I", str(READER)], input=json.dumps(given), capture_output=True, text=True, env={**os.environ, **QUIET}, check=False
    )
    if done.returncode:
        found = done.stderr.strip().splitlines()[-1:] or ["nothing"]
        raise UserError(f"vLLM's parser {parser}", found[0], "an interpreter that has vLLM", "scripts/serve_vllm.sh --setup makes one")
    (result,) = json.loads(done.stdout.splitlines()[-1])
    if "refused" in result:
        raise UserError(f"vLLM's parser {parser}", result["refused"], "a parser that reads this model", "another name for deployed.parser")
    return [reading for (reading,) in result["readings"]]


def with_vllm(
    rows: Sequence[Row], prompts: Mapping[Key, list[int]], python: str, tokenizer: Path, parser: str = "hermes", reasons: bool = False
) -> list[Row]:
    """The rows with vLLM's reading of their ids as the deployed one; those that do not count, or have one, stay as they are."""
    read = [row for row in rows if row.counted and "deployed" not in row.readings]
    cases = [_case(row, prompts[row.completion.key]) for row in read]
    answers = vllm_answers(python, tokenizer, cases, parser, reasons) if cases else []
    by_key = {row.completion.key: _reading(answer, parser) for row, answer in zip(read, answers, strict=True)}
    return [_with_deployed(row, by_key.get(row.completion.key)) for row in rows]


def _case(row: Row, prompt: list[int]) -> dict[str, Any]:
    thinking = bool(row.completion.starts_in_reasoning or row.reasoning)
    return {"prompt": prompt, "output": row.completion.ids, "tools": row.case.tools, "thinking": thinking}


def _reading(answer: Json, parser: str) -> Json:
    if "error" in answer:
        return {"calls": [], "defect": answer["error"], "by": f"vllm {parser}"}
    calls = [{"name": name, "arguments": arguments} for name, arguments in answer["calls"]]
    return deployed({"parser": f"vllm {parser}", "tool_calls": calls})


def _with_deployed(row: Row, reading: Json | None) -> Row:
    return row if reading is None else replace(row, readings={**row.readings, "deployed": reading})

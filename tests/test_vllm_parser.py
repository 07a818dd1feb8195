"""vLLM's `hf` parsers, with our response template and SmolLM3's tokenizer, agree with our reader on well-formed output.

vLLM runs in a Python of its own; see `tests/vllm.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from data.render import prompt_ids
from data.response import opens_reasoning, read_response
from data.wire import read_ids
from tests.conftest import named_tokenizer
from tests.vllm import HINT, vllm_python

PYTHON = vllm_python()
READER = Path(__file__).parents[1] / "eval" / "serving" / "vllm_reader.py"
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_DO_NOT_TRACK": "1"}
PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "", "parameters": PARAMETERS}} for name in ("write_file", "save_config")
]
NESTED = {"path": "a.json", "options": {"list": [1, [2.5, None], {"deep": {"er": True}}], "empty": {}, "none": []}}


def call(name: str = "write_file", **arguments: Any) -> str:
    body = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{body}\n</tool_call>"


OUTPUTS = {
    "text": "Nothing to do here.",
    "text in lines": "One.\n\nTwo:\n\n```python\nprint('<b>')\n```",
    "one call": call(path="a.py", content="x = 1\n"),
    "several calls": "\n".join((call(path="a"), call(path="b"), call("save_config", path="c"))),
    "text before a call": "I write it.\n" + call(path="a.py", content=""),
    "text before two calls": "Both.\n" + call(path="a") + "\n" + call(path="b"),
    "no arguments": call(),
    "unicode": "Hé, 漢字 🧑‍🚀.\n" + call(path="日本/é.txt", content="🧑‍🚀 ✓\u00a0"),
    "escapes": call(path='C:\\tmp\\"x"', content='def f():\n\treturn {"ok": "\\n"}\n'),
    "nested JSON": call("save_config", **NESTED),
    "numbers": call("save_config", a=-3, b=2.5, c=1e-05, d=True, e=None, f=[0, 10**18]),
    "other markup in a string": call(path="<think> & </function> <|x|>", content="a < b"),
}
THOUGHT = {
    "think and text": "<think>\nHm, 漢字.\nSo.\n</think>\nThe answer.",
    "think and call": "<think>\nI need a file.\n</think>\n" + call(path="a.py"),
    "think, text and calls": "<think>\nHm.\n</think>\nI write.\n" + call(path="a") + "\n" + call(path="b"),
}
CASES = [(name, text, False) for name, text in OUTPUTS.items()] + [(name, text, True) for name, text in {**OUTPUTS, **THOUGHT}.items()]


@pytest.fixture(scope="module")
def real() -> PreTrainedTokenizerBase:
    return named_tokenizer("smollm3")


@pytest.fixture(scope="module")
def cases(real: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    user = [{"role": "user", "content": "Please write it."}]
    return [
        {
            "prompt": prompt_ids(user, TOOLS, real, enable_thinking=thinking),
            "output": real.encode(text + "<|im_end|>", add_special_tokens=False),
            "tools": TOOLS,
            "thinking": thinking,
        }
        for _, text, thinking in CASES
    ]


@pytest.fixture(scope="module")
def vllm(
    real: PreTrainedTokenizerBase, cases: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> list[list[dict[str, Any]]]:
    """vLLM's readings of each case: at once, id by id, in chunks."""
    if PYTHON is None:
        pytest.skip(HINT)
    folder = tmp_path_factory.mktemp("tokenizer")
    real.save_pretrained(str(folder))
    given = json.dumps({"tokenizer": str(folder), "pairs": [["hf", "hf"]], "cases": cases, "streamed": True})
    done = subprocess.run(
        [PYTHON, "-I", str(READER)], input=given, capture_output=True, text=True, env={**os.environ, **QUIET, "PYTHONPATH": ""}, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (result,) = json.loads(done.stdout.splitlines()[-1])
    return [[parsed(reading) for reading in readings] for readings in result["readings"]]


def parsed(reading: dict[str, Any]) -> dict[str, Any]:
    return {**reading, "calls": [[name, json.loads(arguments)] for name, arguments in reading["calls"]]}


def ours(case: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    wire = read_ids(tokenizer)
    read = read_response(case["output"], tokenizer, wire, opens_reasoning(case["prompt"], wire), case["tools"])
    assert read.malformed == ()
    return {"reasoning": read.reasoning or "", "content": read.content, "calls": [[one.name, one.arguments] for one in read.calls]}


def stripped(reading: dict[str, Any]) -> dict[str, Any]:
    return {**reading, "reasoning": reading["reasoning"].strip(), "content": reading["content"].strip()}


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{name}, {'think' if thinking else 'no-think'}" for name, _, thinking in CASES])
def test_vllm_reads_what_we_read(
    vllm: list[list[dict[str, Any]]], cases: list[dict[str, Any]], real: PreTrainedTokenizerBase, number: int
) -> None:
    expected = ours(cases[number], real)
    for reading, way in zip(vllm[number], ("at once", "id by id", "in chunks"), strict=True):
        assert stripped(reading) == expected, way
        assert json.dumps(reading["calls"]) == json.dumps(expected["calls"]), way


def test_our_reading_of_the_cases_is_what_they_spell(cases: list[dict[str, Any]], real: PreTrainedTokenizerBase) -> None:
    """Agreement alone could be that of two empty readings."""
    readings = dict(zip(((name, thinking) for name, _, thinking in CASES), (ours(case, real) for case in cases), strict=True))
    assert readings["text before two calls", False] == {
        "reasoning": "",
        "content": "Both.",
        "calls": [["write_file", {"path": "a"}], ["write_file", {"path": "b"}]],
    }
    assert readings["nested JSON", True]["calls"] == [["save_config", NESTED]]
    assert readings["think, text and calls", True]["reasoning"] == "Hm."

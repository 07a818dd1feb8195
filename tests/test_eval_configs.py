"""Every shipped evaluation config loads; its cases have ids of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from data.contamination import bfcl_folder
from data.errors import UserError
from eval.config import EvalConfig, load_cases, load_config

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs" / "eval").glob("*.yaml"))
installed = pytest.mark.skipif(bfcl_folder() is None, reason="bfcl-eval is not installed: scripts/setup.sh")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_loads(path: Path) -> None:
    config = load_config(path)
    assert config.model_fields_set <= set(EvalConfig.model_fields)
    assert config.native or config.bfcl or config.payload or config.traffic


def test_configs_are_found() -> None:
    assert {path.stem for path in CONFIGS} >= {"quickstart", "development", "smollm3", "long_content", "traffic"}


@installed
@pytest.mark.parametrize(("name", "count"), [("quickstart", 407), ("development", 408)])
def test_cases_have_ids_of_their_own(name: str, count: int) -> None:
    cases = load_cases(load_config(ROOT / "configs" / "eval" / f"{name}.yaml"))
    assert len({case.id for case in cases}) == len(cases) == count


def transcripts(path: Path, reply: str = "Hello.") -> Path:
    row = {"id": "t", "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": reply}]}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(row))
    return path


def test_an_id_of_two_cases_is_refused_and_a_name_mends_it(tmp_path: Path) -> None:
    files = [{"path": str(transcripts(tmp_path / folder / "rows.jsonl"))} for folder in ("a", "b")]
    with pytest.raises(UserError, match=r"such as rows/t:1(?s:.*)`name`"):
        load_cases(EvalConfig.model_validate({"transcripts": files}))
    assert len(load_cases(EvalConfig.model_validate({"transcripts": [files[0], {**files[1], "name": "other"}]}))) == 2


def test_a_config_without_a_case_is_refused() -> None:
    with pytest.raises(UserError, match="at least one of native, bfcl, payload"):
        load_cases(EvalConfig())


@pytest.mark.parametrize(
    "text", ["nativ:\n  call: 3\n", "payload:\n  length: [64]\n", "traffic:\n  - file: a\n", "bfcl:\n  multiple: most\n"]
)
def test_a_wrong_key_or_value_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=r"c\.yaml"):
        load_config(tmp_path / "c.yaml")


@installed
def test_bfcl_takes_a_number_or_all() -> None:
    cases = load_cases(EvalConfig(bfcl={"live_parallel": "all", "live_simple": 5}))
    assert Counter(case.slice for case in cases) == {"live_parallel": 16, "live_simple": 5}


def test_a_fraction_is_of_each_slice_and_thinking_gets_room() -> None:
    config = EvalConfig(native={"call": 8, "missing": 4})
    quarter = load_cases(config, 0.25)
    assert Counter(case.slice for case in quarter) == {"call": 2, "missing": 1}
    thinking = load_cases(EvalConfig(native=config.native, enable_thinking=True, thinking_tokens=500), 0.25)
    assert [case.max_new_tokens for case in thinking] == [case.max_new_tokens + 500 for case in quarter]


def test_cases_are_made_without_torch() -> None:
    code = "import sys, eval.config; print(*sorted({'torch', 'transformers'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.split() == []

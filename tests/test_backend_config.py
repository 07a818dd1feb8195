"""The config's `backend` section, and what is said when the backend it names cannot be opened."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from data.errors import UserError
from data.wire import read_ids
from eval.backends.config import BackendConfig, TransformersConfig, VllmConfig
from eval.backends.protocol import Decoding, Request
from eval.backends.registry import open_backend
from eval.backends.vllm_offline import VllmBackend
from eval.completion import Key
from eval.config import load_config
from tests.toy import toy_tokenizer

SECTION: TypeAdapter[BackendConfig] = TypeAdapter(BackendConfig)
WORKER = """#!{python}
import json, sys
if "-c" in sys.argv:
    print(json.dumps({{"vllm": "0"}}))
else:
    lines = sys.stdin.readlines()
    print(json.dumps({{"ready": 1.5}}))
    print(json.dumps({{"index": 1, "ids": [7, 2], "logprobs": [-0.5, -0.25], "length": False, "seconds": 0.1}}))
    print(json.dumps({{"index": 0, "error": "ValueError: too long"}}), flush=True)
    print('{{"index": 2, "ids": [7', end="", flush=True)
    sys.exit("CUDA error: the device fell off")
"""


def test_sections() -> None:
    assert SECTION.validate_python({"type": "transformers"}) == TransformersConfig()
    for wrong in ({"type": "transformers", "batchsize": 4}, {"type": "vllm"}, {"type": "telepathy"}, {"type": "openai", "base_url": None}):
        with pytest.raises(ValidationError):
            SECTION.validate_python(wrong)


def test_margins_are_of_one_process(tmp_path: Path) -> None:
    path = tmp_path / "eval.yaml"
    path.write_text("native: {call: 1}\nmargin: true\nbackend: {type: transformers, processes: 2}\n")
    with pytest.raises(UserError, match="set processes to 1"):
        load_config(path)


def test_a_scripted_backend_encodes_its_text(tmp_path: Path) -> None:
    tokenizer = toy_tokenizer()
    wire = read_ids(tokenizer)
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"a": f"the{wire.form.turn_close}"}))
    backend = open_backend(SECTION.validate_python({"type": "scripted", "script": str(script)}), "m", None, tokenizer, wire)
    (found,) = backend.complete([Request(Key("a", 0), [5], [], [], 9)], Decoding())
    assert found.finish == "stop"
    assert tokenizer.decode(found.ids) == f"the{wire.form.turn_close}"


def test_a_python_without_vllm_is_one_screen(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vllm_python"):
        VllmBackend(VllmConfig(type="vllm", vllm_python=tmp_path / "no-python"), "m", None, 2)


def test_an_adapter_that_vllm_cannot_load_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 8, "trainable_token_indices": [5]}))
    with pytest.raises(UserError, match=r"train\.export"):
        VllmBackend(VllmConfig(type="vllm", vllm_python=Path(sys.executable)), "m", str(tmp_path), 2)


def test_a_worker_that_dies_keeps_what_it_finished(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(WORKER.format(python=sys.executable))
    python.chmod(0o755)
    backend = VllmBackend(VllmConfig(type="vllm", vllm_python=python), "m", None, 2)
    kept = []
    with pytest.raises(UserError, match=r"status 1 after 2 of 3 completions:\n.*the device fell off"):  # noqa: PT012
        for one in backend.complete([Request(Key(name, 0), [5], [], [], 9) for name in "abc"], Decoding(logprobs=True)):
            kept.append((one.case_id, one.ids, one.finish, one.logprobs))
    assert kept == [("b", [7, 2], "stop", [-0.5, -0.25]), ("a", None, "error", None)]
    assert backend.load_seconds == 1.5

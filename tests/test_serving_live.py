"""A real vLLM, started by `scripts/serve_vllm.sh` with an export's own flags, passes every check; skipped where vLLM's environment is not.

The export is SMOLLORA_MERGED or the quickstart's; without either, one of the embedded base that was trained for two steps. A small random
model with SmolLM3's tokenizer is served, too: its template's prompts, and how its calls are read, which it is made to say.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from eval.serving.local_vllm import free_port
from tests.cli import ROOT, run
from tests.conftest import SMOLLM3
from tests.smollm3 import small_model
from tests.vllm import HINT, vllm_python

PYTHON = vllm_python()
READY = "Ctrl-C stops the server"
SIZES = ("--prompts", "8", "--repeats", "4", "--concurrency", "8", "--max-tokens", "96")

pytestmark = pytest.mark.skipif(PYTHON is None, reason=HINT)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = Path(os.environ.get("SMOLLORA_MERGED") or ROOT / "outputs/quickstart/merged")
    return named if (named / "serve.json").is_file() else barely_trained(tmp_path_factory.mktemp("model"))


def barely_trained(folder: Path) -> Path:
    base, data, adapter, merged = (folder / name for name in ("base", "data", "adapter", "merged"))
    run("-m", "train.base", "--name", "embedded:smollm2-135m", "--out", str(base))
    source = {"type": "synthetic", "train": 8, "validation": 20, "max_tools": 1, "mix": {"call": 1}}
    (folder / "data.yaml").write_text(yaml.safe_dump({"seed": 1, "sources": [source]}))
    run("-m", "data.build", "--config", str(folder / "data.yaml"), "--out", str(data))
    run(
        "train/sft.py", "--config", "configs/sft/smollm2_quickstart.yaml", "--model_name_or_path", str(base), "--dataset_dir", str(data),
        "--output_dir", str(adapter), "--max_steps", "2",
    )  # fmt: skip
    run("-m", "train.export", "--adapter", str(adapter), "--out", str(merged))
    return merged


class Server:
    """What `scripts/serve_vllm.sh` started, and what it printed until it was ready."""

    def __init__(self, model: Path, log: Path) -> None:
        self.port = free_port()
        assert PYTHON
        environment = {**os.environ, "VLLM_VENV": str(Path(PYTHON).parents[1])}
        command = ["scripts/serve_vllm.sh", str(model), "--port", str(self.port), "--", "--max-model-len", "4096"]
        with log.open("w") as file:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True)
        while READY not in (text := log.read_text()):
            assert self.process.poll() is None, text
            time.sleep(0.5)
        self.printed, self.url = text, f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.terminate()  # the script ends vLLM
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise


@pytest.fixture(scope="module")
def server(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(exported, tmp_path_factory.mktemp("server") / "log")
    yield started
    started.stop()


def test_the_printed_line_is_answered(server: Server) -> None:
    (line,) = re.findall(r"^ {2}(curl .*)$", server.printed, re.MULTILINE)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["choices"][0]["finish_reason"] in ("stop", "length", "tool_calls")


def test_every_check_passes(server: Server, exported: Path, tmp_path: Path) -> None:
    text = run("-m", "eval.serving", "--base-url", server.url, "--model", str(exported), "--out", str(tmp_path), *SIZES)
    found = json.loads((tmp_path / "serving.json").read_text())
    assert found["passed"], text
    assert {check["check"]: check["total"] for check in found["checks"]}["prompt ids"] == 200


def test_the_inspector_tells_what_became_of_a_call(server: Server) -> None:
    told = run("-m", "eval.inspect", "--base-url", server.url, "--prompt", "Save hi as a.txt", "--max-new-tokens", "64", "--json")
    found = json.loads(told)
    assert found["verdict"] in ("native", "none")
    assert found["completion"]


@pytest.fixture(scope="module")
def smollm3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (SMOLLM3 / "tokenizer.json").is_file():
        pytest.skip(f"SmolLM3's tokenizer.json is not in {SMOLLM3}")
    folder = tmp_path_factory.mktemp("smollm3")
    run("-m", "train.base", "--name", str(small_model(folder / "random")), "--out", str(folder / "base"), "--dtype", "float32")
    return folder / "base"


def test_smollm3s_template_in_a_live_server(smollm3: Path, tmp_path: Path) -> None:
    server, checks = Server(smollm3, tmp_path / "log"), ("prompt", "wire", "template")
    try:
        named = [part for check in checks for part in ("--only", check)]
        text = run("-m", "eval.serving", "--base-url", server.url, "--model", str(smollm3), "--out", str(tmp_path), *named)
    finally:
        server.stop()
    found = json.loads((tmp_path / "serving.json").read_text())
    right = {check["check"]: (check["right"], check["total"]) for check in found["checks"]}
    assert right == {"prompt ids": (200, 200), "wire tokens are one id": (8, 8), "template and tokenizer": (4, 4)}, text


def test_a_live_server_reads_scripted_ids_as_its_parsers_do(smollm3: Path, tmp_path: Path) -> None:
    """hermes reads the text and hf the ids: the end of the turn is in the ids alone."""
    assert PYTHON
    pairs = ("--pair", "hf+hf", "--pair", "hermes+none")
    run("-m", "eval.serving", "--matrix", *pairs, "--model", str(smollm3), "--vllm-python", PYTHON, "--out", str(tmp_path))
    found = json.loads((tmp_path / "matrix.json").read_text())
    driven, live = ({(row["situation"], row["mode"]): row["cells"] for row in found[name]} for name in ("driven", "live_scripted"))
    assert len(live) == 33
    assert live == {key: driven[key] for key in live}
    wrong = {situation for (situation, _), (hf, _) in live.items() if not (hf["whole"] and hf["streamed"])}
    assert wrong == {"closing token inside an argument"}
    assert live["text", "no-think"][1]["whole"]

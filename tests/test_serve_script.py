"""`scripts/serve_vllm.sh` with a small server in vLLM's place, and the compose file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data.wire import HERMES
from eval.serving.local_vllm import free_port
from tests.cli import ROOT
from train.serve_config import serve_config

SERVER = """
import http.server, json, sys
if "--fail" in sys.argv: sys.exit("no such flag")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        if self.path == "/v1/models": self.wfile.write(json.dumps({"data": [{"id": sys.argv[sys.argv.index("--model") + 1]}]}).encode())
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({"model": body["model"], "tool": body["tools"][0]["function"]["name"]}).encode())
http.server.HTTPServer((sys.argv[sys.argv.index("--host") + 1], int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


class Config:
    max_position_embeddings = 8192


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "my model"
    folder.mkdir()
    (folder / "serve.json").write_text(json.dumps(serve_config(Config(), HERMES, reasoning=False)))
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A Python that finds a package named vllm: the small server."""
    package = tmp_path / "site/vllm/entrypoints/openai"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    (package / "api_server.py").write_text(SERVER)
    (tmp_path / "venv/bin").mkdir(parents=True)
    python = tmp_path / "venv/bin/python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}/site" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return {**os.environ, "VLLM_VENV": str(tmp_path / "venv"), "VLLM_PACKAGE": "cpu", "TMPDIR": str(tmp_path)}


def script(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "scripts/serve_vllm.sh"), *arguments], capture_output=True, text=True, env=environment, check=False, timeout=120
    )


def test_print_shows_the_recommended_flags_and_ends(model: Path) -> None:
    done = script(str(model), "--print", "--port", "1234", "--", "--max-model-len", "99")
    words = done.stdout.replace("\\ ", " ")
    assert done.returncode == 0, done.stderr
    assert f"--model {model} --enable-auto-tool-choice --tool-call-parser hf" in words
    assert words.index("--max-model-len 99") > words.index("--max-model-len 8192")


def test_serves_prints_a_curl_line_that_works_and_stops(model: Path, environment: dict[str, str]) -> None:
    command = [str(ROOT / "scripts/serve_vllm.sh"), str(model), "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        told = ""
        while "Ctrl-C stops" not in told:
            line = process.stdout.readline()
            assert line, told
            told += line
        (curl,) = (line for line in told.splitlines() if line.strip().startswith("curl"))
        answer = json.loads(subprocess.run(curl, shell=True, capture_output=True, text=True, check=True).stdout)
        pid = int(told.split("process ")[1].split()[0])
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert answer == {"model": str(model), "tool": "get_weather"}
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_server_that_ends_is_shown_with_its_log(model: Path, environment: dict[str, str]) -> None:
    done = script(str(model), "--port", str(free_port()), "--", "--fail", environment=environment)
    assert done.returncode == 1
    assert "| no such flag" in done.stderr
    assert "it ended before it was healthy" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [((), "left by train.export"), (("nowhere",), "no serve.json"), (("--prot", "1"), "does not know"), (("--port",), "no value")],
)
def test_mistake_is_told_with_its_remedy(arguments: tuple[str, ...], told: str) -> None:
    done = script(*arguments)
    assert done.returncode == 1
    assert told in done.stderr
    assert "remedy:" in done.stderr


def test_compose_file_starts_any_export(model: Path) -> None:
    (service,) = yaml.safe_load((ROOT / "scripts/compose.yaml").read_text())["services"].values()
    assert service["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"
    assert service["volumes"][0]["target"] == "/model"
    program = service["command"][0].replace("/model/", f"{model}/").replace("os.execvp(command[0], command)", "print(json.dumps(command))")
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert json.loads(told)[3:6] == ["--model", "/model", "--enable-auto-tool-choice"]

"""Starts a vLLM of its own, waits until it answers, and stops it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import torch
from rich.console import Console

from data.errors import UserError
from data.precision import compute_dtype

ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "2", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_DO_NOT_TRACK": "1"}
READY_SECONDS = 900
COMMON = ("--enable-auto-tool-choice", "--chat-template-content-format", "string", "--enforce-eager", "--host", "127.0.0.1")


class NotStarted(UserError):
    """The server ended before it answered: `found` holds its own last error."""


def number_format() -> list[str]:
    """As `scripts/serve_vllm.sh`: without units for it bfloat16 is emulated, several times slower."""
    return ["--dtype", "float32"] if compute_dtype() is torch.float32 else []


def flags(pair: tuple[str, str | None]) -> list[str]:
    """The flags of a pair (tool parser, reasoning parser)."""
    tool, reasoning = pair
    return ["--tool-call-parser", tool, *(["--reasoning-parser", reasoning] if reasoning else [])]


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM raises, as Ctrl-C does: a server that was started has a process group of its own, and would go on otherwise."""

    def end(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextmanager
def serving(
    python: str, model: Path, extra: Sequence[str], log: Path, console: Console, plugins: Path | None = None, context: int = 4096
) -> Iterator[str]:
    """The address of a vLLM that serves `model` with the flags `extra` and may import what lies in `plugins`.

    Raises `NotStarted` where it does not come up.
    """
    url = f"http://127.0.0.1:{(port := free_port())}"
    served = ["--model", str(model), "--max-model-len", str(context), "--port", str(port)]
    command = [python, "-m", "vllm.entrypoints.openai.api_server", *served, *COMMON, *number_format(), *extra]
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(plugins or "")}
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True)
    try:
        with console.status(f"starting vLLM with {' '.join(extra)} (about a minute)"):
            _wait(process, url, log)
        yield url
    finally:
        _stop(process)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx2.get(f"{url}/health", timeout=5).status_code == httpx2.codes.OK:
                return
        except httpx2.TransportError:
            time.sleep(1)
    state = "still starting" if process.poll() is None else f"ended with status {process.returncode}"
    raise NotStarted(url, f"{state}: {_reason(log)}", f"a server within {READY_SECONDS} s", f"see {log}")


def _reason(log: Path) -> str:
    """The last line of the log that names an error, without the process's prefix."""
    lines = [line.split(") ", 1)[-1].strip() for line in log.read_text(errors="replace").splitlines()]
    errors = [line for line in lines if "Error" in line and "Engine core initialization" not in line and "See root cause" not in line]
    return errors[-1][:300] if errors else "no error in its log"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process group that was started, politely first; its workers may outlive a leader that ended by itself."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)

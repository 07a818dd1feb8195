"""Generates with vLLM's offline engine, which runs in a Python of its own: vLLM pins other versions than this project does.

Batches are formed by vLLM as it goes, so its rounding, and with it a close choice, may differ from run to run.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import IO, Any

from data.errors import UserError
from data.transcript import Json
from eval.backends.config import VllmConfig
from eval.backends.hashes import hashes
from eval.backends.protocol import Decoding, Request
from eval.completion import Completion, Key

WORKER = Path(__file__).with_name("vllm_worker.py")
SHOWN_LINES = 12  # of a worker that died
VERSIONS = """
import importlib.metadata as metadata, importlib.util, json
assert importlib.util.find_spec("vllm"), "vllm is not installed"
names = {*metadata.packages_distributions().get("vllm", []), "torch", "transformers"}
print(json.dumps({name: metadata.version(name) for name in sorted(names)}))
"""
# The engine in the worker's own process, which then can be stopped as one; no reports to vLLM's makers
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_CPU_KVCACHE_SPACE": "4",  # GiB; on a CPU vLLM takes nearly all memory unless it is told
}
CLEAN = {"PYTHONPATH": "", "PYTHONSAFEPATH": "1"}  # nothing of this project's environment or folder is imported there


class VllmBackend:
    """vLLM in a process that lives as long as one `complete`. `load_seconds` is what its last start took."""

    def __init__(self, config: VllmConfig, model: str, adapter: str | None, stop_id: int) -> None:
        """Raises `UserError` where `config.vllm_python` has no vLLM, or vLLM cannot load the adapter."""
        self.python, self.stop_id, self.adapter = str(config.vllm_python), stop_id, adapter
        self.engine: Json = {"model": model, "dtype": config.dtype, **config.engine}
        if adapter:
            self.engine = {"enable_lora": True, "max_lora_rank": _rank(Path(adapter)), **self.engine}
        self.load_seconds: float | None = None
        self.description: dict[str, Any] = {
            "backend": "vllm",
            "versions": _versions(self.python),
            "engine": {name: value for name, value in self.engine.items() if name != "model"},
            **hashes(model, adapter),
        }

    def complete(self, requests: Sequence[Request], decoding: Decoding, done: AbstractSet[Key] = frozenset()) -> Iterator[Completion]:
        """As the protocol has it; raises `UserError` where the worker dies, after all completions that it finished."""
        todo = [request for request in requests if request.key not in done]
        if not todo:
            return
        with tempfile.TemporaryFile("w+") as log, self._worker(todo, decoding, log) as worker:
            try:
                finished = 0
                for told in _messages(worker):
                    if "ready" in told:
                        self.load_seconds = told["ready"]
                    else:
                        yield _completion(todo[told["index"]], told)
                        finished += 1
                if finished < len(todo):
                    raise UserError(
                        self.python,
                        f"vLLM ended with status {worker.wait()} after {finished} of {len(todo)} completions:\n{_last_lines(log)}",
                        "a completion for each case",
                        "mend what vLLM says and run the same command again: what is finished is kept",
                    )
            finally:
                worker.kill()

    def close(self) -> None:
        """No process outlives `complete`."""

    def _worker(self, requests: Sequence[Request], decoding: Decoding, log: IO[str]) -> subprocess.Popen[str]:
        """A worker that has read what to do from a file, which cannot block."""
        setting: Json = {"engine": self.engine, "adapter": self.adapter, "stop_id": self.stop_id}
        setting |= {"temperature": decoding.temperature, "logprobs": decoding.logprobs}
        with tempfile.TemporaryFile("w+") as given:
            given.write(json.dumps(setting) + "\n")
            given.writelines(json.dumps(_asked(request, decoding)) + "\n" for request in requests)
            given.seek(0)
            environment = {**ENVIRONMENT, **os.environ, **CLEAN}
            command = [self.python, str(WORKER)]
            return subprocess.Popen(command, stdin=given, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)


def _asked(request: Request, decoding: Decoding) -> Json:
    return {"prompt": request.prompt, "max_tokens": request.max_new_tokens, "seed": decoding.seed_of(request.key)}


def _messages(worker: subprocess.Popen[str]) -> Iterator[Json]:
    """What the worker tells, without a line that its death cut short."""
    assert worker.stdout is not None
    yield from (json.loads(line) for line in worker.stdout if line.endswith("\n"))


def _completion(request: Request, told: Json) -> Completion:
    if "error" in told:
        return request.failed(told["error"])
    logprobs = [round(value, 5) for value in told["logprobs"]] if told["logprobs"] is not None else None
    return request.completed(told["ids"], "length" if told["length"] else "stop", told["seconds"], logprobs=logprobs)


def _last_lines(log: IO[str]) -> str:
    log.seek(0)
    return "".join(f"    {line}" for line in log.readlines()[-SHOWN_LINES:]).rstrip()


def _versions(python: str) -> dict[str, str]:
    """Versions of vLLM and what decides its numbers, in the environment of `python`."""
    try:
        done = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=True, env={**os.environ, **CLEAN})
        return dict(json.loads(done.stdout))
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip().splitlines() if isinstance(error, subprocess.CalledProcessError) else [str(error)]
        remedy = "install vLLM in an environment of its own and name its Python in backend.vllm_python"
        raise UserError(python, said[-1] if said else str(error), "a Python that has vLLM", remedy) from error


def _rank(adapter: Path) -> int:
    """The adapter's rank, of which vLLM must know the highest before it starts."""
    settings = json.loads((adapter / "adapter_config.json").read_text())
    if settings.get("trainable_token_indices"):
        raise UserError(
            str(adapter),
            "an adapter with trained token rows (trainable_token_indices)",
            "an adapter of low-rank matrices alone, which is what vLLM loads",
            "merge it with python -m train.export and give the merged folder as --model",
        )
    return int(settings["r"])

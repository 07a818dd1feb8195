"""One evaluation as a YAML file: the suites, how the model is run, and the gates. Pure; no torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from data.config import load_yaml
from data.errors import UserError
from eval.backends.config import BackendConfig, TransformersConfig
from eval.backends.protocol import Decoding
from eval.case import Case
from eval.gate import Gate, parse_gates
from eval.score import metrics
from eval.suites.registry import LOADERS, SuitesConfig


class DeployedConfig(BaseModel):
    """A parser of vLLM that reads the same ids: what a server with `--tool-call-parser PARSER` would make of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vllm_python: str
    parser: str = "hf"


class EvalConfig(SuitesConfig):
    """One evaluation; unknown keys are fatal.

    With `enable_thinking` each case may generate `thinking_tokens` more. Above temperature 0 each case is sampled `repeats` times.
    `max_errors` below 1 is a share of the completions, from 1 on a number of them. `gates` and `baseline` are explained in `eval/gate.py`.
    """

    backend: BackendConfig = TransformersConfig()
    temperature: float = Field(default=0.0, ge=0)
    repeats: PositiveInt = 1
    logprobs: bool = False
    enable_thinking: bool = False
    thinking_tokens: int = Field(default=1024, ge=0)
    margin: bool = False
    deployed: DeployedConfig | None = None
    max_errors: float = Field(default=0.0, ge=0)
    gates: dict[str, str] = Field(default={})
    baseline: str | None = None

    @property
    def decoding(self) -> Decoding:
        return Decoding(self.temperature, self.seed, self.logprobs)

    def parsed_gates(self, place: str) -> list[Gate]:
        """The gates, checked; `place` is where they stand, for the message."""
        return parse_gates(self.gates, metrics(()), self.baseline, place)


def load_config(path: Path) -> EvalConfig:
    """The file at `path`; `UserError` for a missing file, a wrong or unknown key, or a gate that is none."""
    config = load_yaml(path, EvalConfig, "configs/eval/")
    config.parsed_gates(str(path))
    if config.repeats > 1 and not config.temperature:
        raise UserError(f"{path}: repeats", f"{config.repeats} with temperature 0", "a temperature", "greedy answers are all the same")
    if config.margin and not isinstance(config.backend, TransformersConfig):
        raise UserError(f"{path}: margin", f"backend {config.backend.type}", "backend transformers", "run python -m eval.margin beside it")
    if config.margin and isinstance(config.backend, TransformersConfig) and config.backend.processes > 1:
        found = f"{config.backend.processes} processes"
        raise UserError(f"{path}: margin", found, "one: margins are of the model in this process", "set processes to 1")
    return config


def load_cases(config: EvalConfig, fraction: float = 1.0) -> list[Case]:
    """The cases of every suite in the config; `fraction` keeps an evenly spaced, deterministic part of each slice.

    Raises:
        UserError: the config asks for no case, or two cases have one id.
    """
    cases = [case for load in LOADERS.values() for case in load(config)]
    if not cases:
        raise UserError("evaluation config", "no case", f"at least one of {', '.join(LOADERS)}", "add a suite to the config")
    twice = sorted(id_ for id_, count in Counter(case.id for case in cases).items() if count > 1)
    if twice:
        found = f"{len(twice)} ids of several cases, such as {twice[0]}"
        raise UserError("evaluation config", found, "ids that are unique over all suites", "give files of one name a `name` each")
    kept = [case for part in _slices(cases) for case in _spread(part, fraction)]
    return [replace(case, max_new_tokens=case.max_new_tokens + config.thinking_tokens) for case in kept] if config.enable_thinking else kept


def _slices(cases: list[Case]) -> list[list[Case]]:
    parts: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        parts.setdefault((case.suite, case.slice), []).append(case)
    return list(parts.values())


def _spread(part: list[Case], fraction: float) -> list[Case]:
    count = max(1, round(len(part) * fraction))
    return [part[index * len(part) // count] for index in range(count)]

"""One evaluation as a YAML file: the suites, how the model is run, and the gates. Pure; no torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from data.config import load_yaml
from data.errors import UserError
from eval.case import Case
from eval.suites.registry import LOADERS, SuitesConfig


class EvalConfig(SuitesConfig):
    """One evaluation; unknown keys are fatal. With `enable_thinking` each case may generate `thinking_tokens` more."""

    enable_thinking: bool = False
    thinking_tokens: int = Field(default=1024, ge=0)
    batch_size: int = Field(default=48, ge=1)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    gates: dict[str, str] = Field(default={})


def load_config(path: Path) -> EvalConfig:
    """The file at `path`; `UserError` for a missing file or a wrong or unknown key."""
    return load_yaml(path, EvalConfig, "configs/eval/")


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

"""Keeps training data away from a benchmark: shared tool names and shared request wording.

A request is compared by its runs of `RUN` words with numbers and slots taken out, so that a paraphrase that changes only the
values is found too.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from importlib import util
from pathlib import Path
from typing import NamedTuple

RUN = 7
WORD = re.compile(r"[a-z]+")


class Protected(NamedTuple):
    """What must not occur in training: normalised tool names, and word runs of requests."""

    names: frozenset[str]
    runs: frozenset[tuple[str, ...]]


def normalised(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def word_runs(text: str) -> set[tuple[str, ...]]:
    words = WORD.findall(re.sub(r"\{[^}]*\}", " ", text.lower()))
    return {tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}


def bfcl_folder() -> Path | None:
    """The data folder of the installed `bfcl-eval` package, found without importing it."""
    spec = util.find_spec("bfcl_eval")
    return Path(spec.submodule_search_locations[0]) / "data" if spec and spec.submodule_search_locations else None


@functools.cache
def bfcl_protected(folder: Path) -> Protected:
    """Names and request runs of every BFCL v4 file of one JSON row a line."""
    names: set[str] = set()
    runs: set[tuple[str, ...]] = set()
    for path in sorted(folder.glob("BFCL_v4_*.json")):
        lines = path.read_text().splitlines()
        for row in map(json.loads, lines if lines[0].endswith("}") else []):
            names |= {normalised(function["name"]) for function in row.get("function", [])}
            for turn in row.get("question", []):
                for message in turn if isinstance(turn, list) else []:
                    runs |= word_runs(message["content"])
    return Protected(frozenset(names), frozenset(runs))


def overlaps(names: Iterable[str], requests: Iterable[str], protected: Protected) -> list[str]:
    """One line per tool name or request that the protected benchmark holds too; empty when clean."""
    found = [f"tool name {name!r}" for name in names if normalised(name) in protected.names]
    for request in requests:
        shared = word_runs(request) & protected.runs
        if shared:
            found.append(f"request {request!r} shares {' '.join(sorted(shared)[0])!r}")
    return found

"""Real content for file and configuration tools: code of the running interpreter's standard library, and nested settings.

Nothing is shipped: code is read from `sysconfig`'s stdlib folder and cut at top-level definitions, so that each piece is a whole
function or class. Pieces are split by file, like tools are split by name.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import json
import random
import re
import sysconfig
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from data.split import Split, split_of

MIN_LINES = 4
NOT_LIBRARY = {"test", "tests", "site-packages", "idlelib", "lib2to3", "encodings", "ensurepip", "turtledemo", "pydoc_data"}
SPELLINGS = ("json", "json", "yaml", "dotted")
DEEP = (4, 7)  # levels of deep settings
DEEP_SPELLINGS = ("lines",) * 12 + ("json",) * 2 + ("yaml",) * 5 + ("dotted",)


class Piece(NamedTuple):
    """A whole top-level definition: the module file it comes from, and its text."""

    file: str
    text: str

    @property
    def lines(self) -> int:
        return self.text.count("\n") + 1


def _definitions(path: Path) -> Iterator[str]:
    source = path.read_text(encoding="utf-8", errors="strict")
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.end_lineno:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            yield "\n".join(lines[first - 1 : node.end_lineno])


@functools.cache
def code_pieces(max_lines: int) -> tuple[Piece, ...]:
    """Every definition of `MIN_LINES` to `max_lines` lines in the standard library's top-level modules, in a fixed order."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    return tuple(
        Piece(path.name, text)
        for path in sorted(folder.glob("*.py"))
        for text in _definitions(path)
        if MIN_LINES <= text.count("\n") + 1 <= max_lines
    )


@functools.cache
def modules() -> tuple[Piece, ...]:
    """The whole text of each module of the standard library, packages included, tests and tools left out, in a fixed order."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    found = []
    for path in sorted(folder.rglob("*.py")):
        if not NOT_LIBRARY & set(path.relative_to(folder).parts):
            with contextlib.suppress(UnicodeDecodeError):
                found.append(Piece(path.name, path.read_text(encoding="utf-8")))
    return tuple(found)


def excerpt(module: Piece, lines: int, rng: random.Random) -> Piece:
    """At most `lines` consecutive lines of the module, from anywhere, without blank lines around them."""
    whole = _lines(module)
    start = rng.randrange(max(1, len(whole) - lines + 1))
    return Piece(module.file, "\n".join(whole[start : start + lines]).strip("\n"))


def decorated(split: Split, lines: int, rng: random.Random) -> Piece:
    """At most `lines` lines of a module of the split, from a decorator on, without their common indentation."""
    module, start = rng.choice(_decorators(split))
    return Piece(module.file, textwrap.dedent("\n".join(_lines(module)[start : start + lines])).strip("\n"))


@functools.cache
def _decorators(split: Split) -> tuple[tuple[Piece, int], ...]:
    """Modules and the lines at which a decorator stands."""
    return tuple((module, at) for module in modules_of(split) for at, line in enumerate(_lines(module)) if line.lstrip().startswith("@"))


def rarely_escaped(split: Split, lines: int, longest: int, rng: random.Random) -> Piece:
    """At most `lines` lines of a module of the split, each of at most `longest` characters, that are hard to write in a JSON string.

    What is to be escaped there is drawn evenly, so that `"{`, for which vocabularies have a token of its own, comes as often as `")`.
    """
    places = _places(split)
    while True:
        module, at = rng.choice(places[rng.choice(sorted(places))])
        start = max(0, at - rng.randrange(lines))
        found = "\n".join(_lines(module)[start : start + lines]).strip("\n")
        if max(map(len, found.splitlines())) <= longest:
            return Piece(module.file, found)


@functools.cache
def _places(split: Split) -> dict[str, list[tuple[Piece, int]]]:
    """Modules and lines by what is to be escaped: a quote or backslash between its neighbours, or a line end and the spaces after it."""
    places: dict[str, list[tuple[Piece, int]]] = {}
    for module in modules_of(split):
        for at, line in enumerate(_lines(module)):
            text = re.sub("[A-Za-z]", "a", re.sub("[0-9]", "0", line.replace('"""', "")))
            found = {text[max(0, i - 1) : i + 2] for i, character in enumerate(text) if character in '"\\'}
            for place in found | {f"\n{len(line) - len(line.lstrip())}"}:
                places.setdefault(place, []).append((module, at))
    return places


@functools.cache
def modules_of(split: Split) -> tuple[Piece, ...]:
    """Those of one split: what is stored in one is never seen in the other."""
    return tuple(module for module in modules() if split_of(module.file) == split and module.text.strip())


@functools.cache
def _lines(module: Piece) -> list[str]:
    return module.text.splitlines()


def escaped(text: str) -> int:
    """How many characters of `text` have a backslash before them in JSON, line ends and the usual three quotes of a docstring aside."""
    rare = text.replace('"""', "")
    return rare.count('"') + rare.count("\\")


def repeated(text: str) -> int:
    """How many lines of `text`, those of a word or two characters aside, say what an earlier one says."""
    lines = [line.strip() for line in text.splitlines() if len(line.strip()) > 3]
    return len(lines) - len(set(lines))


SECTIONS = (
    "server",
    "database",
    "logging",
    "cache",
    "auth",
    "storage",
    "queue",
    "metrics",
    "features",
    "limits",
    "retry",
    "ui",
    "search",
    "mail",
)
LEAVES: dict[str, tuple[Any, ...]] = {
    "host": ("localhost", "db.internal", "10.0.4.17", "cache-01", "api.example.org"),
    "port": (80, 443, 5432, 6379, 8080, 9090, 3000),
    "timeout_seconds": (1, 5, 15, 30, 60, 2.5),
    "enabled": (True, False),
    "level": ("debug", "info", "warning", "error"),
    "max_connections": (5, 10, 50, 100, 250),
    "name": ("primary", "replica", "staging", "orders", "sessions"),
    "path": ("/var/lib/app", "/srv/data", "logs/app.log", "~/cache"),
    "ttl": (60, 300, 3600, 86400),
    "tags": (["eu", "prod"], ["beta"], ["blue", "green", "canary"], []),
    "ratio": (0.1, 0.25, 0.5, 0.95),
    "owner": ("platform", "payments", "data-eng", "web"),
    "compress": (True, False),
    "allowed_origins": (["https://app.example.org"], ["*"], ["https://a.example", "https://b.example"]),
    "schedule": ("hourly", "daily", "weekly", "0 3 * * *"),
    "threads": (1, 2, 4, 8, 16),
}


def nested_config(rng: random.Random, depth: int, values: int = 3) -> dict[str, Any]:
    """Settings nested exactly `depth` levels deep, with one to `values` values on each level and a sibling section now and then."""
    config: dict[str, Any] = {key: rng.choice(LEAVES[key]) for key in rng.sample(sorted(LEAVES), rng.randint(1, values))}
    if depth > 1:
        first, second = rng.sample(SECTIONS, 2)
        config[first] = nested_config(rng, depth - 1, values)
        if rng.random() < 0.3:
            config[second] = nested_config(rng, 1, values)
    return config


def compact_config(rng: random.Random, depth: int) -> dict[str, Any]:
    """Settings nested at most `depth` levels deep in objects and lists of objects, with one or two keys on each level."""
    config: dict[str, Any] = {key: rng.choice(LEAVES[key]) for key in rng.sample(sorted(LEAVES), rng.choice([1, 1, 2]))}
    if depth > 1:
        inner = [compact_config(rng, depth - 1) for _ in range(rng.choice([1, 1, 1, 2]))]
        config[rng.choice(SECTIONS)] = inner if len(inner) > 1 or rng.random() < 0.2 else inner[0]
        if rng.random() < 0.4:
            config[rng.choice(sorted(set(LEAVES) - set(config)))] = rng.choice([1, 20, True, "auto", None, 0.5])
    return config


def depth_of(value: Any) -> int:
    """Levels of nested objects; 0 for a value that is no object."""
    return 1 + max((depth_of(item) for item in value.values()), default=0) if isinstance(value, dict) else 0


def leaves(config: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every value that is no section, and the dotted path to it, from top to bottom."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield ".".join((*path, key)), value


def spell_config(config: dict[str, Any], rng: random.Random, spellings: Sequence[str] = SPELLINGS) -> str:
    """The settings as a person would paste them: JSON, JSON on lines, YAML or dotted keys, whichever of `spellings` is drawn."""
    how = rng.choice(spellings)
    if how == "lines":
        return json.dumps(config, indent=2)
    if how == "json":
        return json.dumps(config, indent=2 if rng.random() < 0.5 else None)
    if how == "yaml":
        return yaml.safe_dump(config, sort_keys=False).rstrip()
    return "\n".join(f"{path} = {json.dumps(value)}" for path, value in leaves(config))

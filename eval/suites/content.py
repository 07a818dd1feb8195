"""Long content with known traits: text and settings of a wanted length, with or without back-ticks and literal wire tags.

Text is real: definitions and docstrings of the running interpreter's standard library, of files that training never takes from. Its form
decides how much of it JSON must escape: prose little, code some, JSON that holds lines of code much, since they are escaped twice.
"""

from __future__ import annotations

import ast
import functools
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from data.sources.payloads import LEAVES, SECTIONS, code_pieces, depth_of
from data.split import split_of
from data.transcript import Json
from data.wire import HERMES

Density = Literal["low", "medium", "high"]
DENSITIES: tuple[Density, ...] = ("low", "medium", "high")
MEDIUM_FROM, HIGH_FROM = 0.015, 0.07  # characters that JSON adds by escaping, as a share of the spelled value
# Characters of spelled JSON a token. SmolLM3's tokenizer: code 4.3, code inside JSON 3.6, settings 3.0; SmolLM2's: 3.6, 2.9, 2.7
CHARACTERS_PER_TOKEN = 3.5
LONGEST_PIECE = 10_000  # lines: every definition

WIRE_NOTE = f"a call stands between {HERMES.call_open} and {HERMES.call_close}"
NOTES: dict[Density, tuple[str, str]] = {  # with back-ticks, with wire tags
    "low": ("Run `make all` first, then `make check`.", f"Note that {WIRE_NOTE}."),
    "medium": ("# ```sh\n# make all\n# ```", f"# {WIRE_NOTE}"),
    "high": ("# `make all`", f"# {HERMES.call_open}{HERMES.call_close}"),
}
ESCAPED_LEAVES = (
    r"^\d{3}-\d{4}\s+\"\w+\"$",
    r"C:\srv\app\logs\new\today",
    '{"a": "b", "c": ["d", "e"]}',
    '"x"\t"y"\n"1"\t"2"\n',
    r"\\share\in\"q\"",
)
ESCAPED_RATE: dict[Density, float] = {"low": 0.0, "medium": 0.25, "high": 1.0}


@dataclass(frozen=True)
class Traits:
    """What a page plots against. `content_tokens` is a bucket, by `CHARACTERS_PER_TOKEN`; `nesting` is levels of objects, 1 for text."""

    content_tokens: int
    nesting: int
    backticks: bool
    wire_literals: bool
    escape_density: Density

    def meta(self) -> Json:
        return asdict(self)


def spelled(value: Any) -> int:
    """Characters of the value as JSON."""
    return len(json.dumps(value, ensure_ascii=False))


def tokens_in(value: Any) -> float:
    """Tokens of the value as JSON, estimated."""
    return spelled(value) / CHARACTERS_PER_TOKEN


def traits_of(value: Any, content_tokens: int) -> Traits:
    """The traits of a value, found by looking at it, in the length bucket `content_tokens`."""
    texts = list(_texts(value))
    added = sum(spelled(text) - 2 - len(text) for text in texts) / spelled(value)
    density: Density = "high" if added >= HIGH_FROM else "medium" if added >= MEDIUM_FROM else "low"
    ticks = any("`" in text for text in texts)
    return Traits(content_tokens, max(1, depth_of(value)), ticks, any(tag in text for text in texts for tag in HERMES.texts), density)


def _texts(value: Any) -> list[str]:
    """Every string in nested JSON, keys too."""
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in (key, *_texts(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


def text(rng: random.Random, traits: Traits) -> str:
    """Text of about `traits.content_tokens` tokens: prose, code, or JSON that holds code, by the escape density."""
    density = traits.escape_density
    wanted = [note for note, on in zip(NOTES[density], (traits.backticks, traits.wire_literals), strict=True) if on]
    units = _prose() if density == "low" else _code()
    start = rng.choice([at for at, unit in enumerate(units) if _begins(unit, units[at - 1], density)])
    rotated = [*units[start:], *units[:start]]
    low, high = 1, len(rotated)
    while low < high:  # the most units that fit
        middle = (low + high + 1) // 2
        low, high = (middle, high) if tokens_in(_form(rotated[:middle] + wanted, density)) <= traits.content_tokens else (low, middle - 1)
    chosen = rotated[:low]
    for note in wanted:
        ends = [at for at in range(1, len(chosen) + 1) if density != "low" or chosen[at - 1].endswith(".")]
        chosen.insert(rng.choice(ends or [len(chosen)]), note)
    return _form(chosen, density)


def _begins(unit: str, before: str, density: Density) -> bool:
    """Whether content may start here: with a sentence, or with a line that is not indented."""
    if density == "low":
        return before.endswith(".") and unit[0].isupper()
    return unit[:1].isalpha() or unit.startswith("@")


def _form(units: Sequence[str], density: Density) -> str:
    if density == "low":
        return " ".join(units)
    code = "\n".join(units).rstrip("\n")
    return code if density == "medium" else json.dumps({"lines": code.splitlines(keepends=True)}, indent=1, ensure_ascii=False)


@functools.cache
def _code() -> tuple[str, ...]:
    """Lines of held-out definitions, without back-ticks and without blank ends."""
    pieces = [piece.text for piece in code_pieces(LONGEST_PIECE) if split_of(piece.file) == "validation" and "`" not in piece.text]
    return tuple(line for piece in pieces for line in (*piece.splitlines(), "", ""))


@functools.cache
def _prose() -> tuple[str, ...]:
    """Words of the docstrings of held-out definitions; words that JSON escapes or that hold back-ticks are left out."""
    pieces = [piece.text for piece in code_pieces(LONGEST_PIECE) if split_of(piece.file) == "validation"]
    nodes = [node for piece in pieces for node in ast.walk(ast.parse(piece)) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    words = [word for node in nodes for word in (ast.get_docstring(node) or "").split()]
    return tuple(word for word in words if "`" not in word and spelled(word) == len(word) + 2)


def settings(rng: random.Random, traits: Traits) -> Json:
    """Settings of about `traits.content_tokens` tokens, nested exactly `traits.nesting` levels deep."""
    config: Json = {}
    levels = [config]
    for _ in range(traits.nesting - 1):
        levels.append(levels[-1].setdefault(rng.choice(SECTIONS), {}))
    levels[-1]["enabled"] = True
    notes = zip(NOTES["low"], (traits.backticks, traits.wire_literals), strict=True)
    rng.choice(levels).update({f"note_{i}": note for i, (note, on) in enumerate(notes) if on})
    length, target = spelled(config), traits.content_tokens * CHARACTERS_PER_TOKEN
    while True:
        at = rng.randrange(len(levels))
        key, leaf = _leaf(rng, traits.escape_density, levels[at])
        length += spelled({key: leaf})
        if length > target:
            return config
        levels[at][key] = leaf


def _leaf(rng: random.Random, density: Density, held: Json) -> tuple[str, Any]:
    """A setting under a name that `held` does not have."""
    name = rng.choice(sorted(LEAVES))
    value = rng.choice(ESCAPED_LEAVES) if rng.random() < ESCAPED_RATE[density] else rng.choice(LEAVES[name])
    return (f"{name}_{len(held)}" if name in held else name), value

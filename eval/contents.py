"""Whether a text holds what the expected call would have carried as an argument: a file's content or a configuration, written out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import yaml

from eval.asked import Asked
from eval.fences import Layout
from eval.python_code import SAMPLE, closed
from eval.spelled_call import json_values

SHARE = 0.6  # of a text's lines, or of a value's leaves, that are the content's
Leaves = set[tuple[str, str]]


def holds_content(parts: Layout, asked: Asked) -> str | None:
    """Why the text writes out an expected argument, or None. A text cut off holds what it got to."""
    if not asked.contents:
        return None
    texts = [*(block.body for block in parts.blocks[:4]), parts.prose]
    for content in asked.contents:
        holds = _holds_lines if isinstance(content, str) else _holds_leaves
        if any(holds(text[:SAMPLE], content) for text in texts if text.strip()):
            return "what the expected call carries, written out as text"
    return None


def _holds_lines(text: str, content: str) -> bool:
    """Whether most lines of `text` are lines of `content`; white space around a line and blank lines do not count."""
    lines, wanted = _lines(text), set(_lines(content))
    cut = int(lines[-1] not in wanted and any(line.startswith(lines[-1]) for line in wanted))
    found = [line for line in lines if line in wanted]
    return len(found) + cut >= SHARE * len(lines) and sum(map(len, found)) >= min(12, len(content))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _holds_leaves(text: str, content: Any) -> bool:
    """Whether most leaves of a JSON or YAML value in `text` are those of `content`."""
    wanted = _leaves(content)
    for value in _values(text):
        found = _leaves(value)
        if len(found) > 1 and len(found & wanted) >= SHARE * len(found):
            return True
    return False


def _values(text: str) -> Iterator[Any]:
    yield from json_values(text)
    start = text.find("{")
    with suppress(ValueError, RecursionError, yaml.YAMLError):
        if start >= 0:
            yield json.loads(closed(text[start:]))
        elif ":" in text:
            yield yaml.safe_load(text)


def _leaves(value: Any, path: str = "", depth: int = 0) -> Leaves:
    """Every leaf of a nested value with its path; nothing below 50 levels."""
    if depth > 50:
        return set()
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if pairs is None:
        return {(path, repr(value))}
    return set().union(*(_leaves(inner, f"{path}/{key}", depth + 1) for key, inner in pairs))

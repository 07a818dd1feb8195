"""Rows of one kind of scene, and its served requests."""

from __future__ import annotations

from typing import Any

from data.sources.dialogue import generate
from data.split import Split
from data.transcript import Transcript


def rows(kind: str, split: Split, count: int) -> list[Transcript]:
    return list(generate(split, 11, count, {kind: 1}))


def served(found: list[Transcript]) -> list[tuple[str, dict[str, Any]]]:
    """The request and the arguments of each call, to a tool that is offered."""
    calling = [row for row in found if row.calls()]
    assert len(calling) > 200
    pairs = []
    for row in calling:
        (call,) = row.calls()
        assert call.name in {tool.function.name for tool in row.tools}
        pairs.append((str(row.messages[0].content), call.arguments))
    return pairs

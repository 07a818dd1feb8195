"""Sequences of ids."""

from __future__ import annotations

from collections.abc import Sequence


def shared_length(rows: Sequence[Sequence[int]]) -> int:
    """How many ids all rows begin with; at least one row."""
    return next((at for at, ids in enumerate(zip(*rows, strict=False)) if len(set(ids)) > 1), min(map(len, rows)))

"""Where two sequences of ids part, shown as tokens in context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eval.serving.outcome import Failure

CONTEXT = 6


def first_difference(ours: Sequence[int], theirs: Sequence[int]) -> int | None:
    """The index of the first id that differs, or of the end of the shorter; None where they are equal."""
    if list(ours) == list(theirs):
        return None
    shared = range(min(len(ours), len(theirs)))
    return next((index for index in shared if ours[index] != theirs[index]), len(shared))


def in_context(ids: Sequence[int], index: int, tokenizer: Any) -> str:
    """The tokens around `index`, that one between arrows with its id."""
    before = tokenizer.decode(ids[max(0, index - CONTEXT) : index])
    after = tokenizer.decode(ids[index + 1 : index + 1 + CONTEXT])
    here = f"{tokenizer.decode([ids[index]])!r} ({ids[index]})" if index < len(ids) else "the end"
    return f"{before!r} → {here} ← {after!r}"


def prompt_failure(place: str, ours: Sequence[int], theirs: Sequence[int], tokenizer: Any) -> Failure | None:
    """The first difference between our prompt and a server's, or None."""
    index = first_difference(ours, theirs)
    if index is None:
        return None
    return Failure(
        f"{place}, prompt token {index} of {len(theirs)}",
        f"the server has {in_context(theirs, index, tokenizer)}",
        f"{in_context(ours, index, tokenizer)}, of {len(ours)} tokens",
        "start the server with the model's own chat_template.jinja (--chat-template) and --chat-template-content-format string",
    )

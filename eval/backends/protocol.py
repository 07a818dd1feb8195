"""What every backend is given and gives back. Pure; no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from data.transcript import Json
from eval.completion import Completion, Key


@dataclass(frozen=True)
class Decoding:
    """How ids are chosen: greedy at temperature 0; above it, sampled with a seed that differs from repeat to repeat and case to case."""

    temperature: float = 0.0
    seed: int = 0
    logprobs: bool = False


@dataclass(frozen=True)
class Request:
    """One completion to make: the prompt's ids for backends that take ids, messages and tools for those that render by themselves."""

    key: Key
    prompt: list[int]
    messages: list[Json]
    tools: list[Json]
    max_new_tokens: int
    starts_in_reasoning: bool = False
    enable_thinking: bool = False


class Backend(Protocol):
    """Whatever turns requests into completions."""

    @property
    def description(self) -> dict[str, Any]:
        """What of this backend decides the numbers, for the run's fingerprint: names, hashes, versions, dtype."""
        ...

    def complete(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Completion]:
        """A completion for each request, once, in any order, as they are finished.

        What goes wrong with one request is a completion with `finish="error"`; only what makes all others impossible too is raised.
        """
        ...

    def close(self) -> None:
        """Give back what was held: a model, a process, connections. Safe to call twice."""
        ...

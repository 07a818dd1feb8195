"""What every backend is given and gives back. Pure; no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

from data.transcript import Json
from eval.completion import Completion, Finish, Key


@dataclass(frozen=True)
class Decoding:
    """How ids are chosen: greedy at temperature 0; above it, sampled with a seed that differs from repeat to repeat and case to case.

    With `logprobs`, completions hold those of the generated ids: natural logarithms under the model's own distribution, temperature 1.
    """

    temperature: float = 0.0
    seed: int = 0
    logprobs: bool = False

    def seed_of(self, key: Key) -> int:
        """The seed of one request: 31 bits, the widest that every server takes, of SHA-256."""
        digest = hashlib.sha256(f"{self.seed}\0{key.case_id}\0{key.repeat}".encode()).digest()
        return int.from_bytes(digest[:4]) >> 1


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

    def completed(self, ids: list[int] | None, finish: Finish, seconds: float, **fields: Any) -> Completion:
        """The completion of this request; `fields` are those of `Completion` that have a default."""
        return Completion(
            case_id=self.key.case_id,
            repeat=self.key.repeat,
            ids=ids,
            finish=finish,
            seconds=round(seconds, 4),
            starts_in_reasoning=self.starts_in_reasoning,
            **{"prompt_tokens": len(self.prompt), **fields},
        )

    def failed(self, error: str, seconds: float = 0.0) -> Completion:
        """No completion: `error` says why."""
        return self.completed(None, "error", seconds, error=error)


class Backend(Protocol):
    """Whatever turns requests into completions."""

    @property
    def description(self) -> dict[str, Any]:
        """What of this backend decides the numbers, for the run's fingerprint: names, hashes, versions, dtype."""
        ...

    def complete(self, requests: Sequence[Request], decoding: Decoding, done: AbstractSet[Key] = frozenset()) -> Iterator[Completion]:
        """A completion for each request whose key is not in `done`, once, in any order, as they are finished.

        A backend whose rounding depends on which requests share a batch forms its batches of all requests: a resumed run then gives
        what an uninterrupted one gives. What goes wrong with one request is a completion with `finish="error"`; only what makes all
        others impossible too is raised.
        """
        ...

    def close(self) -> None:
        """Give back what was held: a model, a process, connections. Safe to call twice."""
        ...

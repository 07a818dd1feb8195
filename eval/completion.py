"""What a backend generated for one case, and the file that holds it. Pure; no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from data.transcript import Json

Finish = Literal["stop", "length", "error"]


class Key(NamedTuple):
    """What a completion is of: a case, and which of its repeats."""

    case_id: str
    repeat: int


@dataclass(frozen=True)
class Completion:
    """One sample of one case.

    `ids` are the generated ids, up to and including the end of turn, without padding. They are None where the backend could not give
    them: such a completion is *unmeasurable*, whatever its text says. `finish` is `stop` where the model ended its turn, `length` where
    its budget did, `error` where there is no completion and `error` says why.

    `logprobs` are natural logarithms, one for each id. `starts_in_reasoning` tells whether the prompt left a think block open. `deployed`
    is what the server's own parser made of the same ids: `{"parser": str, "content": str | None, "reasoning": str | None,
    "tool_calls": [{"name": str, "arguments": str}]}`. `text` is what a server without ids said, for people to read.
    """

    case_id: str
    ids: list[int] | None
    finish: Finish
    prompt_tokens: int
    seconds: float
    repeat: int = 0
    starts_in_reasoning: bool = False
    logprobs: list[float] | None = None
    deployed: Json | None = None
    text: str | None = None
    error: str | None = None
    meta: Json = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return Key(self.case_id, self.repeat)

    def to_line(self) -> str:
        """One line of `completions.jsonl`, with its line end; fields that have their default are left out."""
        kept = {name: value for name, value in asdict(self).items() if name in REQUIRED or value != DEFAULTS[name]}
        return json.dumps(kept, ensure_ascii=True) + "\n"


REQUIRED = ("case_id", "ids", "finish", "prompt_tokens", "seconds")
DEFAULTS: Json = {
    "repeat": 0,
    "starts_in_reasoning": False,
    "logprobs": None,
    "deployed": None,
    "text": None,
    "error": None,
    "meta": {},
}


def read_completions(path: Path) -> list[Completion]:
    """Completions written so far, the first of each key; a last line cut short by a crash is left out."""
    if not path.is_file():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    found = (Completion(**json.loads(line)) for line in lines if line.endswith(b"\n"))
    by_key: dict[Key, Completion] = {}
    for completion in found:
        by_key.setdefault(completion.key, completion)
    return list(by_key.values())


def write_completions(path: Path, completions: Iterable[Completion]) -> None:
    """Replace the file in one step: a crash leaves the old one or the new one."""
    partial = path.with_suffix(".partial")
    partial.write_text("".join(completion.to_line() for completion in completions))
    partial.replace(path)

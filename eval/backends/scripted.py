"""Says what it is told to, for tests and examples: no model. Pure; no torch."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from data.errors import UserError
from eval.backends.protocol import Decoding, Request
from eval.completion import Completion, Key

Line = list[int] | str | Exception


class ScriptedBackend:
    """`script` maps a case to what is said for it: ids, text, or an exception to fail with.

    Text is encoded with `encode`; without it, it is kept as a server's that gives no ids, which cannot be measured. A case without a
    line is an error. Ids beyond the budget are cut off. Each completion takes `delay` seconds.
    """

    def __init__(
        self, script: Mapping[str, Line], stop_id: int, encode: Callable[[str], list[int]] | None = None, delay: float = 0.0
    ) -> None:
        self.script, self.stop_id, self.encode, self.delay = script, stop_id, encode, delay
        told = json.dumps({name: repr(line) for name, line in script.items()}, sort_keys=True)
        self.description: dict[str, Any] = {"backend": "scripted", "script_sha256": hashlib.sha256(told.encode()).hexdigest()}

    def complete(self, requests: Sequence[Request], decoding: Decoding, done: AbstractSet[Key] = frozenset()) -> Iterator[Completion]:
        for request in requests:
            if request.key not in done:
                time.sleep(self.delay)
                yield self._said(request)

    def close(self) -> None:
        """Nothing is held."""

    def _said(self, request: Request) -> Completion:
        line = self.script.get(request.key.case_id, KeyError(f"the script has no line for {request.key.case_id}"))
        if isinstance(line, Exception):
            return request.failed(f"{type(line).__name__}: {line.args[0] if line.args else ''}", self.delay)
        if isinstance(line, str):
            if self.encode is None:
                return request.completed(None, "stop", self.delay, text=line)
            line = self.encode(line)
        ids = line[: request.max_new_tokens]
        return request.completed(ids, "stop" if ids[-1:] == [self.stop_id] else "length", self.delay)


def read_script(path: Path) -> dict[str, Line]:
    """A JSON file of case id → ids, text, or `{"error": reason}`; `UserError` where it is something else."""
    try:
        lines = json.loads(path.read_text(encoding="utf-8"))
        return {name: RuntimeError(line["error"]) if isinstance(line, dict) else line for name, line in lines.items()}
    except (OSError, ValueError, AttributeError, KeyError) as error:
        expected = 'a JSON object of case id → list of ids, text, or {"error": reason}'
        raise UserError(str(path), f"{type(error).__name__}: {error}", expected, "mend the script") from error

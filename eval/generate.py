"""Completes every case with a backend, resumably: what is finished is in `completions.jsonl`, and is never asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from data.render import prompt_ids
from data.response import opens_reasoning
from data.wire import WireIds
from eval.backends.protocol import Backend, Decoding, Request
from eval.case import Case
from eval.completion import Completion, Key, read_completions, write_completions
from eval.lock import locked


def requests_of(cases: Sequence[Case], tokenizer: Any, wire: WireIds, enable_thinking: bool = False, repeats: int = 1) -> list[Request]:
    """`repeats` requests for each case, with the generation prompt that our template renders."""
    requests = []
    for case in cases:
        prompt = prompt_ids(case.messages, case.tools or None, tokenizer, enable_thinking=enable_thinking)
        begun = opens_reasoning(prompt, wire)
        requests += [
            Request(Key(case.id, repeat), prompt, case.messages, case.tools, case.max_new_tokens, begun, enable_thinking)
            for repeat in range(repeats)
        ]
    return requests


def complete_all(
    requests: Sequence[Request], backend: Backend, decoding: Decoding, path: Path, console: Console | None = None
) -> list[Completion]:
    """Complete each request that `path` does not hold yet, appending every completion as it comes; all, in the order of `requests`.

    Completions that are errors are asked for again by a later run, since what failed then may work now. A request that the backend
    passed over is an error. The file ends in the order of `requests`, whatever the order in which they were completed.

    Raises:
        UserError: another process is writing to the folder.
    """
    with locked(path.parent):
        asked = {request.key for request in requests}
        done = {item.key: item for item in read_completions(path) if item.finish != "error" and item.key in asked}
        write_completions(path, done.values())
        columns = (TextColumn("generate"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress, path.open("a", encoding="utf-8") as file:
            task = progress.add_task("generate", total=len(asked), completed=len(done))
            for completion in backend.complete(requests, decoding, frozenset(done)):
                if completion.key in done or completion.key not in asked:
                    continue
                file.write(completion.to_line())
                file.flush()
                done[completion.key] = completion
                progress.advance(task)
        ordered = [done.get(request.key) or request.failed("the backend gave no completion") for request in requests]
        write_completions(path, ordered)
        return ordered


def too_many_errors(completions: Sequence[Completion], limit: float) -> str | None:
    """Why a run fails for its errors, None where it does not: a limit below 1 is a share of all completions, from 1 on a number of them.

    The share of no completions at all is over every limit.
    """
    errors = [completion for completion in completions if completion.finish == "error"]
    allowed = int(limit) if limit >= 1 else limit * len(completions)
    if completions and len(errors) <= allowed:
        return None
    first = f", the first {errors[0].case_id}: {errors[0].error}" if errors else ""
    return f"{len(errors)} of {len(completions)} completions are errors, allowed are {allowed:g}{first}"

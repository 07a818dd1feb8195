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

    Completions that are errors are asked for again by a later run, since what failed then may work now.
    """
    done = {item.key: item for item in read_completions(path) if item.finish != "error"}
    write_completions(path, done.values())
    todo = [request for request in requests if request.key not in done]
    columns = (TextColumn("generate"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress, path.open("a") as file:
        task = progress.add_task("generate", total=len(requests), completed=len(requests) - len(todo))
        for completion in backend.complete(todo, decoding):
            file.write(completion.to_line())
            file.flush()
            done[completion.key] = completion
            progress.advance(task)
    return [done[request.key] for request in requests]

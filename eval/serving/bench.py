"""What every check is given: the server, our tokenizer and wire format, and how much to run. Runs requests side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from data.render import prompt_ids
from data.response import Response, opens_reasoning, read_response
from data.wire import WireIds
from eval.serving.agreement import failure_of
from eval.serving.client import Ask, Client, Gone, ServerFault, Unsupported
from eval.serving.outcome import Failure, Outcome
from eval.serving.reply import Reply
from eval.serving.tokens import prompt_failure

Item = TypeVar("Item")
WORKERS = 8


@dataclass(frozen=True)
class Sizes:
    """How much is run; the defaults are what a release is measured with."""

    conversations: int = 200
    prompts: int = 100
    repeats: int = 20
    concurrency: int = 32
    cases: int = 50  # of each situation
    max_tokens: int = 256


@dataclass(frozen=True)
class Bench:
    """A server beside our own rendering and reading. `folder` is the local model folder, by name; `keep` saves what was found so far."""

    client: Client
    tokenizer: Any
    wire: WireIds
    folder: str
    sizes: Sizes = Sizes()
    console: Console = field(default_factory=Console)
    keep: Callable[[], None] = lambda: None

    def prompt(self, ask: Ask) -> list[int]:
        """The generation prompt as we render it."""
        return prompt_ids(ask.messages, ask.tools or None, self.tokenizer, enable_thinking=ask.thinking)

    def strict(self, ask: Ask, reply: Reply) -> Response:
        """Our reading of the ids that the server generated. Tagged bodies need the schemas; JSON is read without, as a server does."""
        tools = ask.tools if self.wire.form.body == "tagged" else None
        return read_response(reply.ids or [], self.tokenizer, self.wire, opens_reasoning(self.prompt(ask), self.wire), tools)

    def answer(self, ask: Ask, streamed: bool) -> Reply:
        return self.client.stream(ask) if streamed else self.client.chat(ask)

    def judged(self, place: str, ask: Ask, reply: Reply) -> Failure | None:
        """The first thing that is wrong with a reply: its prompt, then its reading."""
        if reply.prompt_ids is not None:
            failure = prompt_failure(place, self.prompt(ask), reply.prompt_ids, self.tokenizer)
            if failure:
                return failure
        return failure_of(place, reply, self.strict(ask, reply))

    def each(self, outcome: Outcome, items: Iterable[Item], check: Callable[[Item], Failure | None], workers: int = WORKERS) -> None:
        """Count `check` of each item into the outcome. A server that is gone, or lacks what is asked for, ends it with that fault."""
        for result in self.side_by_side(outcome.name, items, check, workers):
            outcome.count(Failure.of(result) if isinstance(result, ServerFault) else result)
            self.keep()

    def side_by_side(self, title: str, items: Iterable[Item], work: Callable[[Item], Any], workers: int = WORKERS) -> Iterator[Any]:
        """What `work` returns for each item, or the `ServerFault` that it raised, as they are finished, with a bar of progress."""
        items = list(items)
        columns = (TextColumn("{task.description:28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"))
        with (
            Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True) as progress,
            ThreadPoolExecutor(workers) as pool,
        ):
            task = progress.add_task(title, total=len(items))
            try:
                for future in as_completed([pool.submit(_caught, work, item) for item in items]):
                    result = future.result()
                    if isinstance(result, Gone | Unsupported):
                        raise result
                    progress.advance(task)
                    yield result
            finally:  # also after Ctrl-C, when the pool would first send all that waits
                pool.shutdown(wait=False, cancel_futures=True)


def _caught(work: Callable[[Item], Any], item: Item) -> Any:
    try:
        return work(item)
    except ServerFault as error:
        return error

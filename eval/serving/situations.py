"""Two situations in which small models dump text instead of calling: a file of 200 lines, and settings nested six deep.

What the model is worth, byte-exact arguments, and what the server is worth, no call lost, are told apart: only the second fails a server.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from data.sources.filetools import CONFIG_TOOLS, TEXT_TOOLS, FileTool
from data.sources.messages import user
from data.sources.payloads import modules_of, nested_config
from data.transcript import Json
from eval.serving.bench import Bench
from eval.serving.client import Ask
from eval.serving.outcome import Failure, Outcome, Status

LINES, DEPTH = 200, 6
TARGET = 0.9
ROOM = 64  # tokens of a call beside its long argument


class Situation(NamedTuple):
    place: str
    ask: Ask
    arguments: Json


def real_code(lines: int, seed: int = 3) -> Iterator[tuple[str, str]]:
    """`(module, text)`: `lines` lines of the running interpreter's standard library, each from a place of its own, in a seeded order.

    Only modules of the validation split: training may store the others.
    """
    found = []
    for module in modules_of("validation"):
        text = module.text.splitlines()
        found += [(module.file.removesuffix(".py"), "\n".join(text[at : at + lines])) for at in range(0, len(text) - lines, lines)]
    random.Random(seed).shuffle(found)
    yield from found


def files(bench: Bench) -> Iterator[Situation]:
    """Requests to write real code: those whose prompt and completion fit the context."""
    tool = _named(TEXT_TOOLS, "write_file")
    for module, text in real_code(LINES):
        arguments = {tool.where: f"src/{module}.py", tool.what: text}
        request = f"Write the following to {arguments[tool.where]}:\n```python\n{text}\n```"
        yield Situation(f"write_file src/{module}.py", Ask([user(request)], [tool.schema("string")]), arguments)


def settings(bench: Bench) -> Iterator[Situation]:
    """Requests to save settings, pasted as JSON."""
    tool, rng = _named(CONFIG_TOOLS, "save_config"), random.Random(6)
    for number in range(10 * bench.sizes.cases):
        config, name = nested_config(rng, DEPTH), f"service-{number}"
        request = f"Save these settings as {name}:\n{json.dumps(config, indent=2)}"
        yield Situation(f"save_config {name}", Ask([user(request)], [tool.schema("object")]), {tool.where: name, tool.what: config})


def _named(tools: tuple[FileTool, ...], name: str) -> FileTool:
    return next(tool for tool in tools if tool.name == name)


def fitting(bench: Bench, situations: Iterator[Situation]) -> list[Situation]:
    """The first `cases` of them that fit the server's context, each with room for its right answer and an eighth more."""
    context = int(bench.client.card().get("max_model_len") or bench.tokenizer.model_max_length)
    found: list[Situation] = []
    for one in situations:
        size = len(bench.tokenizer.encode(json.dumps(one.arguments, ensure_ascii=False), add_special_tokens=False)) + ROOM
        room = context - len(bench.prompt(one.ask))
        if size <= room:
            found.append(one._replace(ask=Ask(one.ask.messages, one.ask.tools, max_tokens=min(room, size + size // 8))))
        if len(found) == bench.sizes.cases:
            break
    return found


class Seen(NamedTuple):
    """One case: whether the ids hold a call, whether its arguments are exact, and what the server's reading of it got wrong."""

    native: bool
    exact: bool
    served: bool  # whether what the server gave is exact
    failure: Failure | None


def seen(bench: Bench, situation: Situation, streamed: bool) -> Seen:
    reply = bench.answer(situation.ask, streamed)
    strict = bench.strict(situation.ask, reply)
    wanted = _bytes(situation.arguments)
    exact = len(strict.calls) == 1 and _bytes(strict.calls[0].arguments) == wanted
    served = len(reply.calls) == 1 and _same(reply.calls[0].arguments, wanted)
    return Seen(bool(strict.calls), exact, served, bench.judged(situation.place, situation.ask, reply))


def _bytes(arguments: Any) -> str:
    return json.dumps(arguments, ensure_ascii=False)


def _same(text: str, wanted: str) -> bool:
    try:
        return _bytes(json.loads(text)) == wanted
    except ValueError:
        return False


def told(found: Sequence[Seen]) -> str:
    """What the model and the server did, in words."""
    native, exact, served = (sum(getattr(one, name) for one in found) for name in ("native", "exact", "served"))
    rate = served / len(found)
    return (
        f"of {len(found)}: {native} native calls, {exact} byte-exact as emitted, {served} as served = {rate:.0%} "
        f"({'meets' if rate >= TARGET else 'below'} {TARGET:.0%}, a figure of the model)"
    )


def situation(make: Callable[[Bench], Iterator[Situation]], streamed: bool, bench: Bench, outcome: Outcome) -> None:
    """All cases of one situation, one way. The outcome counts what the server read as its ids say."""
    cases = fitting(bench, make(bench))
    found: list[Seen] = []

    def check(case: Situation) -> Failure | None:
        one = seen(bench, case, streamed)
        found.append(one)
        outcome.note = told(found)
        return one.failure

    bench.each(outcome, cases, check, bench.sizes.concurrency)
    if found:
        outcome.note = told(found)  # of all, whichever of them was told last
    if not cases:
        outcome.stated, outcome.note = Status.STATED, "no case fits the server's context"


CHECKS: Mapping[str, Callable[[Bench, Outcome], None]] = {
    f"{name}, {'streamed' if streamed else 'whole'}": partial(situation, make, streamed)
    for name, make in ((f"write_file, {LINES} lines", files), (f"save_config, {DEPTH} deep", settings))
    for streamed in (False, True)
}

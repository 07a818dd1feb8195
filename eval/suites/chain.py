"""Chained calls: what the second call stores is known only from the first one's result, so the model must call, read, and call again."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from data.sources.catalog import CatalogTool
from data.sources.dialogue import Composer
from data.sources.filetools import TEXT_TOOLS
from data.sources.messages import assistant, result, user
from data.sources.synthetic import compose_request, compose_result
from data.transcript import Transcript

KIND = "chain"
THEN = (
    "Then write the value of `{field}` from its result to {path}, nothing else.",
    "When you have it, put the `{field}` that comes back into the file {path}, just the value.",
    "After that, save its `{field}` as the only content of {path}.",
    "Take `{field}` from the result and write it to {path} as it is.",
)
FOLDERS = ("", "notes/", "out/", "/tmp/", "results/")


def chains(count: int, seed: int) -> Iterator[Transcript]:
    """`count` transcripts of the validation split: request, call, result, call with a value of that result, result, answer."""
    rng = random.Random(f"{seed}:{KIND}")
    composer = Composer("validation", rng)
    usable = [tool for tool in composer.tools if tool.result]
    made = 0
    while made < count:
        transcript = _chain(composer, rng.choice(usable), f"{KIND}-{seed}-{made}")
        if transcript:
            made += 1
            yield transcript


def _chain(composer: Composer, tool: CatalogTool, id_: str) -> Transcript | None:
    """One chain over `tool` and `write_file`, or None where the drawn result holds no plain value."""
    rng = composer.rng
    composed = compose_request(tool, rng.choice(tool.requests), rng)
    value, answer = compose_result(tool, composed, rng)
    fields = [name for name, item in value.items() if _is_plain(item)]
    if not fields:
        return None
    field, store = rng.choice(fields), next(item for item in TEXT_TOOLS if item.split == composer.split)
    path = f"{rng.choice(FOLDERS)}{field}.txt"
    offered = composer.offer([tool, *composer.distractors(tool, rng.randint(0, 1))])
    name = next(item.name for item in offered if item.tool is tool)
    stored = {store.where: path, store.what: value[field] if isinstance(value[field], str) else json.dumps(value[field])}
    asked = composed.text if composed.text[-1] in ".?!" else f"{composed.text}."
    messages = [
        user(f"{asked} {rng.choice(THEN).format(field=field, path=path)}"),
        assistant(calls=[(name, composed.arguments, "call_0")]),
        result(name, value, "call_0"),
        assistant(calls=[(store.name, stored, "call_1")]),
        result(store.name, {"ok": True}, "call_1"),
        assistant(f"{answer} {path} holds the {field}."),
    ]
    tools = [item.schema() for item in offered]
    tools.insert(rng.randint(0, len(tools)), store.schema("string"))
    return Transcript.model_validate({"id": id_, "source": "synthetic", "tools": tools, "messages": messages, "meta": {"kind": KIND}})


def _is_plain(value: Any) -> bool:
    """Whether a value has one spelling as text."""
    return isinstance(value, str | int | float) and not isinstance(value, bool)

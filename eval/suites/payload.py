"""The payload suite: calls whose argument is long. `write_file` and `save_config` over content length, nesting, escape density, and with or
without back-ticks and literal wire tags inside; the expected call holds the content byte for byte.

Text is crossed over length × escape density × back-ticks × wire tags, settings over length × nesting, with the other traits taking turns.
`Case.meta` holds the traits (`eval/suites/content.py`), for emission to be plotted against. A case of n content tokens takes about 2n
tokens of context, since the request holds the content too: choose `lengths` that the model can hold.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from data.sources.filetools import CONFIG_NAMES, CONFIG_TOOLS, TEXT_TOOLS
from data.transcript import Json
from eval.case import Case, ExpectedCall
from eval.suites.content import DENSITIES, Traits, settings, text, traits_of
from eval.suites.files import FileSection

SUITE = "payload"
WRITE_FILE = next(tool for tool in TEXT_TOOLS if tool.split == "validation")
SAVE_CONFIG = next(tool for tool in CONFIG_TOOLS if tool.split == "validation")
TOOLS = (WRITE_FILE.schema("string"), SAVE_CONFIG.schema("object"))
REQUESTS = (
    "Write exactly this to {where}:\n\n{what}",
    "{where} shall hold what follows, unchanged.\n\n{what}",
    "{what}\n\nStore the above under {where} as it is.",
    "Please keep this as {where}:\n\n{what}",
)
FENCE = re.compile(r"`{3,}")
SUFFIXES = {"low": ".txt", "medium": ".py", "high": ".json"}
STEMS = ("draft", "report", "module", "handler", "notes", "pipeline", "session", "example")
FLAGS = tuple(itertools.product((False, True), repeat=2))  # back-ticks, wire tags
DENSEST_CHARACTERS_PER_TOKEN, ROOM = 2.2, 64  # budget in tokens: room beside the content, and what the densest content costs


class PayloadSection(BaseModel):
    """The `payload` key: buckets of content tokens, levels of nesting, and how often the grid is gone through.

    `text_rows` (rows `{"path", "content"}`) and `config_rows` (`{"filename", "parsed"}`) add `per_bucket` cases for each length from files
    of your own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    lengths: list[int] = [64, 128, 256, 512, 1024, 2048, 4096, 8192]
    nesting: list[int] = [1, 2, 3, 4, 5, 6, 7, 8]
    repeats: int = Field(default=1, ge=0)
    text_rows: FileSection | None = None
    config_rows: FileSection | None = None
    per_bucket: int = Field(default=4, ge=1)


def grid(section: PayloadSection, seed: int) -> list[Case]:
    """The cases made of the standard library's text and of drawn settings; the same for the same seed and interpreter."""
    cases = []
    for repeat, length in itertools.product(range(section.repeats), section.lengths):
        rng = random.Random(f"{seed}:{SUITE}:{repeat}:{length}")
        for density, (ticks, tags) in itertools.product(DENSITIES, FLAGS):
            content = text(rng, Traits(length, 1, ticks, tags, density))
            where = f"{rng.choice(STEMS)}{SUFFIXES[density]}"
            id_ = f"{SUITE}-write_file-{seed}-{repeat}-{length}-{density}-{ticks:d}{tags:d}"
            cases.append(file_case(id_, where, content, length, rng))
        for at, nesting in enumerate(section.nesting):
            turn = at + section.lengths.index(length) + repeat
            (ticks, tags), density = FLAGS[turn % len(FLAGS)], DENSITIES[(turn + at) % len(DENSITIES)]
            config = settings(rng, Traits(length, nesting, ticks, tags, density))
            cases.append(
                config_case(f"{SUITE}-save_config-{seed}-{repeat}-{length}-{nesting}", rng.choice(CONFIG_NAMES), config, length, rng)
            )
    return cases


def file_case(id_: str, where: str, content: str, length: int, rng: random.Random, origin: str = "standard library") -> Case:
    """A call of `write_file` with `content`, which the request holds in a fence longer than any inside, or bare."""
    arguments = {WRITE_FILE.where: where, WRITE_FILE.what: content}
    return _case(id_, WRITE_FILE.name, arguments, content, _shown(content, rng), length, origin, rng)


def config_case(id_: str, name: str, config: Json, length: int, rng: random.Random, origin: str = "drawn") -> Case:
    """A call of `save_config` with `config`, which the request holds as JSON."""
    arguments = {SAVE_CONFIG.where: name, SAVE_CONFIG.what: config}
    shown = json.dumps(config, ensure_ascii=False, indent=2 if rng.random() < 0.5 else None)
    return _case(id_, SAVE_CONFIG.name, arguments, config, shown, length, origin, rng)


def _case(id_: str, tool: str, arguments: Json, content: Any, shown: str, length: int, origin: str, rng: random.Random) -> Case:
    where = next(iter(arguments.values()))
    request = rng.choice(REQUESTS).format(where=where, what=shown)
    return Case(
        id=id_,
        suite=SUITE,
        slice=tool,
        messages=[{"role": "user", "content": request}],
        tools=rng.sample(TOOLS, len(TOOLS)),
        expected=(ExpectedCall(tool, arguments, exact=True),),
        max_new_tokens=ROOM + int(len(json.dumps(arguments)) / DENSEST_CHARACTERS_PER_TOKEN),
        meta={**traits_of(content, length).meta(), "content_characters": len(shown), "origin": origin},
    )


def _shown(content: str, rng: random.Random) -> str:
    if rng.random() < 0.5:
        return content
    fence = "`" * max([3, *(len(run) + 1 for run in FENCE.findall(content))])
    return f"{fence}\n{content}\n{fence}"

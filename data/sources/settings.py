"""Deep settings, pasted once and then stored whole, stored in part, or asked about.

A copy of settings goes wrong where its place in the paste is lost: a section closed too early or twice. A part is right only from the
place where it stands, and its end is another one than that of the whole. All requests begin with the paste, so that training reads it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from data.sources import filetools
from data.sources.file_phrases import CONFIG_NAMES, PART_REQUESTS, VALUE_QUESTIONS, WHOLE_REQUESTS
from data.sources.messages import assistant, user
from data.sources.payloads import DEEP, DEEP_SPELLINGS, leaves, nested_config, spell_config
from data.transcript import Json

if TYPE_CHECKING:
    from data.sources.dialogue import Composer

PARTS = (2, 3)  # stored of one paste
QUESTION_RATE = 0.5  # of pastes: one value is asked for, and nothing is to be stored


def sections(config: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Json]]:
    """Every section below the whole, and the dotted path to it."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield ".".join((*path, key)), value
            yield from sections(value, (*path, key))


def settings_scene(composer: Composer) -> tuple[list[Json], list[str], list[list[Json]]]:
    """One configuration tool, at times a text tool beside it, and requests that all begin with the same paste."""
    rng = composer.rng
    schemas, (text_tool, tool) = filetools.offer_pair(composer)
    tools, names = (schemas, [text_tool.name, tool.name]) if rng.random() < 0.3 else ([tool.schema("object")], [tool.name])
    config = nested_config(rng, rng.randint(*DEEP))
    paste = spell_config(config, rng, DEEP_SPELLINGS)

    def stored(phrase: str, what: Json, **words: str) -> list[Json]:
        where = rng.choice(CONFIG_NAMES)
        request = user(f"{paste}\n\n{phrase.format(where=where, **words)}")
        return [request, assistant(calls=[(tool.name, {tool.where: where, tool.what: what}, "call_0")])]

    exchanges = [stored(filetools.phrase(composer, WHOLE_REQUESTS), config)]
    found = list(sections(config))
    for path, part in rng.sample(found, min(len(found), rng.randint(*PARTS))):
        exchanges.append(stored(filetools.phrase(composer, PART_REQUESTS), part, path=path))
    if rng.random() < QUESTION_RATE:
        path, value = rng.choice(list(leaves(config)))
        question = filetools.phrase(composer, list(VALUE_QUESTIONS))
        answer = VALUE_QUESTIONS[question].format(path=path, value=json.dumps(value))
        exchanges.append([user(f"{paste}\n\n{question.format(path=path)}"), assistant(answer)])
    return tools, names, rng.sample(exchanges, len(exchanges))

"""Scenes: several separate requests over one list of tools, each a transcript of its own.

A request is answered right only by comparing it with the tools: over the same list some requests are served, some are not. Training reads
the list once for all of them (`share_prefixes`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from data.sources import facets, filetools, forms, settings
from data.sources.messages import assistant, user
from data.sources.synthetic import compose_request
from data.transcript import Json

if TYPE_CHECKING:
    from data.sources.catalog import CatalogTool
    from data.sources.dialogue import Composer, Offered

Exchanges = list[list[Json]]

# Shares of a scene's requests; what they leave is small talk
SERVED, TOGETHER, DECLINED, OUTSIDE, UNCLEAR = 0.46, 0.12, 0.3, 0.05, 0.05
TOOL_COUNTS = {1: 8, 2: 4, 3: 3, 4: 1}
NESTED_RATE, LISTED_RATE = 0.4, 0.3  # of scenes about a tool with nested arguments, and with a list of numbers or texts
REQUESTS = (8, 12)
THIRD_RATE = 0.6  # of file scenes: a tool of the catalogue beside those that store
NEAR_RATE = 0.6  # of declined requests: for a tool of the same domain as one that is offered


def _offer(composer: Composer) -> list[Offered]:
    count = composer.rng.choices(list(TOOL_COUNTS), list(TOOL_COUNTS.values()))[0]
    about, what = composer.tools, composer.rng.random()
    if what < NESTED_RATE:
        about = composer.nested_tools
    elif what - NESTED_RATE < LISTED_RATE:
        about = composer.listed_tools
    focus = composer.rng.choice(about)
    return composer.offer([focus, *composer.distractors(focus, min(count, composer.max_tools) - 1)])


def _absent(composer: Composer, offered: list[Offered]) -> CatalogTool | None:
    """A tool that is not offered and whose requests no offered tool serves."""
    names = {item.tool.name for item in offered}
    candidates = composer.distractors(composer.rng.choice(offered).tool, 3, NEAR_RATE)
    return next((tool for tool in candidates if not names & {tool.name, *tool.similar}), None)


def _request(composer: Composer, offered: list[Offered], messages: list[Json]) -> None:
    """One request and the right answer to it."""
    rng, item = composer.rng, composer.rng.choice(offered)
    what = rng.random()
    if what < SERVED:
        composer.serve(item, messages, finish=False)
    elif (what := what - SERVED) < TOGETHER:
        composer.serve_parallel(rng.choices(offered, k=rng.choice([2, 2, 2, 3])), messages, finish=False)
    elif (what := what - TOGETHER) < DECLINED:
        if absent := _absent(composer, offered):
            composer.decline(absent, offered, messages)
    elif (what := what - DECLINED) < OUTSIDE:
        entry = rng.choice(composer.unserved_requests)
        messages += [user(composer.say(entry["request"])), assistant(composer.refuse(entry["gist"], offered))]
    elif what - OUTSIDE < UNCLEAR and item.tool.missing:
        composer.ask(item, messages)
    else:
        composer.chat(messages)


def scene(composer: Composer) -> tuple[list[Json], list[str], Exchanges]:
    """Tools, their catalogue names, and the messages of each request."""
    offered = _offer(composer)
    exchanges: Exchanges = []
    for _ in range(composer.rng.randint(*REQUESTS)):
        messages: list[Json] = []
        _request(composer, offered, messages)
        exchanges += [messages] if messages else []
    return [item.schema() for item in offered], [item.tool.name for item in offered], exchanges


def file_scene(composer: Composer) -> tuple[list[Json], list[str], Exchanges]:
    """Code and settings to be stored or explained, and other requests, over a text tool, a configuration tool, and at times a third."""
    rng = composer.rng
    schemas, pair = filetools.offer_pair(composer)
    names = [tool.name for tool in pair]
    third = composer.offer([composer.focus()]) if rng.random() < THIRD_RATE else []
    exchanges: Exchanges = []
    for _ in range(rng.randint(7, 10)):
        messages: list[Json] = []
        if rng.random() > 0.12:
            messages = filetools.small_exchange(composer, pair)
        elif third:
            _request(composer, third, messages)
        else:
            messages = _unserved(composer)
        exchanges += [messages] if messages else []
    tools = rng.sample([*schemas, *(item.schema() for item in third)], len(schemas) + len(third))
    return tools, [*names, *(item.tool.name for item in third)], exchanges


def _unserved(composer: Composer) -> list[Json]:
    """A request that file tools do not serve."""
    tool = composer.rng.choice(composer.tools)
    composed = compose_request(tool, composer.rng.choice(tool.requests), composer.rng)
    refusals = [text for text in composer.refusals if "{other}" not in text] or ["I have no tool to {gist}."]
    return [user(composer.say(composed.text)), assistant(composer.rng.choice(refusals).format(gist=tool.gist))]


KINDS: dict[str, Callable[[Composer], tuple[list[Json], list[str], Exchanges]]] = {
    "scene": scene,
    "file_scene": file_scene,
    "form_scene": forms.form_scene,
    "facet_scene": facets.facet_scene,
    "settings_scene": settings.settings_scene,
}

"""Requests that miss a tool in one respect: the same thing but another facet of it, the same facet of another thing, or a question about
the kind of thing that no tool answers.

`facets.yaml` beside this file holds families of things and facets; a tool is one thing and one facet, such as the height of a bridge.
Things and phrasings are split like all others, and each tool's schema names its thing, so no name or schema is in both splits.
"""

from __future__ import annotations

import functools
import json
import random
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from data.sources.catalog import LOADER, insert_clause, load_pools
from data.sources.forms import article
from data.sources.messages import assistant, user
from data.sources.sampling import Sampled, draw
from data.split import Split, split_of
from data.transcript import Json

if TYPE_CHECKING:
    from data.sources.dialogue import Composer

# Shares of a scene's requests; what they leave is small talk
SERVED, MISSED, UNCLEAR = 0.49, 0.41, 0.06
MISSES = {"facet": 9, "thing": 4, "about": 5, "family": 2}
TOOL_COUNTS = {1: 5, 2: 4, 3: 3}
REQUESTS = 5, 3  # for each scene, and for each of its tools
OPTION_RATE = 0.3
WRAPPERS = ("Please {}.", "Can you {}?")
JSON_TYPES = {str: "string", int: "integer", float: "number"}
GLUED_RATE, GROUPED_RATE, BRACKETED_RATE = 0.4, 0.5, 0.5  # of numbers before a unit, of large ones, and of lists
DETAIL_RATE = 0.8  # of tools about a detail: tells several, and which ones is a list
DETAIL_NAMES = ("get_{thing}_details", "{thing}_info", "{thing}.describe", "{thing}.lookup", "fetch_{thing}_data", "{thing}_facts")
DETAIL_ARGUMENTS = ("fields", "details", "include", "attributes", "aspects", "wanted", "data_points")
DETAIL_COUNTS = {1: 3, 2: 5, 3: 3, 4: 1}
DETAIL_REQUESTS = (
    "Give me the {details} of {it}.",
    "Tell me the {details} of {it}.",
    "I need the {details} of {it}.",
    "Look up the {details} of {it}.",
    "{Details} of {it}, please.",
    "{It}: {details}?",
    "Could you get me the {details} of {it}?",
    "I'd like to know the {details} of {it}.",
    "For {it}, I want the {details}.",
    "Please report the {details} of {it}.",
    "What do you have on the {details} of {it}?",
    "About {it}, I only care for the {details}.",
)
OPTIONAL_RATE, WHOLE_RATE = 0.4, 0.5  # of such tools whose list may be left out, and of requests to them that name no detail
OPTIONAL_NOTES = ("Which details to tell. All of them if left out.", "Limits the answer to these.", "Details wanted; default: all.")
WHOLE_REQUESTS = (
    "Tell me all you have on {it}.",
    "Give me every detail of {it}.",
    "Look up {it}.",
    "Everything on {it}, please.",
    "Show me the whole record of {it}.",
    "I want all the facts about {it}.",
    "{It}: what is known?",
    "Could you pull up {it} for me?",
    "Please fetch what there is about {it}.",
)
UNIT = re.compile(r"(?<=\d) (?=(?:mm?|cm|k?g|V|Ah|MHz|dB|N/m|m/s|rpm|watts|degrees)\b)")


class Facet(BaseModel):
    """What can be asked or done about a thing."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    gist: str
    ask: tuple[str, ...]

    @property
    def phrasings(self) -> tuple[str, ...]:
        """Requests with {it}: those of `ask`, and the gist as a request unless they name the thing and its place apart."""
        if any("{a}" in text for text in self.ask):
            return self.ask
        return *self.ask, *(wrapper.format(self.gist.replace("{a}", "{it}")) for wrapper in WRAPPERS)


class Thing(BaseModel):
    """How a thing is told apart from others of its kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    arguments: dict[str, Any]
    say: str
    vague: str
    which: str
    a: str | None = None  # the thing with its article, where that is not "a" or "an"


class Family(BaseModel):
    """Things that have the same facets; the format is that of `facets.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    names: tuple[str, ...]
    things: dict[str, Thing]
    facets: dict[str, Facet]
    about: tuple[tuple[str, str], ...]
    options: dict[str, tuple[Any, str]] = {}
    details: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _spread(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """What the family says for all of its things, said for each."""
        shared = {key: raw[key] for key in Thing.model_fields if key in raw}
        own = raw["things"] if isinstance(raw["things"], dict) else {name: {} for name in raw["things"]}
        things = {name: {**shared, **one} for name, one in own.items()}
        return {**{key: value for key, value in raw.items() if key not in shared}, "things": things}


@functools.cache
def load_families() -> tuple[Family, ...]:
    text = (resources.files(__package__) / "facets.yaml").read_text()
    return tuple(Family.model_validate(one) for one in yaml.load(text, Loader=LOADER))


@dataclass(frozen=True)
class Subject:
    """One facet of one thing, which a tool may be about."""

    family: Family
    thing: str
    facet: str

    @property
    def gist(self) -> str:
        return self.family.facets[self.facet].gist.format(a=self.a)

    @property
    def a(self) -> str:
        return (self.family.things[self.thing].a or article(self.thing)).format(thing=self.thing)

    def asks(self, split: Split) -> list[str]:
        return [text for text in self.family.facets[self.facet].phrasings if split_of(text) == split]


@dataclass(frozen=True)
class Tool:
    """A subject's tool under the name and with the argument names of one scene."""

    subject: Subject
    name: str
    long_names: bool
    option: str | None
    details_argument: str | None = None  # the argument that lists which of the family's details are wanted
    details_note: str | None = None  # its description, where it may be left out

    @property
    def gist(self) -> str:
        return f"look up details of {self.subject.a}" if self.details_argument else self.subject.gist

    @property
    def subjects(self) -> list[Subject]:
        facets = self.subject.family.details if self.details_argument else [self.subject.facet]
        return [Subject(self.subject.family, self.subject.thing, facet) for facet in facets]

    def argument(self, key: str) -> str:
        return f"{snake(self.subject.thing)}_{key}" if self.long_names else key

    def schema(self) -> Json:
        """The OpenAI form. The thing stands in the argument's name or in its description."""
        family, thing = self.subject.family, self.subject.thing
        properties: Json = {}
        for key, sampler in family.things[thing].arguments.items():
            described = {} if self.long_names else {"description": f"{key.replace('_', ' ').capitalize()} of the {thing}."}
            properties[self.argument(key)] = {**_json_schema(sampler), **described}
        required = list(properties)
        if self.option:
            values = family.options[self.option][0]
            properties[self.option] = {**_json_schema(values), **({"enum": values} if isinstance(values, list) else {})}
        if self.details_argument:
            note = {"description": self.details_note} if self.details_note else {}
            properties[self.details_argument] = {"type": "array", "items": {"type": "string", "enum": list(family.details)}, **note}
            required += [] if self.details_note else [self.details_argument]
        parameters = {"type": "object", "properties": properties, "required": required}
        what = f"{self.gist[0].upper()}{self.gist[1:]}."
        return {"type": "function", "function": {"name": self.name, "description": what, "parameters": parameters}}


def snake(words: str) -> str:
    return words.replace(" ", "_").replace("-", "_")


def _json_schema(sampler: Any) -> Json:
    value = draw(sampler, random.Random(0), load_pools()).value
    if isinstance(value, list):
        return {"type": "array", "items": {"type": JSON_TYPES[type(value[0])]}}
    return {"type": JSON_TYPES[type(value)]}


@functools.cache
def subjects(split: Split) -> tuple[Subject, ...]:
    """Those whose thing is of the split, and that some phrasing of the split asks for."""
    every = (Subject(family, thing, facet) for family in load_families() for thing in family.things for facet in family.facets)
    return tuple(one for one in every if split_of(one.thing) == split and one.asks(split))


def _tool(composer: Composer, subject: Subject, lists: bool) -> Tool:
    """The subject's tool, or one that `lists` details of its thing, of which the subject is one."""
    thing, long_names = snake(subject.thing), composer.rng.random() < 0.4
    if lists and subject.facet in subject.family.details and composer.rng.random() < DETAIL_RATE:
        name = composer.rng.choice(DETAIL_NAMES).format(thing=thing)
        note = composer.rng.choice(OPTIONAL_NOTES) if composer.rng.random() < OPTIONAL_RATE else None
        return Tool(subject, name, long_names, None, composer.rng.choice(DETAIL_ARGUMENTS), note)
    name = composer.rng.choice(subject.family.names).format(thing=thing, facet=subject.facet)
    options = [None, None, *subject.family.options]
    return Tool(subject, name, long_names, composer.rng.choice(options))


def _offer(composer: Composer) -> list[Tool]:
    """One to three tools that differ in one respect, or in family."""
    rng = composer.rng
    first = rng.choice(subjects(composer.split))
    tools = [_tool(composer, first, lists=True)]
    for _ in range(rng.choices(list(TOOL_COUNTS), list(TOOL_COUNTS.values()))[0] - 1):
        other = _other(composer, first, rng.choice(["facet", "thing", "family"]), tools)
        tools += [_tool(composer, other, lists=other.thing not in {tool.subject.thing for tool in tools})] if other else []
    return rng.sample(tools, len(tools))


def _other(composer: Composer, subject: Subject, respect: str, offered: list[Tool]) -> Subject | None:
    """A subject that differs from `subject` in one respect and that none of the tools `offered` is about."""
    differs = {
        "facet": lambda one: one.family is subject.family and one.thing == subject.thing,
        "thing": lambda one: one.family is subject.family and one.facet == subject.facet,
        "family": lambda one: one.family is not subject.family and one.thing != subject.thing,
    }[respect]
    taken = [one for tool in offered for one in tool.subjects]
    pool = [one for one in subjects(composer.split) if differs(one) and one not in taken]
    return composer.rng.choice(pool) if pool else None


def _said(composer: Composer, subject: Subject, it: str) -> str:
    text = composer.rng.choice(subject.asks(composer.split)).format(it=it, It=it[0].upper() + it[1:], a=subject.a)
    return text[0].upper() + text[1:]


def _drawn(composer: Composer, subject: Subject) -> tuple[Json, str]:
    """Arguments of the subject's thing, and the thing said with them."""
    thing, rng = subject.family.things[subject.thing], composer.rng
    drawn = {key: draw(sampler, rng, load_pools()) for key, sampler in thing.arguments.items()}
    it = thing.say.format(thing=subject.thing, **{key: _spoken(key, one, rng) for key, one in drawn.items()})
    return {key: one.value for key, one in drawn.items()}, UNIT.sub("", it) if rng.random() < GLUED_RATE else it


def _spoken(key: str, drawn: Sampled, rng: random.Random) -> str:
    """The value as typed: large numbers, years aside, in groups of three, lists in brackets, some of the time."""
    if isinstance(drawn.value, list) and rng.random() < BRACKETED_RATE:
        return json.dumps(drawn.value)
    if isinstance(drawn.value, int) and drawn.value >= 1000 and key != "year" and rng.random() < GROUPED_RATE:
        return f"{drawn.value:,}"
    return drawn.spoken


def serve(composer: Composer, tool: Tool) -> list[Json]:
    """A request that the tool serves, and the call."""
    drawn, it = _drawn(composer, tool.subject)
    arguments = {tool.argument(key): value for key, value in drawn.items()}
    if tool.details_note and composer.rng.random() < WHOLE_RATE:
        text = _phrased(composer, WHOLE_REQUESTS, it=it)
    elif tool.details_argument:
        text, arguments[tool.details_argument] = _details(composer, tool, it)
    else:
        text = _said(composer, tool.subject, it)
    if tool.option and composer.rng.random() < OPTION_RATE:
        sampler, clause = tool.subject.family.options[tool.option]
        option = draw(sampler, composer.rng, load_pools())
        arguments[tool.option] = option.value
        text = insert_clause(text, clause.format(**{tool.option: option.spoken}))
    return [user(composer.say(text)), assistant(calls=[(tool.name, arguments, "call_0")])]


def _details(composer: Composer, tool: Tool, it: str) -> tuple[str, list[str]]:
    """A request for some of the details, and their keys in its order."""
    rng, known = composer.rng, tool.subject.family.details
    count = rng.choices(list(DETAIL_COUNTS), list(DETAIL_COUNTS.values()))[0]
    keys = rng.sample(known, min(count, len(known)))
    *others, last = (key.replace("_", " ") for key in keys)
    said = f"{', '.join(others)} and {last}" if others else last
    return _phrased(composer, DETAIL_REQUESTS, it=it, details=said), keys


def _phrased(composer: Composer, requests: tuple[str, ...], **said: str) -> str:
    """One of the split's requests, with what is said in its places; {It} begins with a capital."""
    text = composer.rng.choice([text for text in requests if split_of(text) == composer.split])
    return text.format(**said, **{key.capitalize(): value[0].upper() + value[1:] for key, value in said.items()})


def miss(composer: Composer, tool: Tool, offered: list[Tool]) -> list[Json]:
    """A request that misses the tool in one respect, and the answer that no tool does it; none where there is no such request."""
    respect = composer.rng.choices(list(MISSES), list(MISSES.values()))[0]
    found = _about(composer, tool.subject) if respect == "about" else _absent(composer, tool.subject, respect, offered)
    if not found:
        return []
    text, gist = found
    refusal = composer.rng.choice(composer.refusals).format(gist=gist, other=tool.gist)
    return [user(composer.say(text)), assistant(refusal)]


def _about(composer: Composer, subject: Subject) -> tuple[str, str] | None:
    """A request about the kind of thing, and its gist."""
    mine = [pair for pair in subject.family.about if split_of(pair[0]) == composer.split]
    if not mine:
        return None
    text, gist = composer.rng.choice(mine)
    text = text.format(thing=subject.thing, a=subject.a)
    return text[0].upper() + text[1:], gist


def _absent(composer: Composer, subject: Subject, respect: str, offered: list[Tool]) -> tuple[str, str] | None:
    """A request for a subject that differs in one respect and is not offered, and its gist."""
    absent = _other(composer, subject, respect, offered)
    return (_said(composer, absent, _drawn(composer, absent)[1]), absent.gist) if absent else None


def ask(composer: Composer, tool: Tool) -> list[Json]:
    """A request that does not say which thing is meant, and the question for it."""
    thing = tool.subject.family.things[tool.subject.thing]
    vague = thing.vague.format(thing=tool.subject.thing)
    text = _details(composer, tool, vague)[0] if tool.details_argument else _said(composer, tool.subject, vague)
    return [user(composer.say(text)), assistant(thing.which.format(thing=tool.subject.thing))]


def facet_scene(composer: Composer) -> tuple[list[Json], list[str], list[list[Json]]]:
    """Requests over one to three such tools, nearly as many missed as served."""
    rng = composer.rng
    offered = _offer(composer)
    exchanges: list[list[Json]] = []
    for _ in range(REQUESTS[0] + REQUESTS[1] * len(offered)):
        tool, what, messages = rng.choice(offered), rng.random(), list[Json]()
        if what < SERVED:
            messages = serve(composer, tool)
        elif (what := what - SERVED) < MISSED:
            messages = miss(composer, tool, offered)
        elif what - MISSED < UNCLEAR:
            messages = ask(composer, tool)
        else:
            composer.chat(messages)
        exchanges += [messages] if messages else []
    return [tool.schema() for tool in offered], [tool.name for tool in offered], exchanges

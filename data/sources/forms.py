"""Tools that exist in one transcript only: a verb and a thing, with fields and groups of fields drawn at random.

The catalogue's tools can be learnt by heart; these cannot, so a call is right only by reading the schema and closing each bracket where
the request ends. Names, groups and phrasings are split like all others; every tool has a group, so no schema is in both splits.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from data.sources.catalog import load_pools
from data.sources.messages import assistant, user
from data.sources.sampling import draw
from data.split import Split, split_of
from data.transcript import Json

if TYPE_CHECKING:
    from data.sources.dialogue import Composer

VERBS = ("register", "create", "update", "submit", "schedule", "record", "open", "prepare", "issue", "confirm")
THINGS = (
    "parcel", "inspection", "contract", "reservation", "shipment", "survey", "membership", "complaint", "delivery", "lease", "audit",
    "permit", "transfer", "appointment", "listing", "incident", "quote", "refund", "campaign", "visit", "sample", "batch", "exhibit",
    "policy", "voucher", "timesheet", "warranty", "pickup", "rehearsal", "excavation",
)  # fmt: skip
GROUPS = (
    "sender", "recipient", "customer", "supplier", "contact", "billing", "dimensions", "window", "owner", "approver", "origin",
    "destination", "venue", "device", "budget", "options", "holder", "site", "courier", "landlord", "tenant", "insurer", "referee", "route",
    "panel", "escort", "packaging", "driver", "receipt", "broker", "speaker", "warehouse",
)  # fmt: skip
REQUESTS = (
    "Please {verb} {a_thing}: {what}.",
    "{Verb} {a_thing} with {what}.",
    "I need you to {verb} {a_thing}. Details: {what}.",
    "Can you {verb} {a_thing} for me? {What}.",
    "We have to {verb} {a_thing}, {what}.",
    "{What}. Please {verb} the {thing} with that.",
    "{Verb} the {thing}:\n{lines}",
    "Here is what I know about the {thing}, please {verb} it.\n{lines}",
    "{lines}\n\n{Verb} {a_thing} from these values.",
    "Let's {verb} {a_thing}. It has {what}.",
    "Time to {verb} the {thing}; {what}.",
    "Would you {verb} {a_thing}, {what}?",
)
LISTED_RATE = 0.15  # of groups: a list of them
DOTTED_RATE = 0.5  # of lists: paths as `group.field`, the others in words
AS_PROSE = ("{key} {value}", "{key}: {value}", "{key} is {value}", "{key} = {value}")


class Kind(NamedTuple):
    """A kind of field: its JSON Schema, and the sampler of its values (`data/sources/sampling.py`)."""

    schema: Json
    sampler: Any

    def draw(self, rng: random.Random) -> Any:
        return draw(self.sampler, rng, load_pools()).value


TEXT, WHOLE, DECIMAL, TRUTH = ({"type": name} for name in ("string", "integer", "number", "boolean"))


def _one_of(*values: str) -> Kind:
    return Kind({"type": "string", "enum": list(values)}, list(values))


FIELDS: dict[str, Kind] = {
    "name": Kind(TEXT, "person"),
    "city": Kind(TEXT, "city"),
    "reference": Kind(TEXT, "code 7"),
    "email": Kind(TEXT, "email"),
    "date": Kind({"type": "string", "format": "date"}, "date"),
    "time": Kind(TEXT, "time"),
    "quantity": Kind(WHOLE, "int 1 60"),
    "floor": Kind(WHOLE, "int 1 30"),
    "days": Kind(WHOLE, "int 1 90"),
    "weight_kg": Kind(DECIMAL, "float 0.5 60 1"),
    "length_cm": Kind(DECIMAL, "float 0.5 240 1"),
    "amount": Kind(DECIMAL, "float 0.5 4000 2"),
    "currency": _one_of("EUR", "USD", "JPY", "GBP"),
    "priority": _one_of("low", "normal", "high"),
    "status": _one_of("draft", "active", "closed"),
    "insured": Kind(TRUTH, [True, False]),
    "urgent": Kind(TRUTH, [True, False]),
    "tags": Kind({"type": "array", "items": TEXT}, {"list": ["cold", "fragile", "vip", "export", "paper"], "min": 1, "max": 3}),
    "codes": Kind({"type": "array", "items": WHOLE}, {"list": "int 1 99", "min": 1, "max": 3}),
    "offsets": Kind({"type": "array", "items": WHOLE}, {"list": "int -40 40", "min": 2, "max": 5}),
    "readings": Kind({"type": "array", "items": DECIMAL}, {"list": "float -9 90 1", "min": 2, "max": 6}),
    "stops": Kind({"type": "array", "items": TEXT}, {"list": "city", "min": 1, "max": 4}),
    "attendees": Kind({"type": "array", "items": TEXT}, {"list": "person", "min": 1, "max": 4}),
}


@dataclass(frozen=True)
class Form:
    """A tool: its fields, and its groups with fields of their own, one of them perhaps a list of groups."""

    verb: str
    thing: str
    name: str
    fields: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    listed: frozenset[str]
    required: frozenset[str]

    def schema(self) -> Json:
        properties: Json = {field: FIELDS[field].schema for field in self.fields}
        for group, fields in self.groups.items():
            inner: Json = {"type": "object", "properties": {field: FIELDS[field].schema for field in fields}, "required": [fields[0]]}
            properties[group] = {"type": "array", "items": inner} if group in self.listed else inner
        parameters = {"type": "object", "properties": properties, "required": sorted(self.required, key=list(properties).index)}
        what = f"{self.verb.capitalize()} {article(self.thing)}."
        return {"type": "function", "function": {"name": self.name, "description": what, "parameters": parameters}}

    @property
    def gist(self) -> str:
        return f"{self.verb} {article(self.thing)}"


def article(thing: str) -> str:
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"


@functools.cache
def names(split: Split) -> tuple[tuple[str, str, str], ...]:
    """Verb, thing, and the tool's name, of a split."""
    spelled = [
        (verb, thing, name)
        for verb in VERBS
        for thing in THINGS
        for name in (f"{verb}_{thing}", f"{verb}{thing.capitalize()}", f"{thing}.{verb}")
    ]
    return tuple(one for one in spelled if split_of(one[2]) == split)


def form(composer: Composer) -> Form:
    rng = composer.rng
    verb, thing, name = rng.choice(names(composer.split))
    fields = tuple(rng.sample(sorted(FIELDS), rng.choice([0, 1, 1, 2, 3])))
    groups = {
        group: tuple(rng.sample(sorted(FIELDS), rng.choice([1, 2, 2, 3]))) for group in rng.sample(GROUPS, rng.choice([1, 1, 2, 2, 3]))
    }
    listed = frozenset(group for group in groups if rng.random() < LISTED_RATE)
    everything = [*fields, *groups]
    return Form(verb, thing, name, fields, groups, listed, frozenset(rng.sample(everything, rng.randint(1, len(everything)))))


def _object(fields: tuple[str, ...], rng: random.Random) -> Json:
    kept = [field for at, field in enumerate(fields) if at == 0 or rng.random() < 0.8]
    return {field: FIELDS[field].draw(rng) for field in kept}


def _arguments(one: Form, rng: random.Random) -> Json:
    arguments: Json = {}
    for key in [*one.fields, *one.groups]:
        if key not in one.required and rng.random() < 0.4:
            continue
        if key in one.listed:
            arguments[key] = [_object(one.groups[key], rng) for _ in range(rng.choice([1, 2, 2, 3]))]
        else:
            arguments[key] = _object(one.groups[key], rng) if key in one.groups else FIELDS[key].draw(rng)
    return arguments


def _said(value: Any) -> str:
    if isinstance(value, list):
        *before, last = map(_said, value)
        return f"{', '.join(before)} and {last}" if before else last
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _pairs(path: tuple[str, ...], value: Any) -> list[tuple[tuple[str, ...], str]]:
    """Each value with the keys that lead to it."""
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _pairs((*path, key), inner)]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [pair for at, one in enumerate(value, 1) for pair in _pairs((*path, str(at)) if len(value) > 1 else path, one)]
    return [(path, _said(value))]


def _request(composer: Composer, one: Form, arguments: Json) -> str:
    rng = composer.rng
    template = rng.choice([text for text in REQUESTS if split_of(text) == composer.split])
    spell, dotted = rng.choice(AS_PROSE), rng.random() < DOTTED_RATE
    pairs = _pairs((), arguments)
    prose = [(" ".join(path).replace("_", " "), value) for path, value in pairs]
    what = ", ".join(spell.format(key=path, value=value) for path, value in prose)
    lines = "\n".join(f"{path}: {value}" for path, value in ([(".".join(path), value) for path, value in pairs] if dotted else prose))
    words = {"verb": one.verb, "Verb": one.verb.capitalize(), "thing": one.thing, "a_thing": article(one.thing), "lines": lines}
    return template.format(what=what, What=what[0].upper() + what[1:], **words)


def serve(composer: Composer, one: Form) -> list[Json]:
    """A request that the form's tool serves, and the call."""
    arguments = _arguments(one, composer.rng)
    return [user(_request(composer, one, arguments)), assistant(calls=[(one.name, arguments, "call_0")])]


def decline(composer: Composer, offered: list[Form]) -> list[Json]:
    """The request of a form whose tool is not offered."""
    things = {one.thing for one in offered}
    absent = next(one for one in iter(lambda: form(composer), None) if one.thing not in things)
    refusal = composer.rng.choice(composer.refusals).format(gist=absent.gist, other=composer.rng.choice(offered).gist)
    return [user(_request(composer, absent, _arguments(absent, composer.rng))), assistant(refusal)]


def form_scene(composer: Composer) -> tuple[list[Json], list[str], list[list[Json]]]:
    """Requests over one or two such tools, most of them served."""
    rng = composer.rng
    offered = [form(composer)]
    if rng.random() < 0.5:
        offered.append(next(one for one in iter(lambda: form(composer), None) if one.thing != offered[0].thing))
    exchanges: list[list[Json]] = []
    for _ in range(rng.randint(7, 10)):
        what, messages = rng.random(), list[Json]()
        if what < 0.72:
            messages = serve(composer, rng.choice(offered))
        elif what < 0.95:
            messages = decline(composer, offered)
        else:
            composer.chat(messages)
        exchanges.append(messages)
    return [one.schema() for one in offered], [one.name for one in offered], exchanges

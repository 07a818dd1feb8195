"""Composes requests, calls, results and answers from the tool catalogue.

Pure functions of a catalogue entry and an explicit `random.Random`; `data/sources/dialogue.py` builds transcripts from them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from data.sources.catalog import INSERTION, CatalogTool, Missing, Parameter, fill, insert_clause, load_pools
from data.sources.sampling import Sampled, draw


@dataclass(frozen=True)
class Composed:
    """A request as typed, the arguments it asks for, and the spoken form of each argument."""

    text: str
    arguments: dict[str, Any]
    spoken: dict[str, str]


def _draw(name: str, parameter: Parameter, rng: random.Random) -> tuple[Sampled, dict[str, str]]:
    sampled, inner = parameter.draw(rng, load_pools())
    return sampled, {name: sampled.spoken, **{f"{name}.{key}": text for key, text in inner.items()}}


def _inner_clauses(name: str, parameter: Parameter, value: Any, rng: random.Random) -> list[str]:
    """Clauses for the optional fields of an object that were drawn; a field may be named with or without its path."""
    clauses = []
    for key, field in (parameter.properties or {}).items():
        if isinstance(value, dict) and key in value and isinstance(field.optional, list):
            clauses.append(rng.choice(field.optional).replace(f"{{{key}}}", f"{{{name}.{key}}}"))
        elif isinstance(value, dict) and key in value and isinstance(field.optional, dict):
            clauses.append(rng.choice(field.optional[value[key]]))
        elif isinstance(value, dict) and key in value:
            clauses += _inner_clauses(f"{name}.{key}", field, value[key], rng)
    return clauses


def _optional_value(name: str, parameter: Parameter, rng: random.Random) -> tuple[Any, str, dict[str, str]]:
    """Value, clause and spoken forms of an optional argument that was chosen to be present."""
    if isinstance(parameter.optional, dict):
        value = rng.choice(sorted(parameter.optional))
        return value, rng.choice(parameter.optional[value]), {}
    assert isinstance(parameter.optional, list)
    sampled, spoken = _draw(name, parameter, rng)
    return sampled.value, rng.choice(parameter.optional), spoken


def compose_request(tool: CatalogTool, template: str, rng: random.Random, optional_rate: float = 0.45) -> Composed:
    """Draw arguments for `tool` and say them with `template`; optional arguments appear with `optional_rate` each."""
    arguments: dict[str, Any] = {}
    spoken: dict[str, str] = {}
    text = template
    for name, parameter in tool.parameters.items():
        if not parameter.optional:
            sampled, forms = _draw(name, parameter, rng)
            arguments[name] = sampled.value
            spoken |= forms
            for clause in _inner_clauses(name, parameter, sampled.value, rng):
                text = insert_clause(text, clause)
        elif f"{{{name}}}" in template or rng.random() < optional_rate:
            value, clause, forms = _optional_value(name, parameter, rng)
            arguments[name] = value
            spoken |= forms
            text = text if f"{{{name}}}" in template else insert_clause(text, clause)
    return Composed(fill(text.replace(INSERTION, ""), spoken), arguments, spoken)


def compose_missing(tool: CatalogTool, missing: Missing, rng: random.Random) -> tuple[str, str]:
    """A request that says everything but the argument `missing.lacks`, and the question that asks for it."""
    spoken: dict[str, str] = {}
    for name, parameter in tool.parameters.items():
        if name != missing.lacks and not isinstance(parameter.optional, dict):
            spoken |= _draw(name, parameter, rng)[1]
    if missing.lacks not in tool.parameters:
        raise ValueError(f"lacks {missing.lacks!r}, which is no parameter; parameters: {', '.join(tool.parameters)}")
    return fill(missing.request.replace(INSERTION, ""), spoken), fill(missing.ask, spoken)


def compose_result(tool: CatalogTool, composed: Composed, rng: random.Random) -> tuple[dict[str, Any], str]:
    """The tool's JSON result and the assistant's answer that reports it."""
    drawn = {name: draw(spec, rng, load_pools()) for name, spec in tool.result.items()}
    spoken = composed.spoken | {f"result.{name}": sampled.spoken for name, sampled in drawn.items()}
    return {name: sampled.value for name, sampled in drawn.items()}, fill(tool.answer, spoken)

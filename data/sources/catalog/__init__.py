"""The tool catalogue: tool schemas, and the phrasings and value samplers that turn them into requests.

The file format is described in `README.md` beside this file.
"""

from __future__ import annotations

import functools
import random
import re
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.sources.sampling import Pools, Sampled, draw, spoken_list

FOLDER = Path(str(resources.files(__name__)))
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader, where PyYAML was built with it, is ten times as fast
SLOT = re.compile(r"\{([a-zA-Z_][\w.]*)\}")
INSERTION = "{*}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Parameter(BaseModel):
    """One argument: its JSON Schema, and how it is drawn (`sample`, `count`) and spoken (`say`, `each`, `optional`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["string", "integer", "number", "boolean", "array", "object"]
    description: str | None = None
    sample: Any = None
    say: dict[Any, str] | None = None
    optional: list[str] | dict[bool, list[str]] | bool | None = None
    count: tuple[int, int] | None = None
    each: str | None = None
    properties: dict[str, Parameter] | None = None
    items: Parameter | None = None
    enum: list[Any] | None = None
    format: str | None = None
    default: Any = None
    examples: list[Any] | None = None
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    minItems: int | None = None
    maxItems: int | None = None
    uniqueItems: bool | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Parameter:
        if self.type == "object" and not self.properties:
            raise ValueError("an object needs `properties`")
        if self.type == "boolean" and isinstance(self.optional, list):
            raise ValueError("a boolean's `optional` maps true and/or false to clauses")
        return self

    @property
    def is_nested(self) -> bool:
        """Whether a value holds an object."""
        return self.type == "object" or bool(self.items and self.items.is_nested)

    @property
    def is_flat_list(self) -> bool:
        """Whether a value is a list of numbers, texts or truths."""
        return self.items is not None and not self.items.is_nested

    def schema_dict(self) -> dict[str, Any]:
        """The JSON Schema that a model sees, without the sampling keys."""
        hidden = {"sample", "say", "optional", "count", "each", "properties", "items"}
        schema = self.model_dump(exclude=hidden, exclude_none=True)
        if self.items:
            schema["items"] = self.items.schema_dict()
        if self.properties:
            schema |= object_schema(self.properties)
        return schema

    def draw(self, rng: random.Random, pools: Pools) -> tuple[Sampled, dict[str, str]]:
        """A value with its spoken form, and the spoken forms of an object's fields under dotted names."""
        if self.type == "object":
            return self._draw_object(rng, pools)
        if self.items and self.items.type == "object":
            return self._draw_objects(rng, pools), {}
        return self._draw_plain(rng, pools), {}

    def _draw_plain(self, rng: random.Random, pools: Pools) -> Sampled:
        if self.sample is None and self.type == "boolean":
            value: Any = rng.choice(sorted(self.say)) if self.say else rng.choice([True, False])
            return Sampled(value, (self.say or {}).get(value, str(value).lower()))
        if self.sample is None and self.type == "array":
            item = self.items
            spec = (item.enum or item.sample) if item else None
            if spec is None:
                raise ValueError("an array needs `sample`")
            return self._checked(draw({"list": spec, "min": (self.count or (2, 4))[0], "max": (self.count or (2, 4))[1]}, rng, pools))
        if self.sample is None and self.enum is None:
            raise ValueError("needs `sample` or `enum`")
        if self.sample is not None:
            drawn = draw(self.sample, rng, pools)
            return self._checked(
                Sampled(drawn.value, (self.say or {}).get(drawn.value, drawn.spoken) if _hashable(drawn.value) else drawn.spoken)
            )
        value = rng.choice(self.enum or [])
        return Sampled(value, (self.say or {}).get(value, str(value).replace("_", " ")))

    def _checked(self, drawn: Sampled) -> Sampled:
        """Pools hold text and whole numbers: give a `number` its float form and a `string` its text form."""
        if self.type == "string" and not isinstance(drawn.value, str):
            return Sampled(str(drawn.value), drawn.spoken)
        return drawn

    def _draw_object(self, rng: random.Random, pools: Pools) -> tuple[Sampled, dict[str, str]]:
        value: dict[str, Any] = {}
        spoken: dict[str, str] = {}
        for name, field in (self.properties or {}).items():
            if field.optional and rng.random() < 0.5:
                continue
            drawn, inner = field.draw(rng, pools)
            value[name] = drawn.value
            spoken[name] = drawn.spoken
            spoken |= {f"{name}.{key}": text for key, text in inner.items()}
        return Sampled(value, ", ".join(spoken.values())), spoken

    def _draw_objects(self, rng: random.Random, pools: Pools) -> Sampled:
        assert self.items is not None
        drawn = [self.items._draw_object(rng, pools) for _ in range(rng.randint(*(self.count or (1, 3))))]
        texts = [fill(self.each, spoken) if self.each else sampled.spoken for sampled, spoken in drawn]
        return Sampled([sampled.value for sampled, _ in drawn], spoken_list(texts))


def _hashable(value: Any) -> bool:
    return not isinstance(value, list | dict)


def object_schema(properties: dict[str, Parameter]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: parameter.schema_dict() for name, parameter in properties.items()},
        "required": [name for name, parameter in properties.items() if not parameter.optional],
    }


class Missing(_Strict):
    """A request that lacks a required argument, and the question that it deserves."""

    lacks: str
    request: str
    ask: str


class CatalogTool(_Strict):
    """One tool of the catalogue."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    description: str
    gist: str
    parameters: dict[str, Parameter]
    requests: list[str] = Field(min_length=7)
    missing: list[Missing] = []
    result: dict[str, Any]
    answer: str
    similar: list[str] = []

    def schema_dict(self) -> dict[str, Any]:
        """The OpenAI function schema: `{"type": "function", "function": {name, description, parameters}}`."""
        function = {"name": self.name, "description": self.description, "parameters": object_schema(self.parameters)}
        return {"type": "function", "function": function}


class Domain(_Strict):
    domain: str
    tools: list[CatalogTool]


def fill(template: str, spoken: dict[str, str]) -> str:
    """Put spoken forms into `{slots}`; an unknown slot is an error that names it."""

    def one(match: re.Match[str]) -> str:
        if match[1] not in spoken:
            raise ValueError(f"slot {{{match[1]}}} has no value in {template!r}; values: {', '.join(sorted(spoken))}")
        return spoken[match[1]]

    return SLOT.sub(one, template)


def insert_clause(request: str, clause: str) -> str:
    """Put an optional clause at `{*}`, else before the final punctuation."""
    if INSERTION in request:
        return request.replace(INSERTION, clause + INSERTION)
    body = request.rstrip("?.!")
    return f"{body}{clause}{request[len(body) :]}"


def load_domain(path: Path) -> Domain:
    """Read and check one YAML file; `ValueError` names the file."""
    try:
        return Domain.model_validate(yaml.load(path.read_text(), Loader=LOADER))
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {error}") from error


@functools.cache
def load_pools() -> dict[str, list[Any]]:
    return yaml.load((FOLDER / "pools.yaml").read_text(), Loader=LOADER)


@functools.cache
def load_chat() -> list[dict[str, str]]:
    """`[{user, assistant}]`: messages that need no tool."""
    return yaml.load((FOLDER / "chat.yaml").read_text(), Loader=LOADER)["chat"]


@functools.cache
def load_unserved() -> list[dict[str, str]]:
    """`[{request, gist}]`: requests that no tool of the catalogue serves."""
    return yaml.load((FOLDER / "unserved.yaml").read_text(), Loader=LOADER)["unserved"]


@functools.cache
def load_catalog() -> list[Domain]:
    """All domains, in the order of their file names; tool names are unique over all of them."""
    other = {"pools.yaml", "chat.yaml", "unserved.yaml"}
    domains = [load_domain(path) for path in sorted(FOLDER.glob("*.yaml")) if path.name not in other]
    names = [tool.name for domain in domains for tool in domain.tools]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{FOLDER}: tool names occur twice: {', '.join(twice)}")
    return domains

"""Reads the body of one call, strictly: what stands between the opening and the closing token of a wire format. Never raises.

Two bodies are known. `json` is one object with exactly `name` and `arguments`. `tagged` (Qwen3-Coder) is
`<function=NAME>` with `<parameter=KEY>` blocks, whose values are unescaped text typed by the tool's schema.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from data.transcript import Json

Schemas = Mapping[str, Json]
FUNCTION = re.compile(r"\s*<function=([^>\n]+)>\n?")
PARAMETER = re.compile(r"\s*<parameter=([^>\n]+)>\n")
FUNCTION_CLOSE = "</function>"
PARAMETER_END = "\n</parameter>"
AFTER_PARAMETER = re.compile(r"\s*(?:<parameter=|</function>\s*\Z)")
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "boolean": (bool,), "integer": (int,), "number": (int, float), "null": (type(None),),
}  # fmt: skip
FUNCTION_END = re.compile(r"\s*</function>\s*\Z")


class Defect(StrEnum):
    """Why a block between wire tokens is not a call."""

    UNCLOSED = "unclosed"
    TRUNCATED = "truncated"
    UNOPENED = "unopened"
    NOT_JSON = "not_json"
    PYTHON_LITERAL = "python_literal"
    NOT_TAGGED = "not_tagged"
    DUPLICATE_KEY = "duplicate_key"
    NO_NAME = "no_name"
    NO_ARGUMENTS = "no_arguments"
    ARGUMENTS_AS_STRING = "arguments_as_string"
    WRONG_SHAPE = "wrong_shape"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_NAME = "unknown_name"
    MISSING_REQUIRED = "missing_required"


@dataclass(frozen=True)
class Call:
    name: str
    arguments: dict[str, Any]
    in_reasoning: bool = False


class _DuplicateKey(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKey
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def strict_json(text: str) -> Any:
    """`json.loads` without NaN, infinities and duplicate keys; raises `ValueError` or `RecursionError`."""
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)


def schemas_of(tools: list[Json] | None) -> Schemas | None:
    """Tool name → JSON Schema of its parameters; None where no tools are given, which turns the checks against them off."""
    if tools is None:
        return None
    functions = [tool.get("function", tool) for tool in tools]
    return {function["name"]: function.get("parameters") or {} for function in functions}


def read_call(text: str, body: str = "json", schemas: Schemas | None = None) -> Call | Defect:
    """The call that `text` spells in the body format `body`; with `schemas`, its name and required arguments are checked too."""
    read = BODIES[body].read(text, schemas or {})
    if isinstance(read, Defect) or schemas is None:
        return read
    if read.name not in schemas:
        return Defect.UNKNOWN_NAME
    if set(schemas[read.name].get("required", ())) - read.arguments.keys():
        return Defect.MISSING_REQUIRED
    return read


def _read_json(text: str, schemas: Schemas) -> Call | Defect:
    try:
        value = strict_json(text)
    except _DuplicateKey:
        return Defect.DUPLICATE_KEY
    except (ValueError, RecursionError):
        return Defect.PYTHON_LITERAL if _is_python_literal(text) else Defect.NOT_JSON
    if not isinstance(value, dict):
        return Defect.WRONG_SHAPE
    for key, defect in (("name", Defect.NO_NAME), ("arguments", Defect.NO_ARGUMENTS)):
        if key not in value:
            return defect
    if isinstance(value["arguments"], str):
        return Defect.ARGUMENTS_AS_STRING
    if len(value) != 2 or not isinstance(value["name"], str) or not isinstance(value["arguments"], dict):
        return Defect.WRONG_SHAPE
    return Call(value["name"], value["arguments"])


def _is_python_literal(text: str) -> bool:
    """Single quotes, True, None: what `str(dict)` prints instead of JSON."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return isinstance(ast.literal_eval(text.strip()), dict)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False


def _read_tagged(text: str, schemas: Schemas) -> Call | Defect:
    opened = FUNCTION.match(text)
    if not opened:
        return Defect.NO_NAME if text.lstrip().startswith("<function=") else Defect.NOT_TAGGED
    name, at = opened[1], opened.end()
    properties = schemas.get(name, {}).get("properties", {})
    arguments: dict[str, Any] = {}
    while parameter := PARAMETER.match(text, at):
        end = _parameter_end(text, parameter.end())
        if end is None:
            return Defect.NOT_TAGGED
        key, at = parameter[1], end + len(PARAMETER_END)
        if key in arguments:
            return Defect.DUPLICATE_KEY
        value = typed(text[parameter.end() : end], properties.get(key, {}))
        if isinstance(value, Defect):
            return value
        arguments[key] = value
    return Call(name, arguments) if FUNCTION_END.match(text, at) else Defect.NOT_TAGGED


def _parameter_end(text: str, at: int) -> int | None:
    """Where the value that starts at `at` ends: at the first closing tag after which a parameter or the end of the function follows.

    The search begins at the line break that opens the value, which is also the one before the tag that closes an empty value.
    """
    at -= 1
    while (end := text.find(PARAMETER_END, at)) >= 0:
        if AFTER_PARAMETER.match(text, end + len(PARAMETER_END)):
            return end
        at = end + 1
    return None


def typed(text: str, schema: Json) -> Any:
    """A tagged value in the type that its schema names: text where that allows text, else strict JSON; a misfit is `Defect.WRONG_TYPE`."""
    kinds = schema.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    try:
        value = strict_json(text)
    except (ValueError, RecursionError):
        value = Defect.WRONG_TYPE
    if not isinstance(value, Defect) and any(_is_a(value, kind) for kind in kinds if kind != "string"):
        return value
    return text if "string" in kinds else Defect.WRONG_TYPE


def _is_a(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES.get(kind, ())) and (kind == "boolean" or not isinstance(value, bool))


class Scanner(Protocol):
    """Follows the growing text of a call a piece at a time."""

    name: str | None
    in_string: bool

    def feed(self, piece: str) -> str:
        """Take the next piece; returns what it adds to the text of the arguments."""
        ...


@functools.lru_cache(maxsize=1 << 16)
def _moves(piece: str, state: int) -> tuple[int, int, int]:
    """What `piece` does to a JSON text: the state after it, by how much the depth changes, and the lowest depth on the way, from 0.

    States: 0 outside strings, 1 inside, 2 inside and after a backslash.
    """
    depth = low = 0
    for character in piece:
        if state == 2:
            state = 1
        elif state == 1:
            state = {"\\": 2, '"': 0}.get(character, 1)
        elif character == '"':
            state = 1
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
            low = min(low, depth)
    return state, depth, low


class JsonScanner:
    """A JSON body: whether a string is open, the call's name once known, and the text of its arguments, an object."""

    NAME = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*', re.DOTALL)
    LONGEST_HEAD = 4096  # characters up to the arguments; a longer head is not searched for a name

    def __init__(self) -> None:
        self.name: str | None = None
        self._state = self._depth = 0
        self._head = ""
        self._growing = False

    @property
    def in_string(self) -> bool:
        return self._state > 0

    def feed(self, piece: str) -> str:
        state, change, low = _moves(piece, self._state)
        if self._growing and self._depth + low < 2:
            return self._end_arguments(piece)
        if not self._growing and self.name is None and len(self._head) < self.LONGEST_HEAD:
            return self._grow_head(piece)
        self._state, self._depth = state, self._depth + change
        return piece if self._growing else ""

    def _grow_head(self, piece: str) -> str:
        """Character by character, because the head may end anywhere in the piece."""
        for at, character in enumerate(piece):
            self._head += character
            self._state, change, _ = _moves(character, self._state)
            self._depth += change
            if character in "{[" and self._depth == 2 and (found := self.NAME.fullmatch(self._head[:-1])):
                self.name, self._growing, self._head = json.loads(found[1], strict=False), True, ""
                return character + self.feed(piece[at + 1 :])
        return ""

    def _end_arguments(self, piece: str) -> str:
        for at, character in enumerate(piece):
            self._state, change, _ = _moves(character, self._state)
            self._depth += change
            if self._depth < 2:
                self._growing = False
                self.feed(piece[at + 1 :])
                return piece[: at + 1]
        return piece


class TaggedScanner:
    """A body of tagged parameters: the name once its tag is closed, then the parameters as they are spelled."""

    in_string = False  # nothing in this format hides a wire token

    def __init__(self) -> None:
        self.name: str | None = None
        self._head = self._tail = ""
        self._growing = False

    def feed(self, piece: str) -> str:
        if self._growing:
            self._tail = self._tail[-len(FUNCTION_CLOSE) :] + piece
            self._growing = FUNCTION_CLOSE not in self._tail
            return piece
        if self.name is None and len(self._head) < JsonScanner.LONGEST_HEAD:
            self._head += piece
            if ">" in piece and (found := FUNCTION.match(self._head)):
                self.name, self._growing = found[1], True
                return self.feed(self._head[found.end() :])
        return ""


class Body(NamedTuple):
    """A spelling of a call's body: reads a whole one, and follows one that grows."""

    read: Callable[[str, Schemas], Call | Defect]
    scanner: Callable[[], Scanner]


BODIES = {"json": Body(_read_json, JsonScanner), "tagged": Body(_read_tagged, TaggedScanner)}

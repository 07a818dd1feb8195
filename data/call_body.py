"""Reads the body of one call, strictly: what stands between the opening and the closing token of a wire format. Never raises.

Two bodies are known. `json` is one object with exactly `name` and `arguments`. `tagged` (Qwen3-Coder) is
`<function=NAME>` with `<parameter=KEY>` blocks, whose values are unescaped text typed by the tool's schema.
"""

from __future__ import annotations

import ast
import json
import math
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


class _NotFinite(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKey
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _NotFinite(f"{text} is too large to be written as JSON again")
    return value


STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)


def strict_json(text: str) -> Any:
    """`json.loads` without NaN, infinities and duplicate keys; raises `ValueError` or `RecursionError`."""
    return STRICT.decode(text)


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
    except _NotFinite:
        return Defect.NOT_JSON
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
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # TypeError: the key of {[1]: 2} is no key
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
    kinds = _kinds(schema)
    if kinds == ["string"]:
        return text
    try:
        value = strict_json(text)
    except (ValueError, RecursionError):
        value = Defect.WRONG_TYPE
    if not isinstance(value, Defect) and any(_is_a(value, kind) for kind in kinds if kind != "string"):
        return value
    return text if "string" in kinds else Defect.WRONG_TYPE


def _kinds(schema: Any) -> list[str]:
    """The types that a schema names, itself or in its alternatives; one that names none is taken for text."""
    if not isinstance(schema, dict):
        return ["string"]
    if "type" in schema:
        return [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    alternatives = [inner for key in ("anyOf", "oneOf") for inner in schema.get(key, ())]
    return [kind for inner in alternatives for kind in _kinds(inner)] or ["string"]


def _is_a(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES.get(kind, ())) and (kind == "boolean" or not isinstance(value, bool))


class Scanner(Protocol):
    """Follows the growing text of a call a piece at a time."""

    name: str | None

    @property
    def in_string(self) -> bool:
        """Whether a string is open that may hold a wire token as data."""
        ...

    def feed(self, piece: str) -> str:
        """Take the next piece; returns what it adds to the text of the arguments."""
        ...


class Move(NamedTuple):
    """What a piece of text does to a JSON text: the state after it, and how the depth of brackets changes: in all, at least, at most."""

    state: int
    change: int
    low: int
    high: int


class Moves(dict[str, Move | None]):
    """The move of each piece that was met in one state: 0 outside strings, 1 inside, 2 inside and after a backslash; None if nothing moves.

    A table, because the pieces are those of a vocabulary and come again and again.
    """

    def __init__(self, state: int) -> None:
        super().__init__()
        self.state = state

    def __missing__(self, piece: str) -> Move | None:
        state = self.state
        depth = low = high = 0
        for character in piece:
            if state == 2:
                state = 1
            elif state == 1:
                state = {"\\": 2, '"': 0}.get(character, 1)
            elif character == '"':
                state = 1
            elif character in "{[":
                depth += 1
                high = max(high, depth)
            elif character in "}]":
                depth -= 1
                low = min(low, depth)
        move = Move(state, depth, low, high)
        self[piece] = None if move == Move(self.state, 0, 0, 0) else move
        return self[piece]


MOVES = (Moves(0), Moves(1), Moves(2))


class JsonScanner:
    """A JSON body: whether a string is open, the call's name once known, and the text of its arguments, an object."""

    NAME = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*', re.DOTALL)
    LONGEST_HEAD = 4096  # characters up to the arguments; in a longer head no name is looked for

    def __init__(self) -> None:
        self.name: str | None = None
        self._moves, self._depth = MOVES[0], 0
        self._head = ""
        self._growing = False

    @property
    def in_string(self) -> bool:
        return self._moves.state > 0

    def feed(self, piece: str) -> str:
        move = self._moves[piece]
        if self._growing:
            if move is None:
                return piece
            if move.low and self._depth + move.low < 2:
                return self._by_character(piece)
        elif self.name is None and len(self._head) < self.LONGEST_HEAD:
            if move is not None and self._depth + move.high >= 2:
                return self._by_character(piece)
            self._head += piece
        if move is not None:
            self._moves = MOVES[move.state]
            self._depth += move.change
        return piece if self._growing else ""

    def _by_character(self, piece: str) -> str:
        """A piece in which the arguments may begin or end."""
        added = ""
        for character in piece:
            change = 0
            if (move := self._moves[character]) is not None:
                self._moves, change = MOVES[move.state], move.change
                self._depth += change
            if self._growing:
                added += character
                self._growing = self._depth >= 2
            elif self.name is None:
                found = self.NAME.fullmatch(self._head) if change == 1 and self._depth == 2 else None
                self._head += character
                if found:
                    self.name, self._growing, added = json.loads(found[1], strict=False), True, character
        return added


class TaggedScanner:
    """A body of tagged parameters: the name once its tag is closed, then everything up to the end of the call, as it is spelled."""

    in_string = False  # nothing quotes a value: if it hid a closing id, one that is never closed would swallow the next call

    def __init__(self) -> None:
        self.name: str | None = None
        self._head = ""

    def feed(self, piece: str) -> str:
        if self.name is not None:
            return piece
        if len(self._head) < JsonScanner.LONGEST_HEAD:
            self._head += piece
            if ">" in piece and (found := FUNCTION.match(self._head)):
                self.name = found[1]
                return self._head[found.end() :]
        return ""


class Body(NamedTuple):
    """A spelling of a call's body: reads a whole one, and follows one that grows."""

    read: Callable[[str, Schemas], Call | Defect]
    scanner: Callable[[], Scanner]


BODIES = {"json": Body(_read_json, JsonScanner), "tagged": Body(_read_tagged, TaggedScanner)}

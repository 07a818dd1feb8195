"""Call bodies that are no strict JSON, made whole: each repair by its own name, none of them used by the strict reading. Pure; no torch."""

from __future__ import annotations

import ast
import json
import warnings
from typing import Any

from data.call_body import strict_json
from data.transcript import Json
from data.wire import HERMES

ARGUMENT_KEYS = ("arguments", "parameters")


def body_of(block: str) -> str:
    """The text between a call's opening and closing token; the closing one may lack."""
    return block.strip().removeprefix(HERMES.call_open).removesuffix(HERMES.call_close).strip()


def call_in(value: Any) -> Json | None:
    """The call that an object states as name and arguments, or as name and parameters; arguments may be a string of JSON."""
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = next((value[key] for key in ARGUMENT_KEYS if key in value), None)
    if isinstance(arguments, str):
        arguments = json_value(arguments)
    return {"name": value["name"], "arguments": arguments} if isinstance(arguments, dict) else None


def json_value(text: str) -> Any:
    """Strict JSON, or None."""
    try:
        return strict_json(text)
    except (ValueError, RecursionError):
        return None


def python_literal(text: str) -> Any:
    """A Python literal as the JSON value it would print as, or None: single quotes, True, None, tuples as lists."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return json.loads(json.dumps(ast.literal_eval(text.strip()), allow_nan=False))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # TypeError: a set, or the key of {[1]: 2}
        return None


def completed(text: str) -> Any:
    """JSON that was cut off, with its open string, lists and objects closed; None where that does not make it JSON."""
    closers, in_string, escaped = [], False, False
    for character in text:
        if in_string:
            in_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            in_string = True
        elif character in "{[":
            closers.append("}" if character == "{" else "]")
        elif character in "}]" and closers:
            closers.pop()
    if not closers:
        return None
    head = text[:-1] if escaped else text
    return json_value(head + '"' * in_string + "".join(reversed(closers)))

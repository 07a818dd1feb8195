"""The permissive reading: every call that could be rebuilt from a completion's text, by small named rules. Pure; no torch.

It tells what a forgiving parser might make of a completion, never what the model did: the strict reading on ids does that.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any

from data.transcript import Json
from data.wire import HERMES
from eval.repair import body_of, call_in, completed, json_value, python_literal

BLOCK = re.compile(rf"{re.escape(HERMES.call_open)}(.*?)(?={re.escape(HERMES.call_close)}|{re.escape(HERMES.call_open)}|\Z)", re.DOTALL)
MOST_ENDS = 40  # closing parentheses to try for one Python call


def salvage(text: str, functions: list[Json]) -> tuple[list[Json], str | None]:
    """Calls found in `text` by the first rule that finds any, and that rule's name; none and None where no rule does.

    `functions` are the tools offered, dicts of name and parameters; a call of another name is none.
    """
    text = text.split(HERMES.turn_close)[0]
    offered = {function["name"]: function.get("parameters") or {} for function in functions}
    for rule in (tagged_calls, json_calls, python_calls):
        if calls := [call for call in rule(text, offered) if call["name"] in offered]:
            return calls, rule.__name__
    return [], None


def tagged_calls(text: str, offered: dict[str, Json]) -> Iterator[Json]:
    """Calls after an opening tag, whatever ids spelled it: as JSON, as a Python literal, or as JSON that is cut off."""
    for found in BLOCK.finditer(text):
        body = body_of(found[1])
        if call := call_in(json_value(body)) or call_in(python_literal(body)) or call_in(completed(body)):
            yield call


def json_calls(text: str, offered: dict[str, Json]) -> Iterator[Json]:
    """JSON objects anywhere in the text, also in fences, that state a name and arguments; the last one may be cut off."""
    decoder, position = json.JSONDecoder(), text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            value, end = None, position + 1
            if re.match(r'\{\s*"name"', text[position:]):
                value = completed(text[position:])
        if call := call_in(value):
            yield call
        position = text.find("{", end)


def python_calls(text: str, offered: dict[str, Json]) -> Iterator[Json]:
    """Python calls of an offered tool with literal arguments; positional ones take the schema's names in order."""
    for found in re.finditer(rf"(?<!def )\b({'|'.join(map(re.escape, offered))})\s*\(", text) if offered else ():
        name = found[1]
        if (node := _call_node(text, found.start(1), found.end())) is not None:
            arguments = _literal_arguments(node, list(offered[name].get("properties", {})))
            if arguments is not None:
                yield {"name": name, "arguments": arguments}


def _call_node(text: str, start: int, at: int) -> ast.Call | None:
    """The call that starts at `start`, up to the first closing parenthesis with which it parses."""
    for _ in range(MOST_ENDS):
        at = text.find(")", at) + 1
        if not at:
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                node = ast.parse(text[start:at], mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return node if isinstance(node, ast.Call) else None
    return None


def _literal_arguments(node: ast.Call, names: list[str]) -> Json | None:
    """The arguments of a call, or None where one is no literal or has no name."""
    if len(node.args) > len(names) or any(keyword.arg is None for keyword in node.keywords):
        return None
    given: list[tuple[Any, ast.expr]] = [*zip(names, node.args, strict=False), *((key.arg, key.value) for key in node.keywords)]
    values = {name: python_literal(ast.unparse(value)) for name, value in given}
    missing = [name for name, value in given if values[name] is None and not _is_none(value)]
    return None if missing else values


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None

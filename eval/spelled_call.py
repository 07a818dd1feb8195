"""Finds calls that are spelled as text: between typed wire tags, or as JSON. Never raises.

JSON counts as a call if its structure is one, in any of the shapes that models are known to write, and it names an offered tool:
`{"name", "arguments"}`, `{"tool", "parameters"}`, `{"function": {…}}`, `{"tool_call": {…}}`, `{NAME: {…}}`, `NAME{…}`, ReAct's
`Action: NAME` with `Action Input:`. JSON that does not parse counts if it begins as such a call: cut off, Python quotes, comments.
A JSON Schema of a tool is no call, and neither are bare arguments that name no tool.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from data.call_body import FUNCTION
from data.wire import HERMES, TAGGED
from eval.asked import Asked

NAME_KEYS = ("name", "tool", "tool_name", "function", "function_name", "tool_call", "action")
ARGUMENT_KEYS = ("arguments", "parameters", "args", "params", "input", "action_input", "tool_input", "kwargs")
WRAPPERS = ("function", "tool_call", "tool_calls", "function_call", "call", "calls", "action", "actions")
MOST_FAILURES = 24  # braces that begin no JSON before the search gives up; each failure may read the whole text
MOST_TAGS = 50
LONGEST_HEAD = 500  # characters after a tag in which a call begins
QUOTE = "[\"'“]"
HEAD = rf"\{{\s*(?://[^\n]*\n\s*)?{QUOTE}?(?:{'|'.join(NAME_KEYS)}){QUOTE}?\s*:\s*{QUOTE}"
ANY_HEAD = re.compile(r"\[?\s*" + HEAD + r"\w")
WRAPPED_HEAD = re.compile(rf"\[?\s*\{{\s*{QUOTE}(?:{'|'.join(WRAPPERS)}){QUOTE}\s*:\s*\[?\s*{HEAD}\w")
ARGUMENTS_FIRST = re.compile(rf"\s*\{{\s*{QUOTE}(?:{'|'.join(ARGUMENT_KEYS)}){QUOTE}\s*:\s*\{{")
ABOUT_FORMAT = re.compile(r"\b(?:format|syntax|spelling|spelled|looks? like|framed|documentation|convention|notation)\b", re.IGNORECASE)
TAGGED_OPENING = TAGGED.signature[-2]
DECODER = json.JSONDecoder()


def typed_call(text: str, asked: Asked) -> str | None:
    """Why the text holds a call between typed tags, or None: a tag that is merely mentioned has nothing call-like after it.

    An example in a text about the format is no call either: the sentence before it speaks of format, syntax, spelling or notation.
    """
    at = -1
    for _ in range(MOST_TAGS):
        at = text.find(HERMES.call_open, at + 1)
        if at < 0:
            break
        start = at + len(HERMES.call_open)
        body = text[start : start + LONGEST_HEAD].partition(HERMES.call_close)[0]
        if _is_body(body, asked) and not explains_format(text[max(0, at - 300) : at]):
            return "a call between the wire format's tags, spelled with other ids"
    tagged = FUNCTION.search(text) if TAGGED_OPENING in text else None
    if tagged and tagged[1].strip() in asked.names and not explains_format(text[max(0, tagged.start() - 300) : tagged.start()]):
        return "a call with tagged parameters, spelled with other ids"
    return None


def _is_body(body: str, asked: Asked) -> bool:
    """Whether what follows a typed opening tag is a call, of any tool, however broken."""
    if FUNCTION.match(body) or ANY_HEAD.match(body.lstrip()) or WRAPPED_HEAD.match(body.lstrip()) or ARGUMENTS_FIRST.match(body):
        return True
    return bool(re.match(rf"\s*(?:{asked.spelled})\s*[({{]", body))


def explains_format(lead: str) -> bool:
    """Whether the last paragraph before a block, without an opening fence, is about the format."""
    lines = [line for line in lead.splitlines() if line.strip() and not line.lstrip().startswith("```")]
    return bool(lines and ABOUT_FORMAT.search(lines[-1]))


def shows_call(text: str, asked: Asked) -> bool:
    """Whether the text holds a call in any spelling, the wire format's tags alone included."""
    return HERMES.call_open in text or json_call(text, asked) is not None


def json_call(text: str, asked: Asked) -> str | None:
    """Why the text holds a call of an offered tool as JSON, or None."""
    if not re.search(asked.spelled, text):
        return None
    for value in json_values(text):
        if name := _called(value, asked.names):
            return f"a call of {name} as JSON"
    for pattern in _patterns(asked.spelled):
        if found := pattern.search(text):
            return f"a call of {found['name']} in the manner of JSON"
    return None


def _patterns(spelled: str) -> Iterator[re.Pattern[str]]:
    name = rf"(?P<name>{spelled})"
    yield re.compile(rf"{HEAD}{name}{QUOTE}\s*(?:$|,\s*(?:$|{QUOTE}?(?:{'|'.join(ARGUMENT_KEYS)})))")
    yield re.compile(rf"{QUOTE}tool_call{QUOTE}\s*:\s*{QUOTE}{name}_*{QUOTE}\s*:\s*\{{")
    yield re.compile(rf"^[^\w\n]*{name}\s*:?\s*\{{\s*(?:{QUOTE}|\w+\s*:)", re.MULTILINE)
    yield re.compile(rf"^[^\w\n]*{name}\s*\(\s*\{{\s*\"[^\n]*\}}\s*\)\W*$", re.MULTILINE)
    yield re.compile(rf"^Action:\s*{name}\s*\n+\s*Action Input:", re.MULTILINE)


def json_values(text: str) -> Iterator[Any]:
    """JSON objects that stand anywhere in the text, outermost first."""
    at, failures = text.find("{"), 0
    while at >= 0 and failures < MOST_FAILURES:
        try:
            value, at = DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            failures, at = failures + 1, at + 1
        else:
            yield value
        at = text.find("{", at)


def _called(value: Any, names: frozenset[str], depth: int = 0) -> str | None:
    """The offered tool that a JSON value calls, itself or within the keys that clients wrap calls in."""
    if depth > 4:
        return None
    if isinstance(value, list):
        return next(filter(None, (_called(item, names, depth + 1) for item in value)), None)
    if not isinstance(value, dict):
        return None
    given = next((value[key] for key in ARGUMENT_KEYS if key in value), None)
    named = next((value[key] for key in NAME_KEYS if isinstance(value.get(key), str) and value[key] in names), None)
    if named and isinstance(given, dict | str) and not _is_schema(given):
        return str(named)
    if len(value) == 1 and (only := next(iter(value))) in names and isinstance(value[only], dict):
        return str(only)
    return next(filter(None, (_called(value[key], names, depth + 1) for key in WRAPPERS if key in value)), None)


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "object" and isinstance(value.get("properties"), dict)

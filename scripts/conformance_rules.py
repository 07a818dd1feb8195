"""Why a case is not ours to answer, and why an answer of ours is another one on purpose.

Each rule is a condition on the case and on our reading of it, as narrow as the reason; none names a case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from conformance_cases import Case, Reading

from data.call_body import TYPES, Defect

OTHER_TOKENS = re.compile(r"</?(?:seed|test):")
ON_THE_TAGS_LINE = re.compile(r"<parameter=[^>\n]+>[^\n]|[^\n]</parameter>")
LIST_BODY = re.compile(r">\s*\[")
OPEN_TAG = re.compile(r"<function=[^>\n]*\n")
PYTHON_VALUE = re.compile(r"<parameter=[^>\n]+>\n(?:True|False|None)\n</parameter>")


class Rule(NamedTuple):
    name: str
    reason: str
    applies: Callable[[Case, Reading], bool]


def _of_another_template(case: Case, reading: Reading) -> bool:
    template = case.row.get("response_template") or {}
    calls = template.get("fields", {}).get("tool_calls", {})
    opener = calls.get("open") or calls.get("open_pattern") or ""
    ours = case.form.turn_open in template.get("start_anchor", "") and case.form.call_open in opener
    return case.row.get("format") == "response_template" and not ours


def _malformed(case: Case, reading: Reading, *defects: Defect) -> bool:
    return any(block.defect in defects for block in reading.response.malformed)


def _source(case: Case) -> str:
    return str(case.row.get("source", ""))


def _foreign_type(case: Case, reading: Reading) -> bool:
    def named(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return {name for inner in schema for name in named(inner)}
        if not isinstance(schema, dict):
            return set()
        here = {schema["type"]} if isinstance(schema.get("type"), str) else set()
        return here.union(*(named(inner) for inner in schema.values()))

    used = {name for tool in case.tools or () for name in named(tool["function"].get("parameters"))}
    return _malformed(case, reading, Defect.WRONG_TYPE) and bool(used - TYPES.keys() - {"string"})


def _value_unclosed(case: Case, reading: Reading) -> bool:
    return case.text.count("<parameter=") > case.text.count("</parameter>")


def _only_unnamed_values_differ(case: Case, reading: Reading) -> bool:
    """The calls are the same but for arguments that no tool of the case describes, which are text here and another value there."""
    described = {
        (tool["function"]["name"], key)
        for tool in case.tools or ()
        for key in ((tool["function"].get("parameters") or {}).get("properties") or {})
    }
    if reading.differs != ("calls",) or len(reading.response.calls) != len(case.calls or ()):
        return False
    return all(
        call.name == name
        and call.arguments.keys() == expected.keys()
        and all(call.arguments[key] == expected[key] or (call.name, key) not in described for key in expected)
        for call, (name, expected) in zip(reading.response.calls, case.calls or (), strict=True)
    )


def _content_has(case: Case, *tokens: str) -> bool:
    return any(token in (case.content or "") for token in tokens)


NOT_APPLICABLE = (
    Rule(
        "another family's tokens",
        "the output is written with control tokens that this wire format does not have",
        lambda case, reading: bool(OTHER_TOKENS.search(case.text)),
    ),
    Rule(
        "another response template",
        "the case tests the options of a response template of its own; vLLM's reader of ours is tested in tests/test_vllm_parser.py",
        _of_another_template,
    ),
    Rule(
        "MiMo's values",
        "MiMo puts a value between its tags as it stands, without lines of its own: another format",
        lambda case, reading: case.row.get("format") == "qwen3_xml(mimo)",
    ),
    Rule(
        "calls are forbidden",
        "the request says tool_choice none, so the engine drops calls that are there: no question of reading",
        lambda case, reading: "tool_choice_none" in _source(case),
    ),
    Rule(
        "calls are forced",
        "the request forces a call and constrains the output to bare JSON: there is no wire token to read",
        lambda case, reading: case.row.get("parser") == "TestParser" and bool(case.calls) and case.form.call_open not in case.text,
    ),
    Rule(
        "ids that are not told",
        "whether the token in the text is the wire id is what the case is about, and it carries no ids",
        lambda case, reading: "TokenIdFiltering" in _source(case) and case.form.call_open in (case.reasoning or ""),
    ),
    Rule(
        "tool parser off",
        "the engine reads with its tool parser off, so the whole call stays in the content",
        lambda case, reading: (
            not case.calls
            and case.form.call_close in case.text
            and _content_has(case, case.form.call_open)
            and bool(reading.response.calls)
        ),
    ),
    Rule(
        "reasoning parser off",
        "the engine reads with its reasoning parser off, so the think tokens stay in the content",
        lambda case, reading: _content_has(case, case.form.think_open, case.form.think_close),
    ),
    Rule(
        "reasoning is left out",
        "the request asks for an answer without the reasoning that is there",
        lambda case, reading: reading.differs == ("reasoning",) and case.reasoning == "" and case.form.think_open in case.text,
    ),
)

ON_PURPOSE = (
    Rule(
        "no wire token, no call",
        "a call without the opening token is a salvage, which is counted apart; a reading takes native calls only",
        lambda case, reading: bool(case.calls) and case.form.call_open not in case.text,
    ),
    Rule(
        "unopened call",
        "a call that is closed but never opened is malformed, and its body stays content",
        lambda case, reading: _malformed(case, reading, Defect.UNOPENED),
    ),
    Rule(
        "call without its end",
        "a block that is cut off is told as malformed with its ids, neither as content nor as half a call",
        lambda case, reading: _malformed(case, reading, Defect.TRUNCATED),
    ),
    Rule(
        "arguments as a string",
        "arguments are an object; a string that holds one is malformed with a defect of its own",
        lambda case, reading: _malformed(case, reading, Defect.ARGUMENTS_AS_STRING),
    ),
    Rule(
        "list of calls",
        "one block is one call; a list between the tokens has the wrong shape",
        lambda case, reading: _malformed(case, reading, Defect.WRONG_SHAPE) and bool(LIST_BODY.search(case.text)),
    ),
    Rule(
        "value on the tag's line",
        "a tagged value stands on lines of its own, as the format's template writes it; another spelling is malformed",
        lambda case, reading: _malformed(case, reading, Defect.NOT_TAGGED) and bool(ON_THE_TAGS_LINE.search(case.text)),
    ),
    Rule(
        "value without its end",
        "a tagged value ends at its closing tag; what stands before it is the value, and none is closed by a guess",
        _value_unclosed,
    ),
    Rule(
        "open function tag",
        "a function's tag is closed on its line; a name with a line break in it is no name",
        lambda case, reading: _malformed(case, reading, Defect.NO_NAME) and bool(OPEN_TAG.search(case.text)),
    ),
    Rule(
        "function without its end",
        "a tagged call ends with its closing tag; without it nobody knows that it is whole",
        lambda case, reading: _malformed(case, reading, Defect.NOT_TAGGED) and "</function>" not in case.text,
    ),
    Rule(
        "closing token inside a tagged value",
        "nothing quotes a tagged value: if it hid a closing id, a value that is never closed would swallow the next call",
        lambda case, reading: (
            case.form.body == "tagged"
            and case.text.count(case.form.call_close) > len(re.findall(rf"</function>\s*{case.form.call_close}", case.text))
        ),
    ),
    Rule(
        "type that JSON Schema lacks",
        "the schema names a type such as float, which says nothing about a value",
        _foreign_type,
    ),
    Rule(
        "Python value",
        "True, False and None are no JSON, also where a template writes them",
        lambda case, reading: _malformed(case, reading, Defect.WRONG_TYPE) and bool(PYTHON_VALUE.search(case.text)),
    ),
    Rule(
        "value of another type",
        "a value that is not of its schema's type is malformed and not passed on as text",
        lambda case, reading: _malformed(case, reading, Defect.WRONG_TYPE),
    ),
    Rule(
        "value that no schema names",
        "a tagged value has the type that the schema names; one that it does not name stays text, whatever it looks like",
        lambda case, reading: case.form.body == "tagged" and _only_unnamed_values_differ(case, reading),
    ),
    Rule(
        "parameter twice",
        "the same parameter twice is malformed, not a list",
        lambda case, reading: _malformed(case, reading, Defect.DUPLICATE_KEY),
    ),
    Rule(
        "reasoning is promoted",
        "the engine shows the reasoning as content where there is no content; a reading says what the model wrote",
        lambda case, reading: "emotron" in case.row.get("parser", "") and not reading.response.content
        and (case.content or "").strip() == reading.response.reasoning,
    ),
)  # fmt: skip

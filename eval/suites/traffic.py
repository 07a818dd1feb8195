"""Captured traffic in OpenAI's chat-completions format, as a proxy logs it: one exchange a line, with or without its response.

A row is one of `{"request": BODY, "response": BODY, …}`, an entry of a HAR file (`jq -c '.log.entries[]'`), or a bare request body
`{"messages": […], "tools": […]}`; a body may also be a string of JSON. Format: https://platform.openai.com/docs/api-reference/chat

What a server once answered is no proof of what is right. Beside the bodies a row says so itself:

* `"expected_calls": [{"name", "arguments"}, …]`: these calls, exactly; `[]` for no call;
* `"expected": true`: the response is right, its calls or its not calling;
* neither: with a call in the response, or `tool_choice` "required" or of a named function, some call is right and its arguments are not
  judged (`Case.any_call`); without tools no call is; otherwise nothing is known, and only the emission counts (`Case.unjudged`).

Rows that cannot be read so are set aside, counted and told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from data.sources.jsonl import Rejected
from data.transcript import FunctionCall, Json, Tool
from data.validate import call_problems
from eval.case import Case, ExpectedCall
from eval.suites.captured import Unreadable, answer, body, calls_of, conversation, parsed
from eval.suites.files import FileSection, lines_of, told
from eval.suites.turns import CHARACTERS_PER_TOKEN, ROOM

EXPECTED = 'a JSONL file of captured exchanges, plain or .gz: {"request": {"messages", "tools"}, "response": {"choices"}} a line'
TOKENS_UNKNOWN = 512  # where neither a response nor an expectation tells how long the right answer is


def load(sections: Sequence[FileSection]) -> list[Case]:
    """The cases of each file, with ids `label/file:line`; `UserError` for a missing file or one without a usable row."""
    return [case for section in sections for case in _file_cases(section)]


def _file_cases(section: FileSection) -> list[Case]:
    cases: list[Case] = []
    rejected: list[Rejected] = []
    lines = lines_of(section, EXPECTED)
    for line in lines:
        try:
            cases.append(case_of(parsed(line.text, "the line"), section.label, f"{section.label}/{line.place}"))
        except Unreadable as error:
            rejected.append(Rejected(line.place, "traffic", str(error)))
    return told(section, cases, rejected, len(lines), EXPECTED)


def case_of(row: Any, label: str, id_: str) -> Case:
    """One captured exchange as a case; `Unreadable` with what is wrong."""
    if not isinstance(row, Mapping):
        raise Unreadable(f"the row is {type(row).__name__}, expected an object")
    request = body(row.get("request", row), "postData", "request")
    said = answer(body(row["response"], "content", "response")) if row.get("response") is not None else None
    asked = conversation(request, id_)
    calls, claims = expectation(row, request.get("tool_choice"), said, asked.tools)
    return Case(
        id=id_,
        suite="traffic",
        slice=f"{label}:{next(iter(claims), 'call' if calls else 'no_call')}",
        messages=asked.chat(),
        tools=asked.tool_dicts() or [],
        expected=tuple(ExpectedCall(call.name, call.arguments, exact=True) for call in calls),
        max_new_tokens=_budget(request, said, calls),
        meta={"captured": said.get("tool_calls") or said.get("content")} if said else {},
        **claims,
    )


def expectation(row: Mapping[str, Any], choice: Any, said: Json | None, tools: list[Tool]) -> tuple[list[FunctionCall], dict[str, bool]]:
    """The calls that are right, and what else `Case` is told; see the module's docstring."""
    if "expected_calls" in row:
        return _offered(calls_of(row["expected_calls"], "expected_calls"), tools), {}
    if row.get("expected") is True:
        if said is None:
            raise Unreadable("expected is true, but there is no response")
        return _offered(calls_of(said.get("tool_calls") or [], "response.tool_calls"), tools), {}
    if not tools:
        return [], {}
    called = bool(said and said.get("tool_calls"))
    return [], {"any_call" if called or choice == "required" or isinstance(choice, Mapping) else "unjudged": True}


def _offered(calls: list[FunctionCall], tools: list[Tool]) -> list[FunctionCall]:
    for index, call in enumerate(calls):
        for problem in call_problems(call, tools):
            raise Unreadable(f"expected call {index} {problem}")
    return calls


def _budget(request: Json, said: Json | None, calls: list[FunctionCall]) -> int:
    """Tokens: room for the expected calls or the captured response, but no more than the request allowed."""
    known = [call.model_dump() for call in calls] if calls else said
    room = ROOM + int(len(json.dumps(known)) / CHARACTERS_PER_TOKEN) if known else TOKENS_UNKNOWN
    allowed = request.get("max_completion_tokens") or request.get("max_tokens")
    return min(room, allowed) if isinstance(allowed, int) and allowed > 0 else room

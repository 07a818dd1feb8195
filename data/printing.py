"""Checks of what a template prints: messages, tools, calls, results, the system turn, the date."""

from __future__ import annotations

import json
import re

from data.finding import Finding, Subject, after, first_token, no, not_applicable, yes
from data.probe import AGAIN, ANSWER, ARGUMENT, CALLING, NAME, PARAMETER, RESULT, RETURNED, SYSTEM, TOKEN, USER, ProbeError, calling
from data.transcript import Json


def renders(subject: Subject) -> Finding:
    text = subject.probe.text([USER, ANSWER], tools=False)
    lost = [message["content"] for message in (USER, ANSWER) if message["content"] not in text]
    return no(f"loses {', '.join(lost)}") if lost else yes()


def shows_tools(subject: Subject) -> Finding:
    text = subject.probe.text([USER], add_generation_prompt=True)
    if NAME not in text:
        return no("the tools are not printed")
    if PARAMETER not in text:
        return no("the tool's name is printed, its parameters are not")
    if re.search(rf'"name"\s*:\s*"{NAME}"', text):
        return yes("JSON")
    if re.search(rf"'name'\s*:\s*'{NAME}'", text):
        return no("Python's repr: single quotes, None, True")
    return yes("a form of its own")


def _called(subject: Subject) -> tuple[str, str]:
    """What a call adds to the conversation, and the whole text."""
    plain = subject.probe.text([USER, ANSWER])
    text = subject.probe.text([USER, CALLING])
    return (text if text.count(NAME) > plain.count(NAME) else ""), text


def call_name(subject: Subject) -> Finding:
    added, _ = _called(subject)
    return yes() if added else no("message.tool_calls is dropped: the turn that should teach a call is empty")


def call_arguments(subject: Subject) -> Finding:
    _, text = _called(subject)
    return yes() if ARGUMENT in text else no("the arguments of a call are dropped")


def argument_forms(subject: Subject) -> Finding:
    """Arguments as an object, as this project keeps them, and as JSON text, as OpenAI's API sends them."""
    arguments: Json = {PARAMETER: ARGUMENT}
    printed: dict[str, str | None] = {}
    for form, value in (("object", arguments), ("text", json.dumps(arguments))):
        try:
            printed[form] = subject.probe.text([USER, calling(value, content="")])
        except ProbeError:
            printed[form] = None
    if printed["object"] is None:
        return not_applicable("a call is refused") if printed["text"] is None else no("only JSON text is accepted")
    if printed["text"] is None:
        return no("only an object is accepted")
    if ARGUMENT not in printed["object"]:
        return not_applicable("arguments are dropped")
    return yes() if printed["object"] == printed["text"] else no("an object and the same as JSON text are printed differently")


def content_none(subject: Subject) -> Finding:
    """OpenAI's API sends `content: null` beside calls. transformers drops the key before it renders; other engines keep it."""
    empty = subject.probe.text([USER, CALLING])
    subject.probe.text([USER, calling({PARAMETER: ARGUMENT})])
    null = subject.probe.text([USER, calling({PARAMETER: ARGUMENT}, content=None)])
    printed = next((word for word in ("None", "null") if null.count(word) > empty.count(word)), None)
    return no(f"prints {printed}") if printed else yes()


def result_shown(subject: Subject) -> Finding:
    text = subject.probe.text([USER, CALLING, RETURNED], add_generation_prompt=True)
    if RESULT not in text:
        return no("tool results are dropped")
    said = [USER, CALLING, {**USER, "content": RESULT}]
    if subject.probe.accepts(said) and subject.probe.text(said, add_generation_prompt=True) == text:
        return no("a result looks like a user's turn")
    return yes(" ".join(TOKEN.findall(text[: text.index(RESULT)])[-2:]))


def closes_system(subject: Subject) -> Finding:
    """The control token that ends a user's turn stands between the system text and the user's, with tools and without."""
    offers = [tools for tools in (False, True) if subject.probe.accepts([USER, ANSWER], tools)] or [True]
    closer = first_token(after(subject.probe.text([USER, ANSWER], tools=offers[0]), USER["content"]))
    if closer is None:
        return not_applicable("turns are not closed by a token")
    for tools in offers:
        text = subject.probe.text([SYSTEM, USER], tools=tools)
        if SYSTEM["content"] not in text:
            return no("the system text is dropped")
        between = text[text.index(SYSTEM["content"]) :].split(USER["content"])[0]
        if closer not in between and TOKEN.search(between) and _opens_like(subject, closer, tools):
            return no(f"the system turn is not closed with {closer} {'with' if tools else 'without'} tools")
    return yes()


def _opens_like(subject: Subject, closer: str, tools: bool) -> bool:
    """Whether every role's turn is closed with the same token: an answer's is, too."""
    return closer in after(subject.probe.text([USER, ANSWER, AGAIN], tools=tools), ANSWER["content"]).split(AGAIN["content"])[0]


def independent_of_date(subject: Subject) -> Finding:
    def dated(turns: list[Json]) -> bool:
        return subject.probe.on("probe_monday", turns) != subject.probe.on("probe_tuesday", turns)

    if subject.probe.accepts([SYSTEM, USER]) and dated([SYSTEM, USER]):
        return no("the prompt holds today's date")
    return no("without a system turn, the prompt holds today's date") if dated([USER]) else yes()

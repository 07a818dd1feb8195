"""What a transcript must satisfy beyond its types. Pure: no file, no tokenizer, no torch."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
from jsonschema.exceptions import SchemaError

from data.transcript import AssistantMessage, FunctionCall, SystemMessage, Tool, ToolMessage, Transcript, UserMessage
from data.wire import HERMES, WireFormat


class InvalidTranscript(ValueError):
    """A transcript that breaks a rule. The message says what was found and what was expected."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


def call_problems(call: FunctionCall, tools: list[Tool]) -> list[str]:
    """Why `call` does not fit `tools`: unknown name, or arguments that the schema refuses. Empty when it fits."""
    schemas = {tool.function.name: tool.function.parameters for tool in tools}
    if call.name not in schemas:
        return [f"names {call.name}; tools are {', '.join(schemas) or 'none'}"]
    errors = jsonschema.Draft202012Validator(schemas[call.name]).iter_errors(call.arguments)
    return [f"{call.name}: {error.json_path} {error.message}" for error in errors]


@functools.lru_cache(maxsize=4096)  # the same tools come with many transcripts, and a check takes milliseconds
def schema_problem(schema: str) -> str:
    """What is wrong with the JSON Schema that is the JSON text `schema`; empty where nothing is."""
    try:
        jsonschema.Draft202012Validator.check_schema(json.loads(schema))
    except SchemaError as error:
        return error.message
    return ""


def problems(transcript: Transcript) -> Iterator[tuple[str, str]]:
    """`(rule, message)` for every rule that `transcript` breaks."""
    names = [tool.function.name for tool in transcript.tools]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield "duplicate_tool", f"tool {name} is offered twice"
    for tool in transcript.tools:
        if wrong := schema_problem(json.dumps(tool.function.parameters)):
            yield "tool_schema", f"tool {tool.function.name}: not a JSON Schema: {wrong}"
            return
    for index, call in enumerate(transcript.calls()):
        yield from (("call", f"call {index} {problem}") for problem in call_problems(call, transcript.tools))
    yield from _order_problems(transcript)


def _order_problems(transcript: Transcript) -> Iterator[tuple[str, str]]:
    """A system turn only first, tool results only after calls, and something to learn from."""
    awaiting: int | None = None
    for index, message in enumerate(transcript.messages):
        if isinstance(message, SystemMessage) and index > 0:
            yield "order", f"message {index} is a system message; it must be the first"
        if isinstance(message, ToolMessage):
            if not awaiting:
                yield "order", f"message {index} is a tool result without an open call before it"
            awaiting = (awaiting or 1) - 1
        elif awaiting and isinstance(message, UserMessage | AssistantMessage):
            yield "order", f"message {index} ({message.role}) comes before {awaiting} tool result(s)"
            awaiting = 0
        if isinstance(message, AssistantMessage):
            awaiting = len(message.tool_calls)
            if not message.content and not message.tool_calls:
                yield "empty_turn", f"message {index} is an assistant message with neither content nor calls"
    if not any(isinstance(message, AssistantMessage) for message in transcript.messages):
        yield "no_assistant", "no assistant message: nothing to learn"


def validate(transcript: Transcript) -> Transcript:
    """Return `transcript`, or raise `InvalidTranscript` with the first broken rule."""
    for rule, message in problems(transcript):
        raise InvalidTranscript(rule, message)
    return transcript


def wire_literals(transcript: Transcript, wire: WireFormat = HERMES) -> list[tuple[str, str]]:
    """`(place, token)` for each text of the messages and tools that spells a wire token out; keys of arguments and schemas count too.

    No rule is broken: `data.render` trains it as text. But a server makes real ids of it, so such a row trains other ids than are served.
    """
    held = {"messages": [message.model_dump() for message in transcript.messages], "tools": transcript.tool_dicts() or []}
    return [(place, token) for place, text in _texts(held, "") for token in wire.texts if token in text]


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every text in nested JSON with its path, such as `messages[0].content`."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield f"{place} key", key
            yield from _texts(inner, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{index}]")

"""What a transcript must satisfy beyond its types. Pure: no file, no tokenizer, no torch."""

from __future__ import annotations

from collections.abc import Iterator

import jsonschema
from jsonschema.exceptions import SchemaError

from data.transcript import AssistantMessage, FunctionCall, SystemMessage, Tool, ToolMessage, Transcript, UserMessage


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


def problems(transcript: Transcript) -> Iterator[tuple[str, str]]:
    """`(rule, message)` for every rule that `transcript` breaks."""
    names = [tool.function.name for tool in transcript.tools]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield "duplicate_tool", f"tool {name} is offered twice"
    for tool in transcript.tools:
        try:
            jsonschema.Draft202012Validator.check_schema(tool.function.parameters)
        except SchemaError as error:
            yield "tool_schema", f"tool {tool.function.name}: not a JSON Schema: {error.message}"
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

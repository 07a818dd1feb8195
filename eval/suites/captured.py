"""Bodies of OpenAI's chat-completions requests and responses, as captured, in our form: text content, arguments as objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
from jsonschema.exceptions import SchemaError
from pydantic import ValidationError

from data.transcript import Function, FunctionCall, Json, Transcript

ROLES = {"developer": "system"}


class Unreadable(ValueError):
    """A row that is no captured exchange; the message says what was found."""


def body(value: Any, nested: str, what: str) -> Json:
    """A request or response body: itself, a string of JSON, or the text that a HAR entry holds in `nested`."""
    if isinstance(value, Mapping) and isinstance(value.get(nested), Mapping):
        value = value[nested].get("text")
    if isinstance(value, str):
        value = parsed(value, what)
    if not isinstance(value, Mapping):
        raise Unreadable(f"{what} is {type(value).__name__}, expected an object")
    return dict(value)


def parsed(text: str, what: str) -> Any:
    """JSON, or `Unreadable`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Unreadable(f"{what} is not JSON: {error}") from error


def conversation(request: Json, id_: str) -> Transcript:
    """The request's messages and tools; with `tool_choice` "none" it offers none. `Unreadable` where nothing is asked."""
    messages = _objects(request.get("messages"), "messages")
    if not messages or messages[-1].get("role") not in ("user", "tool"):
        raise Unreadable("the last message is neither a user's nor a tool's, so nothing is asked")
    tools = [] if request.get("tool_choice") == "none" else _objects(request.get("tools") or [], "tools")
    row = {"id": id_, "messages": [_message(message) for message in messages], "tools": [_tool(tool) for tool in tools]}
    try:
        return Transcript.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        raise Unreadable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def answer(response: Json) -> Json:
    """The message of a response's first choice."""
    choices = _objects(response.get("choices"), "choices")
    if not choices or not isinstance(choices[0].get("message"), Mapping):
        raise Unreadable("response has no choices[0].message")
    return dict(choices[0]["message"])


def calls_of(given: Any, what: str) -> list[FunctionCall]:
    """Calls in OpenAI's form, or `{"name", "arguments"}`; arguments may be a string of JSON."""
    functions = [call.get("function", call) for call in _objects(given, what)]
    calls = []
    for function in functions:
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise Unreadable(f"{what}: a call without a name")
        calls.append(FunctionCall(name=function["name"], arguments=_arguments(function.get("arguments", {}), function["name"])))
    return calls


def _arguments(given: Any, name: str) -> Json:
    arguments = parsed(given or "{}", f"arguments of {name}") if isinstance(given, str) else given
    if not isinstance(arguments, dict):
        raise Unreadable(f"arguments of {name} are {type(arguments).__name__}, expected an object")
    return arguments


def _objects(given: Any, what: str) -> list[Json]:
    if not isinstance(given, list) or not all(isinstance(item, Mapping) for item in given):
        raise Unreadable(f"{what}: expected a list of objects")
    return given


def _tool(tool: Json) -> Json:
    function = tool.get("function")
    if not isinstance(function, Mapping):
        raise Unreadable("tools: expected {type, function}")
    kept = {key: function[key] for key in Function.model_fields if function.get(key) is not None}
    try:
        jsonschema.Draft202012Validator.check_schema(kept.get("parameters", {}))
    except SchemaError as error:
        raise Unreadable(f"tool {kept.get('name')}: not a JSON Schema: {error.message}") from error
    return {"function": kept}


def _message(message: Json) -> Json:
    """One message; parts of text are joined, any other part is `Unreadable`."""
    role = str(message.get("role"))
    kept: Json = {"role": ROLES.get(role, role), "content": _text(message.get("content"))}
    if role == "tool":
        kept |= {key: message[key] for key in ("tool_call_id", "name") if message.get(key)}
    if role == "assistant":
        calls = calls_of(message.get("tool_calls") or [], "tool_calls")
        ids = [call.get("id") for call in message.get("tool_calls") or []]
        kept["tool_calls"] = [{"id": id_, "function": call.model_dump()} for id_, call in zip(ids, calls, strict=True)]
        kept["reasoning_content"] = message.get("reasoning_content")
    return kept


def _text(content: Any) -> str:
    if isinstance(content, list):
        other = next((part for part in content if not isinstance(part, Mapping) or part.get("type") != "text"), None)
        if other is not None:
            raise Unreadable("content holds a part that is no text")
        return "".join(str(part.get("text", "")) for part in content)
    if content is not None and not isinstance(content, str):
        raise Unreadable(f"content is {type(content).__name__}, expected text or parts")
    return content or ""

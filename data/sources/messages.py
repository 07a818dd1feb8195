"""Messages of a transcript as dicts."""

from __future__ import annotations

import json
from typing import Any

from data.transcript import Json


def user(content: str) -> Json:
    return {"role": "user", "content": content}


def assistant(content: str = "", calls: list[tuple[str, Json, str]] | None = None) -> Json:
    """An assistant message; each call is `(name, arguments, id)`."""
    message: Json = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}} for name, arguments, id_ in calls
        ]
    return message


def result(name: str, content: Any, id_: str) -> Json:
    return {"role": "tool", "tool_call_id": id_, "name": name, "content": json.dumps(content, ensure_ascii=False)}

"""Builds the `response_template` of a wire format: how a server reads the model's output.

The format is transformers' (`tokenizer_config.json` key `response_template`, since 5.13), read by `tokenizer.parse_response`
and by vLLM's `hf` tool and reasoning parsers. A call without `name` or `arguments` is rejected by naming both fields.

`content` keeps only its last segment, and vLLM refuses the `join` that would keep them all. So the white space before a call and
around the end of turn belongs to the delimiters: the line break between two calls must not replace the text before them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from data.wire import WireFormat


def response_template(wire: WireFormat, thinking: bool) -> dict[str, Any]:
    """The template for `wire`; `thinking` adds the field for a reasoning block."""
    fields: dict[str, Any] = {}
    if thinking:
        fields["thinking"] = {"open": wire.think_open, "close": wire.think_close, "content": "text"}
    fields["tool_calls"] = {**CALL_FIELDS[wire.body](wire), "close": wire.call_close, "repeats": True}
    fields["content"] = {"close_pattern": rf"\s*{re.escape(wire.turn_close)}\s*", "content": "text"}
    return {
        "defaults": {"role": "assistant"},
        "start_anchor": f"{wire.turn_open}assistant\n",
        "fields": fields,
    }


def _json_call(wire: WireFormat) -> dict[str, Any]:
    return {
        "open_pattern": r"\s*" + re.escape(wire.call_open),
        "content": "json",
        "transform": {"type": "function", "function": {"name": "{content.name}", "arguments": "{content.arguments}"}},
    }


def _tagged_call(wire: WireFormat) -> dict[str, Any]:
    """Values stay text: whoever parses with `tools` gets them in the types of the schema, and nobody gets 3 for a text of one digit."""
    return {
        "open_pattern": rf"\s*{re.escape(wire.call_open)}\s*<function=(?P<name>[^>\n]+)>",
        "content": "xml-inline",
        "content_args": {"tag_pattern": r"<parameter=(?P<key>[^>\n]+)>\n(?P<value>.*?)\n</parameter>"},
        "transform": {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}},
    }


CALL_FIELDS: dict[str, Callable[[WireFormat], dict[str, Any]]] = {"json": _json_call, "tagged": _tagged_call}

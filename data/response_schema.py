"""Builds the `response_template` of a wire format: how a server reads the model's output.

The format is transformers' (`tokenizer_config.json` key `response_template`, since 5.13), read by `tokenizer.parse_response`
and by vLLM's `hf` tool and reasoning parsers. A call without `name` or `arguments` is rejected by naming both fields.

`content` keeps only its last segment, and vLLM refuses the `join` that would keep them all. So the white space before a call and
around the end of turn belongs to the delimiters: the line break between two calls must not replace the text before them.
"""

from __future__ import annotations

import re
from typing import Any

from data.wire import WireFormat


def response_template(wire: WireFormat, thinking: bool) -> dict[str, Any]:
    """The template for `wire`; `thinking` adds the field for a reasoning block."""
    fields: dict[str, Any] = {}
    if thinking:
        fields["thinking"] = {"open": wire.think_open, "close": wire.think_close, "content": "text"}
    fields["tool_calls"] = {
        "open_pattern": r"\s*" + re.escape(wire.call_open),
        "close": wire.call_close,
        "content": "json",
        "repeats": True,
        "transform": {"type": "function", "function": {"name": "{content.name}", "arguments": "{content.arguments}"}},
    }
    fields["content"] = {"close_pattern": rf"\s*{re.escape(wire.turn_close)}\s*", "content": "text"}
    return {
        "defaults": {"role": "assistant"},
        "start_anchor": f"{wire.turn_open}assistant\n",
        "fields": fields,
    }

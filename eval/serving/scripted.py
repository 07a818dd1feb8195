"""Completions that no model need emit: each is spelled, encoded, and read by the strict reader and by vLLM's parser classes."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from itertools import islice
from typing import Any

from data.render import prompt_ids
from data.response import Response, opens_reasoning, read_response
from data.sources.messages import user
from data.sources.payloads import nested_config
from data.transcript import Json
from data.wire import WireIds
from eval.serving.conversations import NAME, parameters, tool
from eval.serving.situations import DEPTH, LINES, real_code

TOOLS = [
    tool("write_file", "Write a file.", parameters(path="string", content="string")),
    tool("save_config", "Save settings.", parameters(name="string", config="object")),
    tool(NAME, "Oddly named.", parameters(city="string")),
]
REQUEST = "Please."


@dataclass(frozen=True)
class Scripted:
    """One completion after one prompt, as ids, and the strict reading of it."""

    situation: str
    mode: str
    prompt: list[int]
    output: list[int]
    thinking: bool
    strict: Response

    def to_json(self) -> Json:
        return {"prompt": self.prompt, "output": self.output, "tools": TOOLS, "thinking": self.thinking}


def outputs(wire: WireIds) -> dict[str, str]:
    """Situation → what the model says, without reasoning and without the end of its turn."""
    code = next(islice(real_code(LINES), 1))[1]
    one, two = (call(wire, "write_file", path=path, content="x = 1\n") for path in ("a.py", "b.py"))
    broken = one.replace("}}", "}")
    return {
        "text": "Nothing to do here.\n\n```python\nprint('<b>')\n```",
        "one call": one,
        "text, then a call": f"I write it.\n{one}",
        "two calls": f"{one}\n{two}",
        "text, then two calls": f"Both.\n{one}\n{two}",
        f"call with {LINES} lines of code": call(wire, "write_file", path="a.py", content=code),
        f"call nested {DEPTH} deep": call(wire, "save_config", name="a", config=nested_config(random.Random(1), DEPTH)),
        "tool named with quotes and emoji": call(wire, NAME, city="Zürich 🏔️"),
        "closing token inside an argument": call(wire, "write_file", path="a.md", content=f"ends with {wire.form.call_close} here"),
        "malformed call": broken,
        "malformed call, then a good one": f"{broken}\n{two}",
    }


def call(wire: WireIds, name: str, /, **arguments: Any) -> str:
    """A call in the canonical spelling."""
    body = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"{wire.form.call_open}\n{body}\n{wire.form.call_close}"


def scripted(tokenizer: Any, wire: WireIds) -> list[Scripted]:
    """Every situation after every kind of prompt that makes sense for the tokenizer.

    Beside our template's two modes stands the recipe of a field note: its template opens the think block in the prompt, and leaves the
    prompt of the mode without reasoning plain.
    """
    plain = {mode: prompt_ids([user(REQUEST)], TOOLS, tokenizer, enable_thinking=mode) for mode in (False, True)}
    said = outputs(wire)
    if wire.think_open is None:
        return [_case(what, "no-think", plain[False], text, False, tokenizer, wire) for what, text in said.items()]
    thought = f"\nHm, 漢字.\nSo.\n{wire.form.think_close}\n"
    header = tokenizer.encode(f"{wire.form.turn_open}assistant\n", add_special_tokens=False)
    bare = plain[True][: _last(plain[True], wire.turn_open)] + header
    opened = bare + tokenizer.encode(f"{wire.form.think_open}\n", add_special_tokens=False)
    modes = (
        ("no-think", plain[False], "", False),
        ("think, reasoned", plain[True], wire.form.think_open + thought, True),
        ("think, not reasoned", plain[True], "", True),
        ("note's think", opened, thought.lstrip("\n"), True),
        ("note's no-think", bare, "", False),
    )
    return [_case(what, mode, prompt, lead + text, thinks, tokenizer, wire)
            for what, text in said.items() for mode, prompt, lead, thinks in modes]  # fmt: skip


def _last(ids: list[int], token: int) -> int:
    return len(ids) - 1 - ids[::-1].index(token)


def _case(situation: str, mode: str, prompt: list[int], text: str, thinking: bool, tokenizer: Any, wire: WireIds) -> Scripted:
    ids = tokenizer.encode(text + wire.form.turn_close, add_special_tokens=False)
    return Scripted(situation, mode, prompt, ids, thinking, read_response(ids, tokenizer, wire, opens_reasoning(prompt, wire)))

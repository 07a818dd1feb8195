"""Conversations whose prompt a server must render as we do: the synthetic source's, and those that go wrong elsewhere. No torch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from data.sources.dialogue import generate
from data.sources.messages import assistant, result, user
from data.transcript import Json, Transcript
from data.validate import wire_literals
from data.wire import WireFormat

MIX = {"dialogue": 4, "call": 3, "parallel": 2, "write_file": 2, "save_config": 2, "file_dialogue": 1, "small_talk": 1, "missing": 1}
NAME = 'tool "quoted" 🛠️'


class Conversation(NamedTuple):
    """Messages that end where the assistant is to answer, and the tools on offer."""

    id: str
    messages: list[Json]
    tools: list[Json]
    thinking: bool


def conversations(count: int, wire: WireFormat, seed: int = 5) -> list[Conversation]:
    """`count` of them: the difficult ones first, then synthetic ones cut before one of their answers. None spells a wire token."""
    found = [Conversation(f"{id_} {'think' if mode else 'no-think'}", *parts, mode) for id_, parts in DIFFICULT for mode in (True, False)]
    rng = random.Random(seed)
    for transcript in generate("validation", seed, 2 * count, MIX):
        if len(found) >= count:
            break
        if not wire_literals(transcript):
            found.append(_cut(transcript, rng, rng.random() < 0.5))
    return found[:count]


def _cut(transcript: Transcript, rng: random.Random, thinking: bool) -> Conversation:
    messages = transcript.chat()
    end = rng.choice([index for index, message in enumerate(messages) if message["role"] == "assistant"])
    kept = [_with_null(message) for message in messages[:end]] if rng.random() < 0.5 else messages[:end]
    return Conversation(transcript.id, kept, transcript.tool_dicts() or [], thinking)


def _with_null(message: Json) -> Json:
    """OpenAI's own clients send `content: null` beside calls."""
    return {**message, "content": None} if message.get("tool_calls") else message


def literals(wire: WireFormat) -> Iterator[Conversation]:
    """For each wire token, a user who types it: a server makes the real token of it."""
    for text in wire.texts:
        yield Conversation(f"literal {text}", [user(f"What does {text} mean?")], [], False)


def tool(name: str = "get_weather", description: str | None = "Weather of a city.", parameters: Json | None = None) -> Json:
    """A tool in OpenAI's form."""
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def parameters(**properties: str) -> Json:
    """A JSON Schema of an object with `properties`, name → type, all required."""
    return {"type": "object", "properties": {name: {"type": kind} for name, kind in properties.items()}, "required": list(properties)}


CITY = parameters(city="string")
TEXT = parameters(text="string")
WEATHER = tool(parameters=CITY)
DEEP = {"a": {"b": [1, 2.5, None, True, {"ключ": '\\n"\t'}]}, "empty": {}, "big": 10**15}


def _called(name: str, arguments: Json, returned: object = "18 °C") -> list[Json]:
    return [user("Please."), assistant(calls=[(name, arguments, "call_0")]), result(name, returned, "call_0")]


DIFFICULT: list[tuple[str, tuple[list[Json], list[Json]]]] = [
    ("plain", ([user("Hello")], [])),
    ("one tool", ([user("Weather in Rome?")], [WEATHER])),
    ("system text", ([{"role": "system", "content": "Answer briefly."}, user("Hello")], [])),
    ("system text and tool", ([{"role": "system", "content": "Answer briefly."}, user("Rome?")], [WEATHER])),
    ("empty system text", ([{"role": "system", "content": ""}, user("Hello")], [WEATHER])),
    ("system text with a mode", ([{"role": "system", "content": "Be kind. /no_think"}, user("Hello")], [WEATHER])),
    ("unicode", ([user("Zürich, 東京, القاهرة 🧑‍🚀 e\u0301 \u00a0 \u200b?")], [tool(description="„Wetter“ – 天気 ☂️", parameters=CITY)])),
    ("white space", ([user("  a\r\n\tb \n\n\n c  ")], [WEATHER])),
    ("markup", ([user("<b>&amp;</b> {{ x }} {% raw %} </tools> ### <|x|>")], [WEATHER])),
    ("null description and parameters", ([user("Go")], [tool("go", None, None)])),
    ("no properties", ([user("Go")], [tool("go", "", {"type": "object", "properties": {}})])),
    ("name with quotes and emoji", (_called(NAME, {"city": "Rome"}), [tool(NAME, parameters=CITY)])),
    ("call and result", (_called("get_weather", {"city": "Rome"}), [WEATHER])),
    ("call without arguments", (_called("go", {}), [tool("go", "Go.", {"type": "object", "properties": {}})])),
    ("deep arguments", (_called("save", DEEP), [tool("save", "Save.", parameters(a="object"))])),
    ("code as argument", (_called("write", {"text": "def f():\n\treturn \"\\d'\" # é\n"}), [tool("write", parameters=TEXT)])),
    ("null content beside a call", ([_with_null(message) for message in _called("get_weather", {"city": "Oslo"})], [WEATHER])),
    ("JSON result", (_called("get_weather", {"city": "Rome"}, {"c": 18.5, "wind": None, "text": "été"}), [WEATHER])),
    ("past reasoning", ([user("Hi"), {**assistant("Hello."), "reasoning_content": "A greeting.\nI greet."}, user("Bye")], [])),
    ("long", ([user("word " * 900)], [WEATHER])),
]  # fmt: skip

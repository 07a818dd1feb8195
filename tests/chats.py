"""Small conversations, and what a template makes of them."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from data.render import Rendered, render
from data.tokenizer import TEMPLATES, family_of
from data.transcript import Transcript

Json = dict[str, Any]
WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a place, today's",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CHAT: list[Json] = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye"},
]


def text_of(tokenizer: PreTrainedTokenizerBase, messages: list[Json], **kwargs: Any) -> str:
    return tokenizer.apply_chat_template(messages, tokenize=False, **kwargs)


def upstream(tokenizer: PreTrainedTokenizerBase) -> str:
    return (TEMPLATES / family_of(tokenizer) / "upstream.jinja").read_text()


def call(name: str, arguments: Json | str) -> Json:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def transcript(messages: list[Json], tools: list[Json] | None = None) -> Transcript:
    return Transcript.model_validate({"id": "t", "tools": tools or [], "messages": messages})


def supervised(tokenizer: PreTrainedTokenizerBase, messages: list[Json], **kwargs: Any) -> list[str]:
    rendered = render(transcript(messages), tokenizer, **kwargs)
    return [tokenizer.decode(rendered.input_ids[start:end]) for start, end in rendered.spans()]


def spans(rendered: Rendered) -> list[list[int]]:
    return [rendered.input_ids[start:end] for start, end in rendered.spans()]

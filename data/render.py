"""Transcript → `input_ids` and `assistant_masks`, and conversation → the prompt.

The mask comes from the template's `{% generation %}` blocks, so that what is supervised is decided in one place.

A wire token that is spelled out in a message, a tool or an argument stays text: its ids are ordinary ones, only the template writes wire
ids. A server does not do that: it encodes the rendered text as a whole, so what a user types there becomes the real token.
"""

from __future__ import annotations

import itertools
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from data.transcript import Json, Transcript
from data.wire import form_of

# Private-use characters: the first that a conversation does not hold marks the cuts in it
MARKS = (*map(chr, range(0xE000, 0xF900)), *map(chr, range(0xF0000, 0xFFFFE)))


class Rendered(NamedTuple):
    """One rendered example: `input_ids` (n,) and `assistant_masks` (n,) of 0 and 1."""

    input_ids: list[int]
    assistant_masks: list[int]

    @property
    def supervised(self) -> int:
        return sum(self.assistant_masks)

    def spans(self) -> list[tuple[int, int]]:
        """Half-open index ranges of the supervised runs: one for each assistant turn."""
        edges = [i for i in range(len(self.input_ids) + 1) if self._bit(i) != self._bit(i - 1)]
        return list(zip(edges[::2], edges[1::2], strict=True))

    def _bit(self, index: int) -> int:
        return self.assistant_masks[index] if 0 <= index < len(self.assistant_masks) else 0


def render(transcript: Transcript, tokenizer: PreTrainedTokenizerBase, **template_kwargs: Any) -> Rendered:
    """Render a whole transcript with its supervision mask, in the thinking mode that it has."""
    options = {"enable_thinking": transcript.reasons(), **template_kwargs}
    ids, mask = _encode(transcript.chat(), transcript.tool_dicts(), tokenizer, options, with_mask=True)
    return Rendered(ids, mask)


def prompt_ids(messages: Sequence[Json], tools: list[Json] | None, tokenizer: PreTrainedTokenizerBase, **template_kwargs: Any) -> list[int]:
    """The generation prompt: the ids before the model's first own token, n ids."""
    return _encode(messages, tools, tokenizer, {"add_generation_prompt": True, **template_kwargs})[0]


def turn_ids(messages: Sequence[Json], tools: list[Json] | None, tokenizer: PreTrainedTokenizerBase, **template_kwargs: Any) -> list[int]:
    """The conversation up to and including the end-of-turn id of its last message, n ids: what the context holds when the model stops."""
    ids, _ = _encode(messages, tools, tokenizer, template_kwargs)
    if tokenizer.eos_token_id not in ids:
        return ids
    return ids[: len(ids) - ids[::-1].index(tokenizer.eos_token_id)]


def _encode(
    messages: Sequence[Json], tools: list[Json] | None, tokenizer: Any, options: dict[str, Any], with_mask: bool = False
) -> tuple[list[int], list[int]]:
    """Ids, and the supervision mask or zeros, of the conversation as the tokenizer's chat template renders it."""
    options = dict(options)
    spelled, mark = _spelled([list(messages), tools, options], form_of(tokenizer).texts)
    template = options.pop("chat_template", None) or tokenizer.get_chat_template(None, tools)
    given = [{key: value for key, value in message.items() if value is not None} for message in _marked(list(messages), spelled, mark)]
    rendered: Any = render_jinja_template(
        [given],
        tools=_marked(tools, spelled, mark),
        chat_template=template,
        return_assistant_tokens_mask=with_mask,
        **{**tokenizer.special_tokens_map, **options},
    )
    (text,), spans = rendered
    ids: list[int] = []
    mask: list[int] = []
    for start, piece in _pieces(text, mark):
        encoded = tokenizer(piece, add_special_tokens=False, return_offsets_mapping=with_mask)
        ids += encoded["input_ids"]
        offsets = encoded["offset_mapping"] if with_mask else ()
        mask += _supervised(offsets, [(at - start, to - start) for at, to in spans[0]]) if with_mask else [0] * len(encoded["input_ids"])
    return ids, mask


def _spelled(given: Any, wire_texts: Sequence[str]) -> tuple[list[str], str]:
    """The wire tokens that `given` spells somewhere, and a mark that it does not hold."""
    text = json.dumps(given, ensure_ascii=False, default=str)
    return [wire for wire in wire_texts if wire in text], next(mark for mark in MARKS if mark not in text)


def _marked(value: Any, spelled: Sequence[str], mark: str) -> Any:
    """`value` with a mark after the first character of each of these wire tokens in its strings, keys included."""
    if not spelled:
        return value
    if isinstance(value, str):
        for text in spelled:
            value = value.replace(text, text[0] + mark + text[1:])
        return value
    if isinstance(value, dict):
        return {_marked(key, spelled, mark): _marked(inner, spelled, mark) for key, inner in value.items()}
    return [_marked(inner, spelled, mark) for inner in value] if isinstance(value, list | tuple) else value


def _pieces(text: str, mark: str) -> Iterator[tuple[int, str]]:
    """The text between the marks, each piece with where it starts; to be encoded one by one, so that no token spans a mark."""
    pieces = text.split(mark)
    starts = itertools.accumulate((len(piece) + len(mark) for piece in pieces), initial=0)
    return ((start, piece) for start, piece in zip(starts, pieces, strict=False) if piece)


def _supervised(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[int]:
    """1 for each token, given by the characters that it covers, in order, that shares a character with a generation block."""
    mask = [0] * len(offsets)
    starts, ends = [start for start, _ in offsets], [max(end, start + 1) for start, end in offsets]
    for begin, end in spans:
        first, last = bisect_right(ends, begin), bisect_left(starts, end)
        mask[first:last] = [1] * (last - first)
    return mask

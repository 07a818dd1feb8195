"""Transcript → `input_ids` and `assistant_masks`, and conversation → the prompt a server would feed.

The mask comes from the template's `{% generation %}` blocks, so that what is supervised is decided in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from data.transcript import Json, Transcript


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
    options = {"return_assistant_tokens_mask": True, "enable_thinking": transcript.reasons(), **template_kwargs}
    encoded = _encode(transcript.chat(), transcript.tool_dicts(), tokenizer, options)
    return Rendered(encoded["input_ids"], encoded["assistant_masks"])


def prompt_ids(messages: Sequence[Json], tools: list[Json] | None, tokenizer: PreTrainedTokenizerBase, **template_kwargs: Any) -> list[int]:
    """The generation prompt: the ids before the model's first own token, n ids."""
    return _encode(messages, tools, tokenizer, {"add_generation_prompt": True, **template_kwargs})["input_ids"]


def turn_ids(messages: Sequence[Json], tools: list[Json] | None, tokenizer: PreTrainedTokenizerBase, **template_kwargs: Any) -> list[int]:
    """The conversation up to and including the end-of-turn id of its last message, n ids: what the context holds when the model stops."""
    ids = _encode(messages, tools, tokenizer, template_kwargs)["input_ids"]
    if tokenizer.eos_token_id not in ids:
        return ids
    return ids[: len(ids) - ids[::-1].index(tokenizer.eos_token_id)]


def _encode(
    messages: Sequence[Json], tools: list[Json] | None, tokenizer: PreTrainedTokenizerBase, options: dict[str, Any]
) -> dict[str, list[int]]:
    """Ids, and the mask if asked for, through the tokenizer's own chat template."""
    encoded: Any = tokenizer.apply_chat_template(list(messages), tools=tools, tokenize=True, return_dict=True, **options)  # type: ignore[arg-type]
    return {name: list(values) for name, values in encoded.items()}

"""The ids that a tool result appends to a conversation, and a proof that each prompt is a prefix of what follows it.

A trainer or an agent that goes on from generated ids needs the suffix: re-rendering the whole conversation could spell the model's
own tokens differently. The suffix is right only if the template preserves prefixes, which `verify_suffix` shows on a user's own
transcripts, at every cut, instead of on a dummy.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from data.render import prompt_ids, turn_ids
from data.transcript import Json, Transcript

SHOWN = 8  # ids of context in a message


class SuffixError(ValueError):
    """The conversation up to the call is not a prefix of the conversation with its results."""


class PrefixBreak(NamedTuple):
    """The first message whose rendering changes what stood before it, the index of the first id that differs, and both texts there."""

    transcript: str
    message: int
    at: int
    before: str
    after: str
    tools: bool
    thinking: bool

    def __str__(self) -> str:
        mode = f"{'with' if self.tools else 'without'} tools, {'think' if self.thinking else 'no-think'} mode"
        return f"{self.transcript}: message {self.message} ({mode}) turns {self.before!r} into {self.after!r} at id {self.at}"


def tool_suffix_ids(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Json], tools: list[Json] | None, **kwargs: Any) -> list[int]:
    """What follows the end of the calling turn: its closing white space, the results, and the generation prompt.

    Args:
        messages: a conversation that ends with the tool messages of its last assistant turn.
        tools: the tools offered, in OpenAI form.
        kwargs: arguments of the chat template, such as `enable_thinking`.

    Raises:
        SuffixError: the template changes the calling turn, or what stands before it, when results follow.
        ValueError: the conversation does not end with a tool message after an assistant turn.
    """
    called = len(messages) - len(list(itertools.takewhile(lambda message: message["role"] == "tool", reversed(messages))))
    if called == len(messages) or not called or messages[called - 1]["role"] != "assistant":
        raise ValueError("the conversation must end with tool messages after an assistant turn")
    head = turn_ids(messages[:called], tools, tokenizer, **kwargs)
    full = prompt_ids(messages, tools, tokenizer, **kwargs)
    at = first_difference(head, full)
    if at is not None:
        raise SuffixError(
            f"message {called}: {tokenizer.decode(head[at : at + 8])!r} becomes {tokenizer.decode(full[at : at + 8])!r} at id {at}"
        )
    return full[len(head) :]


def first_difference(head: Sequence[int], full: Sequence[int]) -> int | None:
    """Index of the first id at which `full` does not go on from `head`; None where `head` is a prefix of `full`."""
    if list(full[: len(head)]) == list(head):
        return None
    return next((at for at, (left, right) in enumerate(zip(head, full, strict=False)) if left != right), min(len(head), len(full)))


def verify_suffix(transcript: Transcript, tokenizer: PreTrainedTokenizerBase) -> PrefixBreak | None:
    """The first break over all cuts of the transcript, with and without its tools and in both thinking modes; None where there is none."""
    offers = [transcript.tool_dicts(), None] if transcript.tools else [None]
    for tools, thinking in itertools.product(offers, (True, False)):
        before: list[int] = []
        for message, ids in _cuts(transcript.chat(), tools, tokenizer, thinking):
            at = first_difference(before, ids)
            if at is not None:
                was, became = (str(tokenizer.decode(part[at : at + SHOWN])) for part in (before, ids))
                return PrefixBreak(transcript.id, message, at, was, became, tools is not None, thinking)
            before = ids
    return None


def _cuts(
    messages: list[Json], tools: list[Json] | None, tokenizer: PreTrainedTokenizerBase, thinking: bool
) -> Iterator[tuple[int, list[int]]]:
    """For each assistant turn: the prompt before it, then the conversation to its end; each with the index of its last message."""
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            yield index - 1, prompt_ids(messages[:index], tools, tokenizer, enable_thinking=thinking)
            yield index, turn_ids(messages[: index + 1], tools, tokenizer, enable_thinking=thinking)

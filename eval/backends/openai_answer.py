"""Reads a chat completion of OpenAI's API, with vLLM's additions, as a `Completion`. Pure; no torch.

Fields: https://platform.openai.com/docs/api-reference/chat/object; `token_ids` of a choice and `prompt_token_ids` of the answer are
vLLM's (`vllm/entrypoints/openai/chat_completion/protocol.py`).
"""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import Any

from data.transcript import Json
from eval.backends.protocol import Request
from eval.completion import Completion, Finish


class AnswerError(ValueError):
    """An answer that is no chat completion."""


def completion_of(request: Request, body: bytes, parser: str, seconds: float) -> Completion:
    """The answer to `request`; `AnswerError` where `body` is no chat completion, such as half of one or one that is not UTF-8."""
    try:
        answer = json.loads(body.decode("utf-8"))
        choice, usage = answer["choices"][0], answer.get("usage") or {}
        message = choice["message"]
        deployed = _deployed(message, parser)
        ids, why = _ids(choice, usage)
        meta: Json = {} if why is None else {"unmeasurable": why}
        at = first_difference(request.prompt, answer.get("prompt_token_ids"))
        if at is not None:
            meta["prompt_differs"] = at
        finish: Finish = "length" if choice.get("finish_reason") == "length" else "stop"
        return request.completed(
            ids,
            finish,
            seconds,
            prompt_tokens=usage.get("prompt_tokens") or len(request.prompt),
            logprobs=_logprobs(choice, ids),
            deployed=deployed,
            text=message.get("content"),
            meta=meta,
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        shown = body[:200].decode(errors="replace")
        raise AnswerError(f"no chat completion ({type(error).__name__}: {error}) in {len(body)} bytes: {shown}") from error


def first_difference(expected: list[int], found: list[int] | None) -> int | None:
    """Index of the first id at which two prompts differ, one that ends early included; None where they do not, or `found` is None."""
    if found is None:
        return None
    return next((at for at, (ours, theirs) in enumerate(zip_longest(expected, found)) if ours != theirs), None)


def _deployed(message: Json, parser: str) -> Json:
    """What the server's own parser made of the completion, as `Completion.deployed` holds it."""
    calls = [{"name": call["function"]["name"], "arguments": call["function"]["arguments"]} for call in message.get("tool_calls") or []]
    reasoning = message.get("reasoning") or message.get("reasoning_content")
    return {"parser": parser, "content": message.get("content"), "reasoning": reasoning, "tool_calls": calls}


def _ids(choice: Json, usage: Json) -> tuple[list[int] | None, str | None]:
    """The generated ids, or None and why they cannot be trusted."""
    ids, counted = choice.get("token_ids"), usage.get("completion_tokens")
    if ids is None:
        return None, "the server gave no token ids"
    if len(ids) != counted:
        return None, f"the server gave {len(ids)} token ids and counted {counted}"
    return [int(token) for token in ids], None


def _logprobs(choice: Json, ids: list[int] | None) -> list[float] | None:
    given: list[Any] = (choice.get("logprobs") or {}).get("content") or []
    return [float(item["logprob"]) for item in given] if ids and len(given) == len(ids) else None

"""One chat completion as a server gave it, whole or in pieces. Pure; no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from data.transcript import Json


class ServedCall(NamedTuple):
    """A call as the server's parser gave it; `arguments` is the text that it sent."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Reply:
    """`ids` and `prompt_ids` are None where the server gave none; `logprobs` are natural logarithms, one for each id."""

    content: str
    reasoning: str
    calls: list[ServedCall]
    ids: list[int] | None
    prompt_ids: list[int] | None
    completion_tokens: int | None
    finish: str | None
    logprobs: list[float] | None = None

    @property
    def measurable(self) -> bool:
        """Whether the ids are all there: as many as the server says it generated."""
        return self.ids is not None and self.completion_tokens in (None, len(self.ids))


def reply_of(body: Json) -> Reply:
    """The first choice of a completion that was not streamed; `KeyError` or `TypeError` where this is none."""
    choice = body["choices"][0]
    message, logprobs = choice["message"], (choice.get("logprobs") or {}).get("content")
    return Reply(
        content=message.get("content") or "",
        reasoning=message.get("reasoning") or message.get("reasoning_content") or "",
        calls=[ServedCall(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or ()],
        ids=choice.get("token_ids"),
        prompt_ids=body.get("prompt_token_ids"),
        completion_tokens=(body.get("usage") or {}).get("completion_tokens"),
        finish=choice.get("finish_reason"),
        logprobs=[piece["logprob"] for piece in logprobs] if logprobs else None,
    )


@dataclass
class StreamedReply:
    """Puts the events of a stream together: text and arguments are concatenated, calls told apart by their index."""

    content: str = ""
    reasoning: str = ""
    chunks: int = 0
    done: bool = False
    _calls: dict[int, list[str]] = field(default_factory=dict)
    _ids: list[int] = field(default_factory=list)
    _has_ids: bool = False
    _prompt: list[int] | None = None
    _tokens: int | None = None
    _finish: str | None = None

    def feed(self, data: str) -> None:
        """One event's data. Raises `ValueError` where it is not JSON, or tells an error of the server's."""
        if data == "[DONE]":
            self.done = True
            return
        event: Any = json.loads(data)
        if "error" in event:
            raise ValueError(f"the server told an error within the stream: {event['error']}")
        self.chunks += 1
        self._prompt = self._prompt or event.get("prompt_token_ids")
        self._tokens = (event.get("usage") or {}).get("completion_tokens", self._tokens)
        for choice in event.get("choices", ()):
            self._choice(choice)

    def _choice(self, choice: Json) -> None:
        delta = choice.get("delta") or {}
        self.content += delta.get("content") or ""
        self.reasoning += delta.get("reasoning") or delta.get("reasoning_content") or ""
        for call in delta.get("tool_calls") or ():
            held = self._calls.setdefault(call["index"], ["", ""])
            function = call.get("function") or {}
            held[0] += function.get("name") or ""
            held[1] += function.get("arguments") or ""
        if choice.get("token_ids") is not None:
            self._has_ids = True
            self._ids += choice["token_ids"]
        self._finish = choice.get("finish_reason") or self._finish

    def reply(self) -> Reply:
        calls = [ServedCall(*self._calls[index]) for index in sorted(self._calls)]
        ids = self._ids if self._has_ids else None
        return Reply(self.content, self.reasoning, calls, ids, self._prompt, self._tokens, self._finish)

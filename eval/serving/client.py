"""Talks to an OpenAI-compatible server, and tells exactly what went wrong where it does not answer. No torch.

The ids of prompt and completion come with `return_token_ids`, an extension of vLLM's that SGLang and llama.cpp's server leave out:
what they answer is then without ids, and cannot be measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from data.errors import UserError
from data.transcript import Json
from eval.serving.reply import Reply, StreamedReply, reply_of

EXCERPT = 300
ENGINES = (("vLLM", "/version", "version"), ("llama.cpp", "/props", "build_info"), ("SGLang", "/get_server_info", "version"))
WITHOUT_IDS = frozenset({"llama.cpp", "SGLang"})
TIMEOUT = httpx2.Timeout(600.0, connect=10.0)


class Engine(NamedTuple):
    name: str
    version: str


class ServerFault(UserError):
    """The server did not answer as a server of this API does."""


class Unsupported(ServerFault):
    """The server does not know the address."""


class Gone(ServerFault):
    """The connection was refused, or broke."""


class Refused(ServerFault):
    """The server answers that it does not do what was asked for."""


@dataclass(frozen=True)
class Ask:
    """One chat request, in the form in which this project renders it: `arguments` of past calls are objects."""

    messages: list[Json]
    tools: list[Json] = field(default_factory=list)
    thinking: bool = False
    max_tokens: int = 256
    options: Json = field(default_factory=dict)


def as_sent(messages: list[Json]) -> list[Json]:
    """Messages as OpenAI's API takes them: the arguments of a call are JSON text. Reasoning goes under both of its names."""
    return [_message_sent(message) for message in messages]


def _message_sent(message: Json) -> Json:
    sent = dict(message)
    if message.get("tool_calls"):
        sent["tool_calls"] = [_call_sent(call) for call in message["tool_calls"]]
    if message.get("reasoning_content"):
        sent["reasoning"] = message["reasoning_content"]
    return sent


def _call_sent(call: Json) -> Json:
    arguments = json.dumps(call["function"]["arguments"], ensure_ascii=False)
    return {**call, "function": {**call["function"], "arguments": arguments}}


def _same_folder(one: str, other: str) -> bool:
    return Path(one).is_dir() and Path(other).is_dir() and Path(one).samefile(other)


class Client:
    """A server at `base_url` (with or without `/v1`) that serves `model`."""

    def __init__(self, base_url: str, model: str, transport: httpx2.BaseTransport | None = None) -> None:
        self.root = base_url.rstrip("/").removesuffix("/v1")
        self.model = model
        limits = httpx2.Limits(max_connections=64)
        self._http = httpx2.Client(base_url=self.root, timeout=TIMEOUT, limits=limits, transport=transport)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        """The JSON at `path`."""
        with self._told(path):
            return _json(self._http.get(path), path)

    def post(self, path: str, body: Json) -> Any:
        """What the server answers to `body`, which is JSON."""
        with self._told(path):
            return _json(self._http.post(path, json=body), path)

    def card(self) -> Json:
        """The entry of `/v1/models` for the model. Raises `ServerFault` where the server has others.

        A local folder may be named by another path to it, as by `scripts/serve_vllm.sh`; from then on requests use the server's name.
        """
        cards = self.get("/v1/models").get("data") or []
        for card in cards:
            if card.get("id") == self.model or _same_folder(str(card.get("id")), self.model):
                self.model = str(card["id"])
                return card
        names = ", ".join(str(card.get("id")) for card in cards) or "no model"
        raise ServerFault(f"{self.root}/v1/models", f"serves {names}", f"serves {self.model}", "give --model as the server names it")

    @cached_property
    def engine(self) -> Engine:
        """Which server this is, by the pages that it has."""
        for name, path, key in ENGINES:
            try:
                return Engine(name, str(self.get(path).get(key, "unknown")))
            except (Unsupported, ServerFault) as error:
                if isinstance(error, Gone):
                    raise
        return Engine("unknown", "unknown")

    def prompt_ids(self, ask: Ask) -> list[int]:
        """The ids of the generation prompt, as the server renders and encodes it. Raises `Unsupported` where it cannot tell them."""
        body = self._conversation(ask)
        if self.engine.name == "llama.cpp":
            return self.text_ids(self.post("/apply-template", body)["prompt"])
        if self.engine.name == "SGLang":
            raise Unsupported(
                self.root, "SGLang encodes texts only, not conversations", "/tokenize with messages", "use vLLM for this check"
            )
        return self._tokens({**body, "add_generation_prompt": True})

    def text_ids(self, text: str) -> list[int]:
        if self.engine.name == "llama.cpp":
            return self._tokens({"content": text, "add_special": False, "parse_special": True})
        return self._tokens({"model": self.model, "prompt": text, "add_special_tokens": False})

    def _tokens(self, body: Json) -> list[int]:
        with self._told("/tokenize"):
            return [int(token) for token in self.post("/tokenize", body)["tokens"]]

    def chat(self, ask: Ask) -> Reply:
        """One completion, not streamed."""
        path = "/v1/chat/completions"
        with self._told(path):
            return self._with_ids(reply_of(self.post(path, self._completion(ask))))

    def stream(self, ask: Ask) -> Reply:
        """The same, streamed, its pieces put together."""
        path, reply = "/v1/chat/completions", StreamedReply()
        body = {**self._completion(ask), "stream": True, "stream_options": {"include_usage": True}}
        with self._told(path, lambda: f"after {reply.chunks} chunks"), self._http.stream("POST", path, json=body) as response:
            if response.status_code != httpx2.codes.OK:
                response.read()
                _json(response, path)
            for line in response.iter_lines():
                if line.startswith("data:"):
                    reply.feed(line.removeprefix("data:").strip())
        if not reply.done:
            raise ServerFault(
                f"{self.root}{path} (streamed)",
                f"the stream ended without [DONE] after {reply.chunks} chunks; its text so far: {reply.content[-80:]!r}",
                "a stream that ends with [DONE]",
                "see the server's log: it was stopped, or a proxy before it cut the stream",
            )
        return self._with_ids(reply.reply())

    def _with_ids(self, reply: Reply) -> Reply:
        """The reply, if this engine gives ids at all."""
        if reply.ids is None and self.engine.name in WITHOUT_IDS:
            raise Unsupported(self.root, f"{self.engine.name} gives no token ids", "return_token_ids", "use vLLM for this check")
        return reply

    def _conversation(self, ask: Ask) -> Json:
        body: Json = {"model": self.model, "messages": as_sent(ask.messages), "chat_template_kwargs": {"enable_thinking": ask.thinking}}
        return {**body, "tools": ask.tools} if ask.tools else body

    def _completion(self, ask: Ask) -> Json:
        options = {"temperature": 0, "seed": 0, "max_tokens": ask.max_tokens, "return_token_ids": True}
        return {**self._conversation(ask), **options, **ask.options}

    @contextmanager
    def _told(self, path: str, when: Callable[[], str] = lambda: "before it had answered") -> Iterator[None]:
        """Turn what a transport or a decoder raises into a `ServerFault`."""
        place = self.root + path
        try:
            yield
        except httpx2.ConnectError as error:
            raise Gone(place, f"no server answers: {error}", "a running server", "start it, or mend --base-url") from error
        except httpx2.TimeoutException as error:
            raise Gone(place, f"no answer in time {when()}", "an answer", "see the server's log and load") from error
        except httpx2.TransportError as error:
            remedy = "see the server's log: it was stopped, or ran out of memory; start it again"
            raise Gone(place, f"the connection broke {when()}: {error}", "a whole answer", remedy) from error
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            found = f"an answer that cannot be read {when()}: {type(error).__name__}: {str(error)[:EXCERPT]}"
            remedy = "see the server's log; a proxy may have cut it, or this is no server of OpenAI's API"
            raise ServerFault(place, found, "a whole JSON answer of OpenAI's API", remedy) from error


def _json(response: httpx2.Response, path: str) -> Any:
    """The body, or a fault that says which kind of refusal this is."""
    if response.status_code == httpx2.codes.OK:
        return response.json()
    place, text = f"{response.request.url}", response.text[:EXCERPT]
    found = f"HTTP {response.status_code}: {text}"
    if response.status_code == httpx2.codes.BAD_REQUEST and "context length" in text:
        remedy = "start the server with a larger --max-model-len, or ask for fewer tokens"
        raise ServerFault(place, f"out of context: {found}", "prompt and completion fit the server's context", remedy)
    if response.status_code in (httpx2.codes.NOT_FOUND, httpx2.codes.METHOD_NOT_ALLOWED, httpx2.codes.NOT_IMPLEMENTED):
        raise Unsupported(place, found, f"a server that has {path}", "use a server that has it, or read this check as not run")
    if response.status_code == httpx2.codes.BAD_REQUEST:
        raise Refused(place, found, "the request is accepted", "start the server with parsers that support it; see the matrix")
    raise ServerFault(place, found, "HTTP 200", "see the server's log")

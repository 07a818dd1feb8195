"""Asks a server that speaks OpenAI's chat completions, many requests at once.

Ids are asked for with `return_token_ids`, as vLLM spells it. Without them, or where they are not as many as the server counted, a
completion cannot be measured: its ids are None, and what the server said is kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import httpx2

from data.errors import UserError
from data.transcript import Json
from eval.backends.config import OpenAIConfig
from eval.backends.openai_answer import completion_of
from eval.backends.protocol import Decoding, Request
from eval.completion import Completion, Key

PASSING = frozenset({408, 409, 429, 500, 502, 503, 504})  # statuses after which the same request may succeed
LONGEST_WAIT = 60.0  # seconds between two tries


class OpenAIBackend:
    """A server, which renders prompts and reads completions itself. Raises `UserError` where it cannot be reached or has no model."""

    def __init__(self, config: OpenAIConfig) -> None:
        self.config = config
        key = os.environ.get(config.api_key_env)
        self.client = httpx2.Client(
            base_url=config.base_url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(config.timeout, connect=min(10.0, config.timeout)),
            limits=httpx2.Limits(max_connections=config.concurrency),
        )
        self.model = config.model or self._first_model()
        self.description: dict[str, Any] = {"backend": "openai", "model": self.model, "parser": config.parser, "version": self._version()}

    def complete(self, requests: Sequence[Request], decoding: Decoding, done: AbstractSet[Key] = frozenset()) -> Iterator[Completion]:
        todo = [request for request in requests if request.key not in done]
        pool = ThreadPoolExecutor(self.config.concurrency)
        try:
            for future in as_completed([pool.submit(self._complete, request, decoding) for request in todo]):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        self.client.close()

    def _complete(self, request: Request, decoding: Decoding) -> Completion:
        """One request and its tries; whatever goes wrong with it is its completion's error."""
        began = time.monotonic()
        for attempt in range(self.config.retries + 1):
            try:
                status, headers, body = self._post(self._body(request, decoding))
                if status == 200:
                    return completion_of(request, body, self.config.parser, time.monotonic() - began)
                failure = f"the server answered {status}: {body[:300].decode(errors='replace')}"
                if status not in PASSING:
                    break
                self._wait(attempt, headers.get("retry-after", ""))
            except (httpx2.NetworkError, httpx2.ProtocolError, httpx2.ConnectTimeout) as error:
                failure = f"{type(error).__name__}: {error}"
                self._wait(attempt)
            except Exception as error:  # kept apart: no answer in time, or one that is none; asked again, it would say the same
                failure = f"{type(error).__name__}: {error}"
                break
        return request.failed(failure, time.monotonic() - began)

    def _wait(self, attempt: int, told: str = "") -> None:
        """Exponential backoff, or as long as the server said in whole seconds; none after the last try."""
        if attempt < self.config.retries:
            time.sleep(min(float(told) if told.isdigit() else self.config.backoff * 2**attempt, LONGEST_WAIT))

    def _post(self, body: Json) -> tuple[int, httpx2.Headers, bytes]:
        """Status, headers and body, within the time for one answer even if it comes in drops."""
        deadline = time.monotonic() + self.config.timeout
        with self.client.stream("POST", "chat/completions", json=body) as response:
            received = bytearray()
            for chunk in response.iter_bytes():
                received += chunk
                if time.monotonic() > deadline:
                    raise httpx2.ReadTimeout(f"the answer was not complete after {self.config.timeout:g} s")
            return response.status_code, response.headers, bytes(received)

    def _body(self, request: Request, decoding: Decoding) -> Json:
        body: Json = {
            "model": self.model,
            "messages": request.messages,
            "max_tokens": request.max_new_tokens,
            "temperature": decoding.temperature,
            "seed": decoding.seed_of(request.key),
        }
        if request.tools:
            body |= {"tools": request.tools, "tool_choice": self.config.tool_choice}
        if decoding.logprobs:
            body["logprobs"] = True
        if self.config.extensions:
            body |= {"return_token_ids": True, "chat_template_kwargs": {"enable_thinking": request.enable_thinking}}
        return {**body, **self.config.extra_body}

    def _first_model(self) -> str:
        try:
            response = self.client.get("models")
            return str(response.raise_for_status().json()["data"][0]["id"])
        except (httpx2.HTTPError, ValueError, LookupError, TypeError) as error:
            raise UserError(
                self.config.base_url,
                f"no list of models: {type(error).__name__}: {error}",
                "an OpenAI-compatible server at backend.base_url, with its /v1",
                "start the server, or give backend.model where it has no list",
            ) from error

    def _version(self) -> str | None:
        """vLLM's version; None where the server does not tell it."""
        try:
            return str(self.client.get(str(self.client.base_url.join("/version"))).raise_for_status().json()["version"])
        except (httpx2.HTTPError, ValueError, LookupError, TypeError):
            return None

"""The OpenAI backend against a server that behaves, and one that does not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from data.errors import UserError
from eval.backends.config import OpenAIConfig
from eval.backends.openai_server import OpenAIBackend
from eval.backends.protocol import Decoding, Request
from eval.completion import Completion, Key

PROMPT = [5, 6, 7]
CALL = {"id": "c1", "type": "function", "function": {"name": "write_file", "arguments": '{"path": "a"}'}}


def answer(ids: list[int] | None, counted: int | None = None, **message: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": "Hé", **message}, "finish_reason": "stop", "token_ids": ids}
    usage = {"prompt_tokens": 3, "completion_tokens": len(ids or []) if counted is None else counted}
    return {"choices": [choice], "usage": usage, "prompt_token_ids": PROMPT}


def with_logprobs(ids: list[int]) -> dict[str, Any]:
    whole = answer(ids)
    whole["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": -0.5 * at} for at in range(len(ids))]}
    return whole


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


GOOD = encoded(answer([9, 2]))
# What the server does when it is asked for a case of that name: status, body, and of how many bytes it says that the body is
SAYS: dict[str, tuple[int, bytes, int]] = {
    "good": (200, GOOD, 0),
    "call": (200, encoded(answer([9, 2], content=None, reasoning="Hm.", tool_calls=[CALL])), 0),
    "logprobs": (200, encoded(with_logprobs([9, 8, 2])), 0),
    "no ids": (200, encoded(answer(None, 4)), 0),
    "ids lost": (200, encoded(answer([9, 2], 3)), 0),
    "other prompt": (200, encoded({**answer([9, 2]), "prompt_token_ids": [5, 6, 8]}), 0),
    "longer prompt": (200, encoded({**answer([9, 2]), "prompt_token_ids": [*PROMPT, 1]}), 0),
    "50k tokens": (200, encoded(answer([9] * 50_000, content="x" * 200_000)), 0),
    "500": (500, b"broken", 0),
    "400": (400, b'{"error": "no such field"}', 0),
    "half a body": (200, GOOD[:40], len(GOOD)),
    "half, said whole": (200, GOOD[:40], 0),
    "not UTF-8": (200, GOOD.replace(b"H\\u00e9", b"H\xe9\xff"), 0),
    "not an answer": (200, b"[1]", 0),
    "nesting": (200, b"[" * 100_000, 0),
}


class Server(BaseHTTPRequestHandler):
    asked: list[dict[str, Any]]
    tries: dict[str, int]
    meeting: threading.Barrier

    def log_message(self, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._send(200, encoded({"data": [{"id": "tiny"}]}) if self.path == "/v1/models" else b"{}")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        case = body["messages"][0]["content"]
        self.asked.append(body)
        self.tries[case] = self.tries.get(case, 0) + 1
        if case == "hangs":
            time.sleep(6)
        elif case.startswith("together"):
            self.meeting.wait()
            self._send(*SAYS["good"])
        elif case == "drips":
            self._drip()
        elif case == "recovers" and self.tries[case] < 3:
            self._send(429, b"busy")
        else:
            self._send(*SAYS.get(case, SAYS["good"]))

    def _drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(60):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)

    def _send(self, status: int, body: bytes, said: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(said or len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Callable[..., OpenAIBackend]]:
    handler = type("Handler", (Server,), {"asked": [], "tries": {}, "meeting": threading.Barrier(4, timeout=30)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        serving.handle_error = lambda *args: None  # type: ignore[method-assign] # a client that hangs up
        serving.daemon_threads = True
        threading.Thread(target=serving.serve_forever, daemon=True).start()

        def opened(**settings: Any) -> OpenAIBackend:
            url = f"http://127.0.0.1:{serving.server_port}/v1"
            backend = OpenAIBackend(OpenAIConfig(type="openai", base_url=url, **{"retries": 2, "backoff": 0.01, **settings}))
            backend.handler = handler  # type: ignore[attr-defined]
            return backend

        yield opened
        serving.shutdown()


def complete(backend: OpenAIBackend, *cases: str, decoding: Decoding = Decoding(seed=3)) -> dict[str, Completion]:  # noqa: B008
    requests = [Request(Key(case, 0), PROMPT, [{"role": "user", "content": case}], [], 64) for case in cases]
    found = list(backend.complete(requests, decoding))
    assert len(found) == len(cases)
    return {one.case_id: one for one in found}


def test_ids_and_the_servers_own_reading(server: Callable[..., OpenAIBackend]) -> None:
    found = complete(server(parser="hermes"), "good", "call", "logprobs", "50k tokens")
    assert (found["good"].ids, found["good"].finish, found["good"].text, found["good"].meta) == ([9, 2], "stop", "Hé", {})
    calls = [{"name": "write_file", "arguments": '{"path": "a"}'}]
    assert found["call"].deployed == {"parser": "hermes", "content": None, "reasoning": "Hm.", "tool_calls": calls}
    assert found["logprobs"].logprobs == [0.0, -0.5, -1.0]
    assert len(found["50k tokens"].ids or []) == 50_000


def test_without_trustworthy_ids_it_is_unmeasurable(server: Callable[..., OpenAIBackend]) -> None:
    found = complete(server(), "no ids", "ids lost")
    assert [(one.ids, one.finish, one.text) for one in found.values()] == [(None, "stop", "Hé")] * 2
    assert found["no ids"].meta["unmeasurable"] == "the server gave no token ids"
    assert found["ids lost"].meta["unmeasurable"] == "the server gave 2 token ids and counted 3"


def test_another_prompt_is_told_with_its_first_difference(server: Callable[..., OpenAIBackend]) -> None:
    found = complete(server(), "good", "other prompt", "longer prompt")
    assert [found[case].meta.get("prompt_differs") for case in ("good", "other prompt", "longer prompt")] == [None, 2, 3]


@pytest.mark.parametrize(
    ("case", "reason", "tries"),
    [
        ("500", "the server answered 500: broken", 3),
        ("400", "no such field", 1),
        ("half a body", "RemoteProtocolError", 3),
        ("half, said whole", "AnswerError: no chat completion (JSONDecodeError", 1),
        ("not UTF-8", "UnicodeDecodeError", 1),
        ("not an answer", "AnswerError", 1),
        ("nesting", "RecursionError", 1),
        ("hangs", "ReadTimeout", 1),
        ("drips", "ReadTimeout: the answer was not complete after 2 s", 1),
    ],
)
def test_a_bad_answer_is_an_error_and_nothing_else_is_lost(
    server: Callable[..., OpenAIBackend], case: str, reason: str, tries: int
) -> None:
    backend = server(timeout=2 if case in ("hangs", "drips") else 60)
    found = complete(backend, "good", case, "call")
    assert [found[name].finish for name in ("good", case, "call")] == ["stop", "error", "stop"]
    assert reason in (found[case].error or "")
    assert backend.handler.tries[case] == tries  # type: ignore[attr-defined]


def test_a_busy_server_is_asked_again(server: Callable[..., OpenAIBackend]) -> None:
    assert complete(server(), "recovers")["recovers"].ids == [9, 2]


def test_what_is_asked(server: Callable[..., OpenAIBackend]) -> None:
    backend = server(extra_body={"min_p": 0})
    complete(backend, "good", decoding=Decoding(temperature=0.5, logprobs=True))
    complete(server(extensions=False), "call")
    first = backend.handler.asked[0]  # type: ignore[attr-defined]
    asked = {name: first[name] for name in ("model", "max_tokens", "temperature", "logprobs", "return_token_ids", "min_p")}
    assert asked == {"model": "tiny", "max_tokens": 64, "temperature": 0.5, "logprobs": True, "return_token_ids": True, "min_p": 0}
    assert first["chat_template_kwargs"] == {"enable_thinking": False}


def test_requests_run_at_once(server: Callable[..., OpenAIBackend]) -> None:
    """The server answers none of the four before it has all of them."""
    found = complete(server(concurrency=4), *(f"together {at}" for at in range(4)))
    assert [one.finish for one in found.values()] == ["stop"] * 4


def test_no_server_is_one_screen() -> None:
    with pytest.raises(UserError, match="start the server"):
        OpenAIBackend(OpenAIConfig(type="openai", base_url="http://127.0.0.1:9/v1"))

"""A small server of OpenAI's API over a real tokenizer: it renders, encodes and parses, and can be broken in one way at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from data.response import read_response
from data.wire import read_ids

CONTEXT = 2048
FORCED = "forced_ids"  # field of vllm_xargs, as our plugin reads it in vLLM


def rendered(tokenizer: Any, body: dict[str, Any]) -> list[int]:
    """The prompt as a server makes it: one text, encoded as a whole, with the arguments of past calls as objects."""
    messages = [dict(message) for message in body["messages"]]
    for message in messages:
        if message.get("tool_calls"):
            message["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
                for call in message["tool_calls"]
            ]
    text = tokenizer.apply_chat_template(
        messages, tools=body.get("tools"), tokenize=False, add_generation_prompt=True, **body.get("chat_template_kwargs", {})
    )
    return tokenizer.encode(text, add_special_tokens=False)


def answered(tokenizer: Any, body: dict[str, Any]) -> list[int]:
    """A model that calls the first tool on offer for a user's request, and answers a result with text; or says the ids that it is told."""
    if forced := body.get("vllm_xargs", {}).get(FORCED):
        return forced
    wire = read_ids(tokenizer).form
    said = "Done."
    if body.get("tools") and body["messages"][-1]["role"] == "user" and body.get("tool_choice") != "none":
        call = {"name": body["tools"][0]["function"]["name"], "arguments": {"city": "Rome 🏛️"}}
        said = f"{wire.call_open}\n{json.dumps(call, ensure_ascii=False)}\n{wire.call_close}"
    return tokenizer.encode(said + wire.turn_close, add_special_tokens=False)


class Handler(BaseHTTPRequestHandler):
    tokenizer: Any
    fault: str
    count: int
    protocol_version = "HTTP/1.0"

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        pages = {"/version": {"version": "0.0-fake"}, "/v1/models": {"data": [{"id": "m", "root": "elsewhere", "max_model_len": CONTEXT}]}}
        self.say(pages.get(self.path), 200 if self.path in pages else 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            return self.say({"tokens": self.tokens(body)})
        type(self).count += 1
        if self.fault == "out of context":
            return self.say({"error": {"message": f"This model's maximum context length is {CONTEXT} tokens."}}, 400)
        if body.get("tool_choice") == "required" or isinstance(body.get("tool_choice"), dict):
            return self.say({"error": {"message": "cannot guarantee tool choice"}}, 400)
        return self.stream(body) if body.get("stream") else self.whole(body)

    def tokens(self, body: dict[str, Any]) -> list[int]:
        if "prompt" in body:
            return self.tokenizer.encode(body["prompt"], add_special_tokens=False)
        if self.fault == "other template":
            body = {**body, "messages": [{"role": "system", "content": "Another."}, *body["messages"]]}
        return rendered(self.tokenizer, body)

    def reading(self, ids: list[int]) -> dict[str, Any]:
        strict = read_response(ids, self.tokenizer, read_ids(self.tokenizer))
        if self.fault == "wrong parser":
            return {"content": self.tokenizer.decode(ids), "tool_calls": []}
        calls = [
            {"index": i, "id": f"c{i}", "type": "function",
             "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}}
            for i, call in enumerate(strict.calls)
        ]  # fmt: skip
        return {"content": strict.content or None, "reasoning": strict.reasoning, "tool_calls": calls}

    def whole(self, body: dict[str, Any]) -> None:
        ids = answered(self.tokenizer, body)
        choice = {"message": {"role": "assistant", **self.reading(ids)}, "finish_reason": "stop"}
        usage = {"completion_tokens": len(ids)}
        if self.fault == "ids missing":
            return self.say({"choices": [choice], "usage": usage})
        prompt = rendered(self.tokenizer, body)
        return self.say({"choices": [{**choice, "token_ids": ids}], "prompt_token_ids": prompt, "usage": usage})

    def stream(self, body: dict[str, Any]) -> None:
        ids = answered(self.tokenizer, body)
        read = self.reading(ids)
        said = {name: read.get(name) for name in ("content", "reasoning")}
        events = [{"prompt_token_ids": rendered(self.tokenizer, body), "choices": [{"delta": said, "token_ids": ids[:2]}]}]
        for call in read["tool_calls"]:
            text = call["function"]["arguments"]
            for piece in (
                {**call, "function": {**call["function"], "arguments": text[:5]}},
                {"index": call["index"], "function": {"arguments": text[5:]}},
            ):
                events.append({"choices": [{"delta": {"tool_calls": [piece]}}]})
        events.append({"choices": [{"delta": {}, "token_ids": ids[2:], "finish_reason": "stop"}]})
        events.append({"choices": [], "usage": {"completion_tokens": len(ids)}})
        self.send_response(200)
        self.end_headers()
        for event in events[: 1 if self.fault == "killed in mid-stream" else None]:
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        if self.fault != "killed in mid-stream":
            self.wfile.write(b"data: [DONE]\n\n")

    def say(self, body: Any, status: int = 200) -> None:
        data = json.dumps(body).encode()
        half = self.fault == "half a body" and self.path == "/v1/chat/completions"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if self.fault != "half a body":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if half else data)


@contextmanager
def fake_server(tokenizer: Any, fault: str = "") -> Iterator[str]:
    """The address of a running server, sound or with one fault."""
    handler = type("Broken", (Handler,), {"tokenizer": tokenizer, "fault": fault, "count": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()

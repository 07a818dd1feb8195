"""Checks over several requests: a loop of calls and results, and the ways of `tool_choice`."""

from __future__ import annotations

import json
from typing import Any

from data.sources.messages import user
from data.transcript import Json
from eval.serving.bench import Bench
from eval.serving.client import Ask, Refused
from eval.serving.conversations import WEATHER, parameters, tool
from eval.serving.outcome import Failure, Outcome, Status
from eval.serving.reply import Reply

CONVERT = tool("convert_currency", "Convert an amount of money.", parameters(amount="number", source="string", target="string"))
NOTE = tool("save_note", "Save a note.", parameters(title="string", text="string"))
TOOLS = [WEATHER, CONVERT, NOTE]
RESULTS = {"get_weather": {"celsius": 18, "sky": "clear ☀️"}, "convert_currency": {"amount": 92.4}, "save_note": {"saved": True}}
TURNS = (
    "What is the weather in Lisbon?",
    "Convert 100 USD to EUR.",
    "Save a note with the title 'Trip' and the text 'Pack sun cream'.",
)


def loop(bench: Bench, outcome: Outcome) -> None:
    """Three requests over one history: each call is answered with a given result, and the history sent back as the server gave it."""
    for streamed in (False, True):
        messages: list[Json] = []
        calling = sum(_turn(bench, outcome, messages, text, streamed) for text in TURNS)
        way = "streamed" if streamed else "whole"
        outcome.note = f"{outcome.note}{'; ' if outcome.note else ''}calls in {calling} of {len(TURNS)} turns {way}"


def _turn(bench: Bench, outcome: Outcome, messages: list[Json], text: str, streamed: bool) -> bool:
    """One request with its result and answer, appended to `messages`; whether the model called."""
    messages.append(user(text))
    reply = _step(bench, outcome, messages, f"loop, {text!r}", streamed)
    if not reply.calls:
        return False
    messages += [
        {"role": "tool", "tool_call_id": call["id"], "name": call["function"]["name"], "content": _result(call["function"]["name"])}
        for call in messages[-1]["tool_calls"]
    ]
    _step(bench, outcome, messages, f"loop, after the result of {text!r}", streamed)
    return True


def _step(bench: Bench, outcome: Outcome, messages: list[Json], place: str, streamed: bool) -> Reply:
    """Ask for the next message, count its check, and append it."""
    ask = Ask(list(messages), TOOLS, max_tokens=bench.sizes.max_tokens)
    reply = bench.answer(ask, streamed)
    outcome.count(bench.judged(f"{place}, {'streamed' if streamed else 'whole'}", ask, reply))
    messages.append(_message(reply, len(messages)))
    return reply


def _message(reply: Reply, number: int) -> Json:
    calls = [
        {"id": f"call_{number}_{i}", "type": "function", "function": {"name": call.name, "arguments": _object(call.arguments)}}
        for i, call in enumerate(reply.calls)
    ]
    return {"role": "assistant", "content": reply.content or None, **({"tool_calls": calls} if calls else {})}


def _object(arguments: str) -> Any:
    """Arguments that are no JSON were counted as a failure already; the history goes on without them."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {}


def _result(name: str) -> str:
    return json.dumps(RESULTS.get(name, {"error": f"no tool {name}"}), ensure_ascii=False)


NAMED: Json = {"type": "function", "function": {"name": "get_weather"}}


def choices(bench: Bench, outcome: Outcome) -> None:
    """`tool_choice` none, auto, required, named. A server that refuses the last two does not support them with this parser."""
    refused = []
    for name, choice in (("none", "none"), ("auto", "auto"), ("required", "required"), ("named", NAMED)):
        ask = Ask([user(TURNS[0])], TOOLS, max_tokens=bench.sizes.max_tokens, options={"tool_choice": choice})
        try:
            reply = bench.client.chat(ask)
        except Refused as refusal:
            if name in ("none", "auto"):
                raise
            refused.append(f"{name}: {refusal.found}")
            continue
        outcome.count(_choice_failure(bench, name, ask, reply))
    outcome.note = f"unsupported with this parser: {'; '.join(refused)}" if refused else "all four"
    if not outcome.total:
        outcome.stated = Status.UNSUPPORTED


def _choice_failure(bench: Bench, name: str, ask: Ask, reply: Reply) -> Failure | None:
    place, given = f"tool_choice {name}", " ".join(f"{call.name}({call.arguments})" for call in reply.calls) or "no call"
    remedy = "read the server's notes on tool_choice for its parser; serve.json names the one that was measured"
    if name == "none":
        return Failure(place, given, "no call", remedy) if reply.calls else None
    if name == "auto":
        return bench.judged(place, ask, reply)
    names = {"get_weather"} if name == "named" else {offered["function"]["name"] for offered in TOOLS}
    right = reply.calls and all(call.name in names and isinstance(_object(call.arguments), dict) for call in reply.calls)
    return None if right else Failure(place, given, f"a call of {' or '.join(sorted(names))}", remedy)

"""Cases of other projects' parser tests, and what our reader makes of them. No rule is here: see `conformance_rules.py`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from transformers.convert_slow_tokenizer import bytes_to_unicode

from data.response import Response, opens_reasoning, read_response, read_text
from data.wire import HERMES, TAGGED, WireFormat, WireIds, read_ids

FOLDERS = ("parser_cases", "output_shapes", "token_id_fixtures")
RANKS = 100_256  # Llama 3's vocabulary, which is SmolLM3's, and Qwen's begin with the same merges
ABSENT = -1  # id of a wire token that no case holds


@dataclass(frozen=True)
class Case:
    """One output with what its own project reads in it; None where it says nothing.

    `row` is the case as published, for rules to look at.
    """

    file: str
    id: str
    form: WireFormat
    text: str
    tools: list[dict[str, Any]] | None
    calls: list[tuple[str, Any]] | None
    content: str | None
    reasoning: str | None
    row: dict[str, Any]

    @property
    def opened(self) -> bool:
        """Whether the prompt leaves a think block open. Cases without a prompt tell it only by what they expect."""
        opening, closing = self.text.find(self.form.think_open), self.text.find(self.form.think_close)
        closes_first = closing >= 0 and not 0 <= opening < closing
        return closes_first or (bool(self.reasoning) and opening < 0)


class Reading(NamedTuple):
    """Our reading, in which way it was made, and the fields in which it is not what the case expects."""

    response: Response
    way: str
    differs: tuple[str, ...]


def load(folder: Path) -> Iterator[Case]:
    """Every case of the three folders, whichever are there."""
    for name in FOLDERS:
        for path in sorted((folder / name).glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                yield _case(f"{name}/{path.name}", json.loads(line))


def _case(file: str, row: dict[str, Any]) -> Case:
    text = row["model_output"] if "model_output" in row else row["raw_output"]
    kind = row.get("format") or row.get("family") or ""
    tagged = kind.startswith(("qwen3_xml", "qwen3-xml")) or (kind == "response_template" and "<function=" in text)
    case = Case(file, row["id"], TAGGED if tagged else HERMES, text, _tools(row), None, None, None, row)
    if "gold" in row:
        gold = row["gold"]
        return replace(case, calls=[(gold["name"], gold["arguments"])] if gold["type"] == "tool_call" else [])
    if "expected_error" in row:
        return replace(case, calls=[])
    if "expected" in row:
        found = row["expected"]
        calls = [(call["name"], call["arguments"]) for call in found["tool_calls"]]
        return replace(case, calls=calls, content=found["content"] or "", reasoning=found["reasoning_content"] or "")
    calls = row["expected_calls"]
    return replace(
        case,
        calls=None if calls is None else [(call["name"], _parsed(call["arguments"])) for call in calls],
        content=None if row.get("expected_content_rule") == "unchecked" else row.get("expected_content") or "",
        reasoning=(row["expected_reasoning"] or "") if "expected_reasoning" in row else None,
    )


def _tools(row: dict[str, Any]) -> list[dict[str, Any]] | None:
    tools = row.get("tools") or row.get("request_tools")
    return [tool if "function" in tool else {"type": "function", "function": tool} for tool in tools] if tools else None


def _parsed(arguments: Any) -> Any:
    """Arguments as an object; text that is not JSON stays text, which no call of ours ever equals."""
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments


def read(case: Case, tokenizer: Any, table: Table) -> Reading:
    """Read a case from its own ids where the table spells them, else from its text."""
    prompt = case.row.get("generation_prompt")
    wire = read_ids(tokenizer, case.form)
    opened = opens_reasoning(tokenizer.encode(prompt, add_special_tokens=False), wire) if prompt else case.opened
    ids = case.row.get("output_token_ids")
    if ids and table.decode(ids) == case.text:
        response, way = read_response(ids, table, table.wire(case.form), opened, case.tools), "ids"
    else:
        response, way = read_text(case.text, tokenizer, wire, in_reasoning=opened, tools=case.tools), "text"
    return Reading(response, way, tuple(_differences(case, response)))


def _differences(case: Case, response: Response) -> Iterator[str]:
    calls = [(call.name, call.arguments) for call in response.calls]
    if case.calls is not None and json.dumps(calls) != json.dumps(case.calls):
        yield "calls"
    if case.content is not None and response.content != case.content.strip():
        yield "content"
    if case.reasoning is not None and (response.reasoning or "") != case.reasoning.strip():
        yield "reasoning"


class Table:
    """Decodes Qwen3's ids, whose tokenizer is not at hand.

    Its first ids are Llama 3's without the numbers of several digits. The ids of wire tokens are read off the cases. That the table
    is right shows in each case: its ids must spell its text.
    """

    def __init__(self, tokenizer: Any, cases: list[Case]) -> None:
        names = {number: name for name, number in tokenizer.get_vocab().items()}
        bytes_of = {character: byte for byte, character in bytes_to_unicode().items()}
        pieces = [names[number] for number in range(min(RANKS, len(names)))]
        kept = [piece for piece in pieces if not re.fullmatch("[0-9]{2,}", piece) and set(piece) <= bytes_of.keys()]
        self.pieces = {number: bytes(bytes_of[character] for character in piece) for number, piece in enumerate(kept)}
        self.wire_ids: dict[str, int] = {}
        for case in cases:
            self._learn(case)
        self.pieces |= {number: text.encode() for text, number in self.wire_ids.items()}

    def _learn(self, case: Case) -> None:
        """The ids that the table lacks stand where the text has wire tokens, if there are as many of them."""
        unknown = [number for number in case.row.get("output_token_ids") or () if number not in self.pieces]
        spelled = re.findall("|".join(re.escape(text) for text in HERMES.texts), case.text)
        if len(unknown) == len(spelled) and "qwen3-hermes" in case.row.get("family", ""):
            self.wire_ids |= dict(zip(spelled, unknown, strict=True))

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        """The text of ids, in the signature of a tokenizer; an id that the table lacks spells U+FFFD."""
        return b"".join(self.pieces.get(number, b"\xff") for number in ids).decode(errors="replace")

    def wire(self, form: WireFormat) -> WireIds:
        names = ("turn_open", "turn_close", "call_open", "call_close", "result_open", "result_close", "think_open", "think_close")
        return WireIds(form, **{name: self.wire_ids.get(getattr(form, name), ABSENT) for name in names})

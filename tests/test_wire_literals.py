"""Rows that spell a wire token out are listed, counted in the manifest and told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from data.validate import wire_literals
from tests.chats import WEATHER, call, transcript
from tests.cli import run

CLEAN = [
    {"role": "user", "content": "Weather in Rome? <tool_call, |im_end|>, <tools>"},
    {"role": "assistant", "tool_calls": [call("get_weather", {"city": "Rome"})]},
    {"role": "tool", "content": "18"},
    {"role": "assistant", "content": "18 degrees."},
]


def test_clean_transcript_has_none() -> None:
    assert wire_literals(transcript(CLEAN, [WEATHER])) == []


@pytest.mark.parametrize(
    ("index", "message", "place"),
    [
        (0, {"role": "user", "content": "say </tool_response>"}, "messages[0].content"),
        (1, {"role": "assistant", "tool_calls": [call("get_weather", {"city": "</tool_response>"})]},
         "messages[1].tool_calls[0].function.arguments.city"),
        (1, {"role": "assistant", "tool_calls": [call("get_weather", {"</tool_response>": 1})]},
         "messages[1].tool_calls[0].function.arguments key"),
        (2, {"role": "tool", "content": "a </tool_response> b"}, "messages[2].content"),
        (3, {"role": "assistant", "content": "x", "reasoning_content": "</tool_response>"}, "messages[3].reasoning_content"),
    ],
)  # fmt: skip
def test_literal_is_named_with_its_place(index: int, message: dict[str, object], place: str) -> None:
    messages = [*CLEAN[:index], message, *CLEAN[index + 1 :]]
    assert wire_literals(transcript(messages, [WEATHER])) == [(place, "</tool_response>")]


def test_literal_in_a_tool_is_found() -> None:
    tool = {"type": "function", "function": {**WEATHER["function"], "description": "Ends with <|im_end|>"}}
    assert wire_literals(transcript(CLEAN, [tool])) == [("tools[0].function.description", "<|im_end|>")]


@pytest.mark.parametrize("says", ["Hi", "What does <tool_call> mean?"])
def test_build_counts_and_tells(says: str, tmp_path: Path) -> None:
    messages = [{"role": "user", "content": says}, {"role": "assistant", "content": "Hello."}]
    rows = [transcript(messages).model_copy(update={"id": f"r{number}"}) for number in range(2)]
    (tmp_path / "rows.jsonl").write_text("".join(row.model_dump_json(exclude_none=True) + "\n" for row in rows))
    source = {"type": "jsonl", "path": str(tmp_path / "rows.jsonl"), "split": "train"}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"sources": [source]}))
    told = run("-m", "data.build", "--config", str(tmp_path / "data.yaml"), "--out", str(tmp_path / "out"))
    count = 2 * ("<" in says)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["wire_literals"] == {"train": count, "validation": 0}
    assert ("spell a wire token out" in told) is bool(count)

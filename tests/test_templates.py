"""What every template does, SmolLM2's divergences, and what `data/templates/README.md` says."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from data.render import prompt_ids, render
from data.tokenizer import FAMILIES, TEMPLATES
from tests.chats import CHAT, WEATHER, Json, call, spans, supervised, text_of, transcript, upstream
from tests.conftest import named_tokenizer

# One exact example, for a human


def test_all_supervised_text_of_a_tool_conversation(tokenizer: PreTrainedTokenizerBase) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Paris and Rome?"},
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [call("get_weather", {"city": "Paris"}), call("get_weather", {"city": "Rome", "days": [1, 2]})],
        },
        {"role": "tool", "content": '{"temp": 18}'},
        {"role": "tool", "content": '{"temp": 24}'},
        {"role": "assistant", "tool_calls": [call("now", {})]},
        {"role": "tool", "content": "12:00"},
        {"role": "assistant", "content": "Paris 18 °C, Rome 24 °C."},
    ]
    assert supervised(tokenizer, messages) == [
        "Let me look.\n"
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome", "days": [1, 2]}}\n</tool_call><|im_end|>',
        '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call><|im_end|>',
        "Paris 18 °C, Rome 24 °C.<|im_end|>",
    ]


# Divergences that every template has


def test_call_has_the_canonical_spelling(tokenizer: PreTrainedTokenizerBase) -> None:
    turn = {"role": "assistant", "content": "", "tool_calls": [call("f", {"ä": "</b>", "n": None}), call("g", {})]}
    _, header, turn_text = text_of(tokenizer, [CHAT[0], turn], enable_thinking=False).rpartition("<|im_start|>assistant\n")
    assert header
    assert turn_text.removeprefix("<think>\n\n</think>\n").lstrip("\n") == (
        '<tool_call>\n{"name": "f", "arguments": {"ä": "</b>", "n": null}}\n</tool_call>\n'
        '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call><|im_end|>\n'
    )


@pytest.mark.parametrize("arguments", ["", None, "{}", {}])
def test_no_arguments_are_an_empty_object(tokenizer: PreTrainedTokenizerBase, arguments: Any) -> None:
    assert '"arguments": {}}' in text_of(tokenizer, [CHAT[0], {"role": "assistant", "tool_calls": [call("f", arguments)]}])


def test_arguments_may_be_a_json_string(tokenizer: PreTrainedTokenizerBase) -> None:
    arguments = {"city": "Orléans", "days": [1, 2]}
    as_object, as_string = (
        text_of(tokenizer, [CHAT[0], {"role": "assistant", "content": None, "tool_calls": [call("f", form)]}])
        for form in (arguments, json.dumps(arguments, ensure_ascii=False))
    )
    assert as_object == as_string


def test_results_of_one_run_share_a_user_turn(tokenizer: PreTrainedTokenizerBase) -> None:
    asked = {"role": "assistant", "tool_calls": [call("f", {}), call("f", {})]}
    results = [{"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}]
    text = text_of(tokenizer, [CHAT[0], asked, *results, asked, *results[:1]])
    assert (
        "\n<|im_start|>user\n<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
        in text
    )
    assert text.endswith("\n<|im_start|>user\n<tool_response>\n1\n</tool_response><|im_end|>\n")


def test_tools_are_lines_of_json(tokenizer: PreTrainedTokenizerBase) -> None:
    text = text_of(tokenizer, CHAT, tools=[WEATHER, WEATHER])
    lines = re.search(r"<tools>\n(\{.*\})\n</tools>", text, re.DOTALL)
    assert lines
    read = [json.loads(line) for line in lines[1].split("\n")]
    assert [tool.get("function", tool) for tool in read] == [WEATHER["function"]] * 2


def test_content_may_be_none_or_parts(any_family: PreTrainedTokenizerBase) -> None:
    turns = [
        {"role": role, "content": "one two"} for role in ("system", "user", "assistant", "user", "assistant", "tool", "assistant", "user")
    ]
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": " two"}]
    assert text_of(any_family, [turn | {"content": parts} for turn in turns]) == text_of(any_family, turns)
    empty = [turn | {"content": ""} for turn in turns]
    assert text_of(any_family, [turn | {"content": None} for turn in turns]) == text_of(any_family, empty)
    assert text_of(any_family, [{"role": turn["role"]} for turn in turns]) == text_of(any_family, empty)


# SmolLM2


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be brief."}]])
@pytest.mark.parametrize("generate", [True, False])
def test_smollm2_without_tools_is_upstream(smollm2: PreTrainedTokenizerBase, system: list[Json], generate: bool) -> None:
    ours, theirs = (
        text_of(smollm2, system + CHAT, add_generation_prompt=generate, chat_template=template)
        for template in (smollm2.chat_template, upstream(smollm2))
    )
    assert ours == theirs


# What the template of every newer family does


@pytest.mark.parametrize("name", ["toy-qwen2_5", "toy-qwen3", "toy-qwen3_coder", "toy-smollm3", "smollm3"])
@pytest.mark.parametrize("lead", ["\n", "\n\n", " \n", "\t \r\n", "  "])
def test_leading_white_space_of_an_answer_is_cut(name: str, lead: str) -> None:
    tokenizer = named_tokenizer(name)
    for thinking in (True, False):
        conversation = transcript([CHAT[0], {"role": "assistant", "content": f"{lead}Hello."}])
        rendered = render(conversation, tokenizer, enable_thinking=thinking)
        (span,) = spans(rendered)
        assert tokenizer.decode(span).removeprefix("<think>\n\n</think>\n\n") == "Hello.<|im_end|>"
        assert rendered.input_ids[: rendered.spans()[0][0]] == prompt_ids(CHAT[:1], None, tokenizer, enable_thinking=thinking)


@pytest.mark.parametrize("name", ["toy-qwen2_5", "toy-qwen3", "toy-qwen3_coder", "toy-smollm3", "smollm3"])
def test_developer_turn_is_a_system_turn(name: str) -> None:
    tokenizer = named_tokenizer(name)
    as_system, as_developer = ([{"role": role, "content": "Be brief."}] for role in ("system", "developer"))
    for tools in (None, [WEATHER]):
        first = text_of(tokenizer, [*as_system, *CHAT], tools=tools)
        assert first == text_of(tokenizer, [*as_developer, *CHAT], tools=tools)
        assert text_of(tokenizer, [*CHAT, *as_developer], tools=tools).endswith("\n<|im_start|>system\nBe brief.<|im_end|>\n")


# The README


def test_readme_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (TEMPLATES / "README.md").read_text()))
    there = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert named
    assert named <= set(re.findall(r"^def (test_\w+)", there, re.MULTILINE))


@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_upstream_is_what_the_readme_names(family: str) -> None:
    named = re.search(rf"^\| `{family}` .*`([0-9a-f]{{64}})`", (TEMPLATES / "README.md").read_text(), re.MULTILINE)
    assert named
    assert sha256((TEMPLATES / family / "upstream.jinja").read_bytes()).hexdigest() == named[1]

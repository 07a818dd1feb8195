"""Our templates: each divergence from upstream, and the properties that make training, evaluation and serving agree."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from data.render import Rendered, prompt_ids, render
from data.response import read_response
from data.tokenizer import TEMPLATES, family_of
from data.transcript import AssistantMessage, Transcript
from data.wire import HERMES, read_ids

Json = dict[str, Any]
PREFILL = "<think>\n\n</think>\n"
WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a place, today's",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CHAT: list[Json] = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye"},
]


def text_of(tokenizer: PreTrainedTokenizerBase, messages: list[Json], **kwargs: Any) -> str:
    return tokenizer.apply_chat_template(messages, tokenize=False, **kwargs)


def upstream(tokenizer: PreTrainedTokenizerBase) -> str:
    return (TEMPLATES / family_of(tokenizer) / "upstream.jinja").read_text()


def call(name: str, arguments: Json | str) -> Json:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def transcript(messages: list[Json], tools: list[Json] | None = None) -> Transcript:
    return Transcript.model_validate({"id": "t", "tools": tools or [], "messages": messages})


def supervised(tokenizer: PreTrainedTokenizerBase, messages: list[Json], **kwargs: Any) -> list[str]:
    rendered = render(transcript(messages), tokenizer, **kwargs)
    return [tokenizer.decode(rendered.input_ids[start:end]) for start, end in rendered.spans()]


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


# Properties

WIRE_TEXTS = [*HERMES.required, HERMES.think_open, HERMES.think_close]


def is_plain(text: str) -> bool:
    return not any(wire in text for wire in WIRE_TEXTS)


odd_texts = st.sampled_from(
    ["{{ x }}", "<tool_call", "im_end|>", 'say "hi"\\n', "one\n\n  two", "naïve ☕ 東京", "assistant\n", "</tool_call"]
)
texts = (st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | odd_texts).map(str.strip).filter(is_plain)
some_text = texts.filter(bool)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(texts, st.lists(scalars, max_size=1), max_size=2)
calls = st.builds(call, st.sampled_from(["f", "get_weather", "Ünï.x-2"]), st.dictionaries(texts, values, max_size=2))
systems = st.none() | st.builds(lambda text, flag: text + flag, texts, st.sampled_from(["", " /think", " /no_think", " /system_override"]))


@st.composite
def exchanges(draw: st.DrawFn) -> list[Json]:
    """A user turn, then calls with their results, then perhaps a closing answer."""
    found: list[Json] = [{"role": "user", "content": draw(texts)}]
    for made in draw(st.lists(st.lists(calls, min_size=1, max_size=2), max_size=2)):
        found.append({"role": "assistant", "content": draw(st.none() | texts), "tool_calls": made})
        found += [{"role": "tool", "content": draw(texts)} for _ in made]
    found.append({"role": "assistant", "content": draw(some_text), "reasoning_content": draw(st.none() | some_text)})
    return found


@st.composite
def conversations(draw: st.DrawFn) -> Transcript:
    system = draw(systems)
    messages = [] if system is None else [{"role": "system", "content": system}]
    for exchange in draw(st.lists(exchanges(), min_size=1, max_size=2)):
        messages += exchange
    return transcript(messages, draw(st.sampled_from([[], [WEATHER]])))


def assistant_turns(conversation: Transcript) -> list[tuple[int, AssistantMessage]]:
    return [(i, message) for i, message in enumerate(conversation.messages) if isinstance(message, AssistantMessage)]


def prompt(conversation: Transcript, index: int, tokenizer: PreTrainedTokenizerBase, thinking: bool) -> list[int]:
    return prompt_ids(conversation.chat()[:index], conversation.tool_dicts(), tokenizer, enable_thinking=thinking)


def spans(rendered: Rendered) -> list[list[int]]:
    return [rendered.input_ids[start:end] for start, end in rendered.spans()]


over_conversations = given(conversation=conversations(), thinking=st.booleans())
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@over_conversations
def test_unsupervised_prefix_is_the_generation_prompt(tokenizer: PreTrainedTokenizerBase, conversation: Transcript, thinking: bool) -> None:
    rendered = render(conversation, tokenizer, enable_thinking=thinking)
    turns = assistant_turns(conversation)
    assert len(rendered.spans()) == len(turns)
    for (index, _), (start, _) in zip(turns, rendered.spans(), strict=True):
        assert rendered.input_ids[:start] == prompt(conversation, index, tokenizer, thinking)


@few
@over_conversations
def test_supervised_span_reads_back_as_the_message(tokenizer: PreTrainedTokenizerBase, conversation: Transcript, thinking: bool) -> None:
    wire = read_ids(tokenizer)
    rendered = render(conversation, tokenizer, enable_thinking=thinking)
    for (_, message), span in zip(assistant_turns(conversation), spans(rendered), strict=True):
        response = read_response(span, tokenizer, wire)
        assert response.content == (message.content or "")
        assert [(c.name, c.arguments) for c in response.calls] == [(c.function.name, c.function.arguments) for c in message.tool_calls]
        assert response.malformed == ()
        assert response.reasoning in (None, message.reasoning_content)


@few
@over_conversations
def test_each_prompt_is_a_prefix_of_the_next(tokenizer: PreTrainedTokenizerBase, conversation: Transcript, thinking: bool) -> None:
    rendered = render(conversation, tokenizer, enable_thinking=thinking)
    prompts = [prompt(conversation, index, tokenizer, thinking) for index, _ in assistant_turns(conversation)]
    for shorter, longer in pairwise([*prompts, rendered.input_ids]):
        assert longer[: len(shorter)] == shorter


@few
@over_conversations
def test_stop_token_is_supervised(tokenizer: PreTrainedTokenizerBase, conversation: Transcript, thinking: bool) -> None:
    stop = read_ids(tokenizer).turn_close
    for span in spans(render(conversation, tokenizer, enable_thinking=thinking)):
        assert span.count(stop) == 1
        assert span[-1] == stop


@few
@over_conversations
def test_header_is_never_supervised(tokenizer: PreTrainedTokenizerBase, conversation: Transcript, thinking: bool) -> None:
    opening = read_ids(tokenizer).turn_open
    rendered = render(conversation, tokenizer, enable_thinking=thinking)
    for start, end in rendered.spans():
        assert opening not in rendered.input_ids[start:end]
        assert tokenizer.decode(rendered.input_ids[:start]).removesuffix(PREFILL).endswith("<|im_start|>assistant\n")


# Divergences that every template has


def test_call_has_the_canonical_spelling(tokenizer: PreTrainedTokenizerBase) -> None:
    turn = {"role": "assistant", "content": "", "tool_calls": [call("f", {"ä": "</b>", "n": None}), call("g", {})]}
    text = text_of(tokenizer, [CHAT[0], turn])
    assert text.endswith(
        'assistant\n<tool_call>\n{"name": "f", "arguments": {"ä": "</b>", "n": null}}\n</tool_call>\n'
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


def test_content_may_be_none_or_parts(tokenizer: PreTrainedTokenizerBase) -> None:
    turns = [
        {"role": role, "content": "one two"} for role in ("system", "user", "assistant", "user", "assistant", "tool", "assistant", "user")
    ]
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": " two"}]
    assert text_of(tokenizer, [turn | {"content": parts} for turn in turns]) == text_of(tokenizer, turns)
    empty = [turn | {"content": ""} for turn in turns]
    assert text_of(tokenizer, [turn | {"content": None} for turn in turns]) == text_of(tokenizer, empty)
    assert text_of(tokenizer, [{"role": turn["role"]} for turn in turns]) == text_of(tokenizer, empty)


# SmolLM2


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be brief."}]])
@pytest.mark.parametrize("generate", [True, False])
def test_smollm2_without_tools_is_upstream(smollm2: PreTrainedTokenizerBase, system: list[Json], generate: bool) -> None:
    ours, theirs = (
        text_of(smollm2, system + CHAT, add_generation_prompt=generate, chat_template=template)
        for template in (smollm2.chat_template, upstream(smollm2))
    )
    assert ours == theirs


# SmolLM3

SYSTEMS = [
    "",
    "Be brief.",
    "Be brief. /no_think",
    "/no_think\nBe brief.",
    "/think Be /no_think brief.",
    "/think",
    "Only this. /system_override",
]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("tools", [None, [WEATHER]])
def test_smollm3_is_upstream_in_the_rest(smollm3: PreTrainedTokenizerBase, system: str, thinking: bool, tools: list[Json] | None) -> None:
    messages = ([{"role": "system", "content": system}] if system else []) + CHAT
    same: Json = {"tools": tools, "enable_thinking": thinking, "add_generation_prompt": True}
    theirs = text_of(smollm3, messages, chat_template=upstream(smollm3), **same)
    theirs = re.sub(r"Today Date: .*", "Today Date: 01 May 2026", theirs)
    if tools:
        theirs = theirs.replace(str(WEATHER), json.dumps(WEATHER))
    elif "/system_override" not in system:
        theirs = theirs.replace("\n\n<|im_start|>user", "\n\n<|im_end|>\n<|im_start|>user", 1)
    assert text_of(smollm3, messages, today="01 May 2026", **same) == theirs


@pytest.mark.parametrize("tools", [None, [WEATHER]])
@pytest.mark.parametrize("system", SYSTEMS)
def test_system_turn_is_closed(smollm3: PreTrainedTokenizerBase, system: str, tools: list[Json] | None) -> None:
    text = text_of(smollm3, [{"role": "system", "content": system}, CHAT[0]], tools=tools)
    assert text.startswith("<|im_start|>system\n")
    assert text.endswith("<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n")
    assert text.count("<|im_start|>") == text.count("<|im_end|>") == 2


@pytest.mark.parametrize("system", ["Read /think.md", "a/think", "/no_thinking", "/think/no_think", "x/no_think /think/x", "/no_think/"])
def test_reasoning_flag_inside_a_word_is_text(smollm3: PreTrainedTokenizerBase, system: str) -> None:
    for thinking in (True, False):
        text = text_of(smollm3, [{"role": "system", "content": system}, CHAT[0]], enable_thinking=thinking)
        assert f"Reasoning Mode: {'/think' if thinking else '/no_think'}\n" in text
        assert f"## Custom Instructions\n\n{system}\n\n" in text


@pytest.mark.parametrize(
    ("system", "mode", "left"),
    [
        ("Be brief. /no_think", "/no_think", "Be brief."),
        ("Be\t/no_think\nbrief.", "/no_think", "Be\t\nbrief."),
        ("Read a/think /think now", "/think", "Read a/think  now"),
        ("x /think /think /no_think", "/no_think", "x"),
    ],
)
def test_reasoning_flag_as_a_word_sets_the_mode(smollm3: PreTrainedTokenizerBase, system: str, mode: str, left: str) -> None:
    for thinking in (True, False):
        text = text_of(smollm3, [{"role": "system", "content": system}, CHAT[0]], enable_thinking=thinking)
        assert f"Reasoning Mode: {mode}\n\n## Custom Instructions\n\n{left}\n\n<|im_end|>" in text


def test_date_stands_only_where_given(smollm3: PreTrainedTokenizerBase) -> None:
    no_clock: Json = {"strftime_now": None}
    with pytest.raises(TypeError):
        text_of(smollm3, CHAT, chat_template=upstream(smollm3), **no_clock)
    assert "Date: June 2025\nReasoning Mode" in text_of(smollm3, CHAT, **no_clock)
    assert "\nToday Date: 01 May 2026\nReasoning Mode" in text_of(smollm3, CHAT, today="01 May 2026", **no_clock)


def test_prefill_is_outside_the_loss(smollm3: PreTrainedTokenizerBase) -> None:
    assert supervised(smollm3, CHAT[:2], enable_thinking=False) == ["Hello.<|im_end|>"]
    text = text_of(smollm3, CHAT, enable_thinking=False, add_generation_prompt=True)
    assert text.count(f"<|im_start|>assistant\n{PREFILL}") == text.count("<|im_start|>assistant\n") == 2
    assert text.endswith(PREFILL)


def test_reasoning_is_supervised_in_think_mode(smollm3: PreTrainedTokenizerBase) -> None:
    turn = {"role": "assistant", "content": "4", "reasoning_content": "2 and 2\n", "tool_calls": [call("f", {})]}
    answer = '4\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call><|im_end|>'
    assert supervised(smollm3, [CHAT[0], turn]) == ["<think>\n2 and 2\n</think>\n" + answer]
    assert supervised(smollm3, [CHAT[0], turn | {"reasoning_content": " "}]) == [answer]
    assert supervised(smollm3, [CHAT[0], turn], enable_thinking=False) == [answer]


def test_developer_and_later_system_turns_are_kept(smollm3: PreTrainedTokenizerBase) -> None:
    first = [{"role": role, "content": "Be brief. /no_think"} for role in ("system", "developer")]
    assert text_of(smollm3, [first[1], *CHAT]) == text_of(smollm3, [first[0], *CHAT])
    for role in ("system", "developer"):
        text = text_of(smollm3, [*CHAT, {"role": role, "content": "Stop. /no_think"}])
        assert text.endswith("\n<|im_start|>system\nStop. /no_think<|im_end|>\n")
        assert "Reasoning Mode: /think" in text


@pytest.mark.parametrize("lead", ["\n", "\n\n", " \n", "\t \r\n", "  "])
def test_leading_white_space_of_an_answer_is_cut(smollm3: PreTrainedTokenizerBase, lead: str) -> None:
    for thinking in (True, False):
        conversation = transcript([CHAT[0], {"role": "assistant", "content": f"{lead}Hello."}])
        rendered = render(conversation, smollm3, enable_thinking=thinking)
        assert [smollm3.decode(span) for span in spans(rendered)] == ["Hello.<|im_end|>"]
        assert rendered.input_ids[: rendered.spans()[0][0]] == prompt(conversation, 1, smollm3, thinking)


def test_python_tools_are_refused(smollm3: PreTrainedTokenizerBase) -> None:
    with pytest.raises(TemplateError, match="python_tools"):
        text_of(smollm3, CHAT, python_tools=[WEATHER])
    assert text_of(smollm3, CHAT, xml_tools=[WEATHER]) == text_of(smollm3, CHAT, tools=[WEATHER])


# The README


def test_readme_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (TEMPLATES / "README.md").read_text()))
    assert named
    assert named <= set(re.findall(r"^def (test_\w+)", Path(__file__).read_text(), re.MULTILINE))


@pytest.mark.parametrize("family", ["smollm2", "smollm3"])
def test_upstream_is_what_the_readme_names(family: str) -> None:
    named = re.search(rf"^\| `{family}` .*`([0-9a-f]{{64}})`", (TEMPLATES / "README.md").read_text(), re.MULTILINE)
    assert named
    assert sha256((TEMPLATES / family / "upstream.jinja").read_bytes()).hexdigest() == named[1]

"""What makes training, evaluation and serving agree, for random conversations over the template of every family."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from data.render import prompt_ids, render
from data.response import read_response
from data.transcript import AssistantMessage, Transcript
from data.wire import HERMES, TAGGED, form_of, read_ids
from tests.chats import WEATHER, Json, call, spans, transcript

ODD = ["{{ x }}", "<tool_call", "im_end|>", 'say "hi"\\n', "one\n\n  two", "naïve ☕ 東京 👩‍👧", "assistant\n", "</tool_call"]
odd_texts = st.sampled_from([*ODD, "def f():\n\treturn '\\''"])
literals = st.sampled_from([f"{before}{text}{after}" for text in HERMES.texts for before, after in (("", ""), ("a ", "\nb"))])


def is_composed(text: str) -> bool:
    """Whether it comes back the same from a tokenizer that normalises to NFC, as Qwen's do, wherever it stands."""
    return unicodedata.is_normalized("NFC", text) and unicodedata.combining(text[:1] or "x") == 0


texts = (st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | odd_texts | literals).map(str.strip).filter(is_composed)
some_text = texts.filter(bool)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(texts, st.lists(scalars, max_size=1), max_size=2)
calls = st.builds(call, st.sampled_from(["f", "get_weather", "Ünï.x-2"]), st.dictionaries(texts, values, max_size=2))
# Arguments whose text the schema types, for a format that writes text only
TYPED_VALUES = {
    "string": texts,
    "integer": st.integers(),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "object": st.dictionaries(texts, scalars, max_size=2),
    "array": st.lists(scalars, max_size=2),
    "null": st.none(),
}
TYPED: Json = {
    "type": "function",
    "function": {
        "name": "typed",
        "description": "",
        "parameters": {"type": "object", "properties": {f"a_{kind}": {"type": kind} for kind in TYPED_VALUES}},
    },
}
typed_calls = st.builds(
    call, st.just("typed"), st.fixed_dictionaries({}, optional={f"a_{kind}": value for kind, value in TYPED_VALUES.items()})
)
systems = st.none() | st.builds(lambda text, flag: text + flag, texts, st.sampled_from(["", " /think", " /no_think", " /system_override"]))


@st.composite
def exchanges(draw: st.DrawFn, calls: st.SearchStrategy[Json]) -> list[Json]:
    """A user turn, then calls with their results, then perhaps a closing answer."""
    found: list[Json] = [{"role": "user", "content": draw(texts)}]
    for made in draw(st.lists(st.lists(calls, min_size=1, max_size=8), max_size=2)):
        found.append({"role": "assistant", "content": draw(st.none() | texts), "tool_calls": made})
        found += [{"role": "tool", "content": draw(texts)} for _ in made]
    found.append({"role": "assistant", "content": draw(some_text), "reasoning_content": draw(st.none() | some_text)})
    return found


@st.composite
def conversations(draw: st.DrawFn, tagged: bool) -> Transcript:
    """Of a tagged format, with the tool that types its calls; else any calls, with or without a tool."""
    system = draw(systems)
    messages = [] if system is None else [{"role": "system", "content": system}]
    for exchange in draw(st.lists(exchanges(typed_calls if tagged else calls), min_size=1, max_size=2)):
        messages += exchange
    return transcript(messages, [TYPED] if tagged else draw(st.sampled_from([[], [WEATHER]])))


def conversation_of(data: st.DataObject, tokenizer: PreTrainedTokenizerBase) -> Transcript:
    return data.draw(conversations(form_of(tokenizer) is TAGGED))


def assistant_turns(conversation: Transcript) -> list[tuple[int, AssistantMessage]]:
    return [(i, message) for i, message in enumerate(conversation.messages) if isinstance(message, AssistantMessage)]


def prompt(conversation: Transcript, index: int, tokenizer: PreTrainedTokenizerBase, thinking: bool) -> list[int]:
    return prompt_ids(conversation.chat()[:index], conversation.tool_dicts(), tokenizer, enable_thinking=thinking)


over_conversations = given(data=st.data(), thinking=st.booleans())
few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@over_conversations
def test_unsupervised_prefix_is_the_generation_prompt(any_family: PreTrainedTokenizerBase, data: st.DataObject, thinking: bool) -> None:
    tokenizer, conversation = any_family, conversation_of(data, any_family)
    rendered = render(conversation, tokenizer, enable_thinking=thinking)
    turns = assistant_turns(conversation)
    assert len(rendered.spans()) == len(turns)
    for (index, _), (start, _) in zip(turns, rendered.spans(), strict=True):
        assert rendered.input_ids[:start] == prompt(conversation, index, tokenizer, thinking)


@few
@over_conversations
def test_supervised_span_reads_back_as_the_message(any_family: PreTrainedTokenizerBase, data: st.DataObject, thinking: bool) -> None:
    tokenizer, conversation = any_family, conversation_of(data, any_family)
    wire = read_ids(tokenizer)
    tools = conversation.tool_dicts() if wire.form is TAGGED else None
    rendered = render(conversation, tokenizer, enable_thinking=thinking)
    for (_, message), span in zip(assistant_turns(conversation), spans(rendered), strict=True):
        response = read_response(span, tokenizer, wire, tools=tools)
        assert response.content == (message.content or "")
        assert [(c.name, c.arguments) for c in response.calls] == [(c.function.name, c.function.arguments) for c in message.tool_calls]
        assert response.malformed == ()
        assert (response.reasoning or None) in (None, message.reasoning_content)


@few
@over_conversations
def test_each_prompt_is_a_prefix_of_the_next(any_family: PreTrainedTokenizerBase, data: st.DataObject, thinking: bool) -> None:
    tokenizer, conversation = any_family, conversation_of(data, any_family)
    rendered = render(conversation, tokenizer, enable_thinking=thinking)
    prompts = [prompt(conversation, index, tokenizer, thinking) for index, _ in assistant_turns(conversation)]
    for shorter, longer in pairwise([*prompts, rendered.input_ids]):
        assert longer[: len(shorter)] == shorter


@few
@over_conversations
def test_stop_token_is_supervised(any_family: PreTrainedTokenizerBase, data: st.DataObject, thinking: bool) -> None:
    tokenizer, conversation = any_family, conversation_of(data, any_family)
    stop = read_ids(tokenizer).turn_close
    for span in spans(render(conversation, tokenizer, enable_thinking=thinking)):
        assert span.count(stop) == 1
        assert span[-1] == stop


@few
@over_conversations
def test_header_is_never_supervised(any_family: PreTrainedTokenizerBase, data: st.DataObject, thinking: bool) -> None:
    tokenizer, conversation = any_family, conversation_of(data, any_family)
    opening = read_ids(tokenizer).turn_open
    rendered = render(conversation, tokenizer, enable_thinking=thinking)
    for start, end in rendered.spans():
        assert opening not in rendered.input_ids[start:end]
        assert re.search(r"<\|im_start\|>assistant\n(<think>\n\n</think>\n+)?\Z", tokenizer.decode(rendered.input_ids[:start]))

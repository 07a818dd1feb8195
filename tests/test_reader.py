"""The reader's own promises: streaming, strings that hold wire text, siblings, reasons, tagged bodies."""

from __future__ import annotations

import json
import random
from functools import partial
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from data.call_body import read_call, schemas_of, typed
from data.response import Call, Defect, Event, Reader, Response, opens_reasoning, read_response, read_text
from data.wire import TAGGED, read_ids
from tests.timing import best_seconds

CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
PROPERTIES = {
    "path": {"type": "string"},
    "lines": {"type": "integer"},
    "options": {"type": "object"},
    "force": {"type": ["boolean", "null"]},
}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": PROPERTIES, "required": ["path"]}}}]


def encoded(tokenizer: PreTrainedTokenizerBase, *pieces: str) -> list[int]:
    return [token for piece in pieces for token in tokenizer.encode(piece, add_special_tokens=False)]


def read(tokenizer: PreTrainedTokenizerBase, *pieces: str, **options: Any) -> Response:
    return read_response(encoded(tokenizer, *pieces), tokenizer, read_ids(tokenizer), **options)


def events(tokenizer: PreTrainedTokenizerBase, *pieces: str) -> list[Event]:
    reader = Reader(tokenizer, read_ids(tokenizer))
    return [event for token in encoded(tokenizer, *pieces) for event in reader.feed(token)]


@pytest.mark.parametrize("text", ["</tool_call>", "<tool_call>", "<tool_call>\n{}\n</tool_call>", 'a"</tool_call>\\'])
def test_wire_text_inside_a_string_is_data(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    body = json.dumps({"name": "f", "arguments": {"s": text, "t": [text]}})
    response = read(tokenizer, f"<tool_call>\n{body}\n</tool_call>\n{CALL}<|im_end|>")
    assert response.malformed == ()
    assert response.calls == (Call("f", {"s": text, "t": [text]}), Call("f", {"x": 1}))


def test_string_that_never_closes_does_not_swallow_the_next_call(tokenizer: PreTrainedTokenizerBase) -> None:
    for cut in (
        '<tool_call>\n{"name": "f", "arguments": {"s": "abc\n</tool_call>\n',
        '<tool_call>\n{"name": "f", "arguments": {"s": "abc\n',
    ):
        for tail in ("", "\nDone.", "<|im_end|>"):
            response = read(tokenizer, cut, CALL, "\n", CALL, tail)
            assert response.calls == (Call("f", {"x": 1}), Call("f", {"x": 1})), (cut, tail)
            assert len(response.malformed) == 1
            assert response.malformed[0].text == cut.rstrip("\n") + ("" if "</tool_call>" in cut else "\n")


def test_text_around_calls_is_kept_in_order(smollm3: PreTrainedTokenizerBase) -> None:
    response = read(smollm3, f"<think>\nHm.\n</think>\nOne.\n{CALL}\nTwo.\n{CALL}\nThree.<|im_end|>")
    assert [piece.kind for piece in response.segments] == ["reasoning", "text", "call", "text", "call", "text"]
    assert [str(piece.value).strip() for piece in response.segments if piece.kind == "text"] == ["One.", "Two.", "Three."]


def test_events_announce_name_and_arguments_before_the_call(tokenizer: PreTrainedTokenizerBase) -> None:
    arguments = {"s": 'a "b" {', "n": [1, {"k": None}]}
    body = json.dumps({"name": "gé", "arguments": arguments}, ensure_ascii=False)
    found = events(tokenizer, f"Hé. <tool_call>\n{body}\n</tool_call><|im_end|>")
    kinds = [event.kind for event in found]
    assert kinds.index("call_name") < kinds.index("arguments") < kinds.index("call")
    assert "".join(str(event.value) for event in found if event.kind == "text") == "Hé. "
    assert json.loads("".join(str(event.value) for event in found if event.kind == "arguments")) == arguments
    assert [event.value for event in found if event.kind in ("call_name", "call")] == ["gé", Call("gé", arguments)]


def test_malformed_call_is_never_announced_as_final(tokenizer: PreTrainedTokenizerBase) -> None:
    found = events(tokenizer, '<tool_call>\n{"name": "f", "arguments": {"x": }}\n</tool_call>', CALL)
    assert [(event.kind, event.call_index) for event in found if event.kind in ("call", "malformed")] == [("malformed", 0), ("call", 1)]


def test_text_of_events_is_the_text_of_the_reading(tokenizer: PreTrainedTokenizerBase) -> None:
    """Random ids, so that characters are cut in the middle and blocks overlap in every way."""
    rng, wire = random.Random(0), read_ids(tokenizer)
    special = [wire.call_open, wire.call_close, wire.turn_close, *encoded(tokenizer, '"', "{", '"name": "f"', "é", "漢")]
    for _ in range(300):
        ids = [rng.choice(special) if rng.random() < 0.5 else rng.randrange(256) for _ in range(rng.randint(0, 40))]
        reader = Reader(tokenizer, wire)
        found = [event for token in ids for event in reader.feed(token)]
        response = reader.finish()
        assert response == read_response(ids, tokenizer, wire)
        calls = [event.value for event in found if event.kind == "call"]
        assert calls == [piece.value for piece in response.segments if piece.kind == "call"]


@pytest.mark.parametrize(
    ("body", "defect"),
    [
        ("{'name': 'f', 'arguments': {'x': True}}", Defect.PYTHON_LITERAL),
        ('{"name": "f", "arguments": {"x": None}}', Defect.PYTHON_LITERAL),
        ('{"arguments": {}}', Defect.NO_NAME),
        ('{"name": "g", "arguments": {}}', Defect.UNKNOWN_NAME),
        ('{"name": "f", "arguments": {"lines": 1}}', Defect.MISSING_REQUIRED),
    ],
)
def test_python_literals_and_misfits_to_the_tools_have_their_reasons(body: str, defect: Defect) -> None:
    assert read_call(body, schemas=schemas_of(TOOLS)) is defect


def test_end_of_turn_and_end_of_budget_differ(tokenizer: PreTrainedTokenizerBase) -> None:
    started = '<tool_call>\n{"name": "f", "arguments": {"s": "a'
    assert read(tokenizer, started).malformed[0].defect is Defect.TRUNCATED
    assert read(tokenizer, started + "<|im_end|>").malformed[0].defect is Defect.UNCLOSED


def tagged(*parameters: tuple[str, str], name: str = "f") -> str:
    return f"\n<function={name}>\n" + "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in parameters) + "</function>\n"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (tagged(("path", "a\nb"), ("lines", "3")), Call("f", {"path": "a\nb", "lines": 3})),
        (tagged(("lines", "3"), ("path", "3")), Call("f", {"lines": 3, "path": "3"})),
        (tagged(("path", "")), Call("f", {"path": ""})),
        (
            tagged(("path", "x\n</parameter>\ny"), ("options", '{"a": [1]}')),
            Call("f", {"path": "x\n</parameter>\ny", "options": {"a": [1]}}),
        ),
        (tagged(("path", "a"), ("force", "true")), Call("f", {"path": "a", "force": True})),
        (tagged(("path", "a"), ("force", "null")), Call("f", {"path": "a", "force": None})),
        (tagged(("path", "a"), ("extra", "1")), Call("f", {"path": "a", "extra": "1"})),
        (tagged(("path", "a"), ("path", "b")), Defect.DUPLICATE_KEY),
        (tagged(("lines", "3")), Defect.MISSING_REQUIRED),
        (tagged(("path", "a"), ("lines", "three")), Defect.WRONG_TYPE),
        (tagged(("path", "a"), ("lines", "true")), Defect.WRONG_TYPE),
        (tagged(("path", "a"), ("options", "[1]")), Defect.WRONG_TYPE),
        (tagged(("path", "a"), name="g"), Defect.UNKNOWN_NAME),
        ("\n<function=>\n</function>\n", Defect.NO_NAME),
        ("\n<function=f>\n<parameter=path>\na\n</function>\n", Defect.NOT_TAGGED),
        ("\n<function=f>\n<parameter=path>\na\n</parameter>\n", Defect.NOT_TAGGED),
        ('{"name": "f", "arguments": {}}', Defect.NOT_TAGGED),
    ],
)
def test_tagged_body(body: str, found: Call | Defect) -> None:
    assert read_call(body, "tagged", schemas_of(TOOLS)) == found


def test_forty_tagged_parameters_in_any_order() -> None:
    parameters = [(f"p{at}", f"value {at}") for at in range(40)]
    random.Random(1).shuffle(parameters)
    assert read_call(tagged(*parameters), "tagged") == Call("f", dict(parameters))


def test_tagged_calls_are_read_from_ids(tokenizer: PreTrainedTokenizerBase) -> None:
    text = f"Now.\n<tool_call>{tagged(('path', 'a'))}</tool_call>\n<tool_call>{tagged(('path', 'a'), ('lines', 'x'))}</tool_call><|im_end|>"
    response = read_response(encoded(tokenizer, text), tokenizer, read_ids(tokenizer, TAGGED), tools=TOOLS)
    assert response.calls == (Call("f", {"path": "a"}),)
    assert [block.defect for block in response.malformed] == [Defect.WRONG_TYPE]


def test_tagged_value_that_never_closes_does_not_swallow_the_next_call(tokenizer: PreTrainedTokenizerBase) -> None:
    call = f"<tool_call>{tagged(('path', 'a'))}</tool_call>"
    for cut in ("<tool_call>\n<function=f>\n<parameter=path>\nab</tool_call>", "<tool_call>\n<function=f>\n<parameter=path>\nab"):
        response = read_response(encoded(tokenizer, cut, call, call), tokenizer, read_ids(tokenizer, TAGGED), tools=TOOLS)
        assert response.calls == (Call("f", {"path": "a"}),) * 2, cut
        assert [block.text for block in response.malformed] == [cut]


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "5", 5),
        ({"oneOf": [{"type": "string"}, {"type": "array"}]}, "[5]", [5]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "five", Defect.WRONG_TYPE),
        ({"anyOf": [{"enum": ["5"]}]}, "5", "5"),
        ({}, "5", "5"),
        (True, "5", "5"),
    ],
)
def test_tagged_value_has_a_type_that_its_schema_names(schema: Any, text: str, value: Any) -> None:
    assert typed(text, schema) == value


def test_prompt_decides_where_reading_starts(smollm3: PreTrainedTokenizerBase) -> None:
    wire = read_ids(smollm3)
    opened = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    for tail, opens in (("<think>\n", True), ("<think>\n\n</think>\n", False), ("", False)):
        assert opens_reasoning(encoded(smollm3, f"<think> a system text </think>\n<think>{opened}{tail}"), wire) is opens


def test_reading_of_text_says_so(tokenizer: PreTrainedTokenizerBase) -> None:
    response = read_text(CALL, tokenizer, read_ids(tokenizer))
    assert (response.from_text, response.calls) == (True, (Call("f", {"x": 1}),))
    assert not read(tokenizer, CALL).from_text


@pytest.mark.parametrize("unit", ['{"a": "</tool_call>', "<tool_call>\n{", CALL, '"', "</tool_call>", '{"k": 1, '])
def test_time_grows_with_length_only(smollm2: PreTrainedTokenizerBase, unit: str) -> None:
    """Four times the ids take well under four times four the time, also for input made to be re-read."""
    ids, wire = encoded(smollm2, "<tool_call>\n" + unit * 400), read_ids(smollm2)

    longer = encoded(smollm2, "<tool_call>\n" + unit * 1600)
    short, long = (best_seconds(partial(read_response, many, smollm2, wire)) for many in (ids, longer))
    assert long < 10 * short + 0.05

"""Emission classes of text: what was generated without any wire id."""

from __future__ import annotations

import pytest

from data.response import read_response
from eval.asked import Asked
from eval.characters import WIRE, Characters, ids_of
from eval.classify import emission_of
from eval.completion import Completion
from eval.emission import Emission

TOOLS = frozenset({"write_file", "get_weather"})
CALL = '{"name": "get_weather", "arguments": {"city": "Oslo"}}'
TYPED = f"{{typed:call_open}}\n{CALL}\n{{typed:call_close}}"
NATIVE = f"{{call_open}}\n{CALL}\n{{call_close}}"


def emission(marked: str, wants_call: bool = True, contents: tuple[object, ...] = ()) -> Emission:
    ids = ids_of(marked)
    response = read_response(ids, Characters(), WIRE)
    return emission_of(Completion("c", ids, "stop", 1, 0.0), response, Asked(TOOLS, wants_call, contents))[0]


def test_the_same_call_in_the_wire_formats_ids_and_in_others() -> None:
    assert emission(NATIVE) is Emission.NATIVE_CALL
    assert emission(TYPED) is Emission.TYPED_CALL


@pytest.mark.parametrize(
    "prose",
    [
        "A call stands between {typed:call_open} and {typed:call_close}.",
        "{typed:call_open} is one token.",
        "The syntax is {typed:call_open}{json}{typed:call_close}.",
        "Write `{typed:call_open}` first.",
    ],
)
def test_prose_that_mentions_the_tags_is_an_answer(prose: str) -> None:
    assert emission(prose) is Emission.ANSWER


@pytest.mark.parametrize("lead", ["The format looks like this:", "From the documentation:", "In this notation a call is"])
def test_an_example_in_a_text_about_the_format_is_an_answer(lead: str) -> None:
    assert emission(f"{lead}\n\n```\n{TYPED}\n```\n\nNothing else is needed.") is Emission.ANSWER
    assert emission(f"On it.\n\n```\n{TYPED}\n```") is Emission.TYPED_CALL


def test_ids_decide_within_a_code_fence() -> None:
    assert emission(f"```json\n{NATIVE}\n```") is Emission.NATIVE_CALL
    assert emission(f"```python\nimport os\n```\n{NATIVE}") is Emission.NATIVE_CALL
    assert emission(f"```json\n{CALL}\n```") is Emission.JSON_IN_FENCE


@pytest.mark.parametrize("wants_call", [True, False])
def test_html_and_script_are_text_like_any_other(wants_call: bool) -> None:
    page = "<b>Hello</b><script>alert(1)</script>"
    assert emission(page, wants_call) is Emission.ANSWER
    assert emission(f"{page}\n{CALL}", wants_call) is Emission.JSON_IN_TEXT
    assert emission(f"{page}\n{NATIVE}", wants_call) is Emission.NATIVE_CALL


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        '{"tool": "get_weather", "parameters": {}}',
        '{"tool_name": "get_weather", "arguments": {}}',
        '{"function": {"name": "get_weather", "arguments": "{}"}}',
        '{"tool_call": {"name": "get_weather", "arguments": {}}}',
        "get_weather{'city': 'Oslo'}",
        CALL[:-2],
    ],
)
def test_shapes_of_a_call_as_json(text: str) -> None:
    assert emission(f"Sure:\n{text}") is Emission.JSON_IN_TEXT
    assert emission(f"Sure:\n```json\n{text}") is Emission.JSON_IN_FENCE


@pytest.mark.parametrize(
    "text",
    [
        '{"compilerOptions": {"strict": true}}',
        '{"name": "Ann", "arguments": {}}',
        '{"name": "get_weather", "description": "", "parameters": {"type": "object", "properties": {}}}',
        '{"city": "Oslo"}',
    ],
)
def test_json_that_calls_no_offered_tool_is_an_answer(text: str) -> None:
    assert emission(text) is Emission.ANSWER
    assert emission(f"```json\n{text}\n```") is Emission.ANSWER


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('get_weather("Oslo")', Emission.PYTHON_CALL),
        ('w = get_weather("Oslo', Emission.PYTHON_CALL),
        ("def get_weather(city):\n    return 1", Emission.CODE_DUMP),
        ("from tools import get_weather\nget_weather()", Emission.CODE_DUMP),
        ("for city in cities:\n    get_weather(city)", Emission.CODE_DUMP),
    ],
)
def test_python_that_names_a_tool_whatever_was_expected(code: str, found: Emission) -> None:
    for wants_call in (True, False):
        assert emission(f"```python\n{code}\n```", wants_call) is found
        assert emission(code, wants_call) is found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("```python\nprint(sorted([3, 1]))\n```", Emission.CODE_DUMP),
        ("```rust\nfn main() {}\n```", Emission.CODE_DUMP),
        ("```bash\nls -la\n```", Emission.SHELL_DUMP),
        ("$ ls -la", Emission.SHELL_DUMP),
    ],
)
def test_other_code_stands_in_a_calls_place_or_answers(code: str, found: Emission) -> None:
    assert emission(code, wants_call=True) is found
    assert emission(code, wants_call=False) is Emission.ANSWER


def test_the_content_of_the_expected_call_written_out() -> None:
    content = "# Plan\n\n- one\n- two\n"
    assert emission(content, contents=(content,)) is Emission.CODE_DUMP
    assert emission(content) is Emission.ANSWER
    config = {"server": {"port": 80}, "debug": True}
    assert emission('```json\n{"server": {"port": 80}, "debug": true', contents=(config,)) is Emission.CODE_DUMP


def test_code_mode_but_not_the_code_element_of_html() -> None:
    assert emission('Thought: look\n<code>\nw = get_weather("Oslo")\n</code>') is Emission.CODE_MODE
    assert emission('Thought: look\nCode:\n```py\nfinal_answer(get_weather("Oslo"))\n```') is Emission.CODE_MODE
    assert emission("The <code>print()</code> function writes.") is Emission.ANSWER


@pytest.mark.parametrize(
    ("prose", "found"),
    [
        ("I'll call get_weather for Oslo.", Emission.PROMISE),
        ("Let me check. One moment, please.", Emission.PROMISE),
        ("Let me explain: rain is water.", Emission.ANSWER),
        ("I'll look it up. It is 12 degrees in Oslo.", Emission.ANSWER),
        ("Which city?", Emission.QUESTION),
        ("I can't tell without a city. Which one do you mean?", Emission.QUESTION),
        ("Why rain? Because of clouds.", Emission.ANSWER),
        ("I can't do that. Is there anything else?", Emission.REFUSAL),
        ("You can't divide by zero.", Emission.ANSWER),
        ("{think_open}\nWeather.\n{think_close}\n", Emission.REASONING_ONLY),
        ("{think_open}\n\n{think_close}\n", Emission.EMPTY),
    ],
)
def test_prose_is_judged_by_its_sentences(prose: str, found: Emission) -> None:
    assert emission(prose) is found

"""Classification of arbitrary text: never raises, is the same each time, and stays linear."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.wire import HERMES
from eval.asked import Asked
from eval.classify import emission_of_text
from eval.emission import Emission
from tests.timing import best_seconds

ASKED = Asked(frozenset({"write_file", "home.set", "f"}), True, ("import os\nprint(1)\n", {"a": {"b": 1}, "c": [2]}))
PIECES = st.sampled_from(
    [
        *(
            HERMES.call_open,
            HERMES.call_close,
            "```",
            "~~~",
            "```python\n",
            "\n",
            '{"name": "f", "arguments": ',
            "{",
            "}",
            "[",
            '"',
            "'",
            "\\",
        ),
        *("f(", ")", "def f(", "import ", "<code>", "</code>", "Code:", "Thought:", "$ ls", "I'll call f.", "?", "write_file{", "\x00"),
        *("\ud800", "#", "'''", ":", ","),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=8), max_size=40).map("".join), st.booleans())
def test_any_text_has_one_class(text: str, wants_call: bool) -> None:
    asked = Asked(ASKED.names, wants_call, ASKED.contents)
    found = emission_of_text(text, None, asked)
    assert isinstance(found[0], Emission)
    assert found == emission_of_text(text, None, asked)


LONG = 200_000  # characters, about 50,000 tokens
HOSTILE = {
    "prose": "I will write the file for you, f and all. ",
    "braces": "{",
    "objects": '{"name": "f", ',
    "calls": "f(",
    "fences": "```\nf(1)\n```\n",
    "openings": HERMES.call_open,
    "typed": f'{HERMES.call_open}{{"name": "f", "arguments": ',
    "quotes": "'\"",
    "brackets": "[[({",
    "lines": "f {\n",
    "spaces": " ",
    "breaks": "\n",
    "questions": "? ",
    "code": "<code>\n",
    "definitions": "def f(x):\n    return x\n",
    "assignments": "f = f.f.",
    "words": "a",
    "commands": "ls -la\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_long_text_costs_no_more_than_a_short_one(name: str) -> None:
    """Of ten times the text the same part is read; the search for typed tags alone grows, and that is linear."""
    texts = [HOSTILE[name] * (length // len(HOSTILE[name])) for length in (LONG // 10, LONG)]
    short, long = (best_seconds(partial(emission_of_text, text, None, ASKED)) for text in texts)
    assert long < max(4 * short, 0.05)

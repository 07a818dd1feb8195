"""Scenes: separate requests over one list of tools, some to serve and some not."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby

import pytest

from data.sources.dialogue import Composer, generate
from data.sources.payloads import compact_config, depth_of, escaped, modules_of, rarely_escaped, repeated
from data.split import Split
from data.transcript import Transcript


@pytest.fixture(scope="module", params=["train", "validation"])
def split(request: pytest.FixtureRequest) -> Split:
    return request.param


def scenes(split: Split, kind: str, count: int = 40) -> list[list[Transcript]]:
    rows = generate(split, 5, count, {kind: 1.0})
    return [list(group) for _, group in groupby(rows, key=lambda row: row.id.split(".")[0])]


@pytest.mark.parametrize("kind", ["scene", "file_scene"])
def test_requests_of_a_scene_share_their_tools(split: Split, kind: str) -> None:
    found = scenes(split, kind)
    assert len(found) == 40
    for rows in found:
        assert len({str(row.tool_dicts()) for row in rows}) == 1
        assert len({row.id for row in rows}) == len(rows)
    assert sum(map(len, found)) > 6 * len(found)


@pytest.mark.parametrize("kind", ["scene", "file_scene"])
def test_some_are_served_and_some_are_not(split: Split, kind: str) -> None:
    rows = [row for rows in scenes(split, kind) for row in rows]
    served = sum(bool(row.calls()) for row in rows) / len(rows)
    assert 0.35 < served < 0.8
    assert any(len(row.calls()) == 2 for row in rows) or kind == "file_scene"


def test_no_offered_tool_is_declined(split: Split) -> None:
    gists = {tool.name: tool.gist for tool in Composer(split, random.Random(0)).tools}
    for rows in scenes(split, "scene"):
        for row in rows:
            answer = str(row.messages[-1].content).split(";")[0]
            assert not any(f"can't {gists[name]}" in answer for name in row.meta["catalog"])


def test_without_a_third_tool_no_argument_of_one_is_asked_for(split: Split) -> None:
    questions = {missing.ask.split("{")[0] for tool in Composer(split, random.Random(0)).tools for missing in tool.missing}
    for rows in scenes(split, "file_scene"):
        for row in rows:
            if len(row.tools) == 2:
                assert not any(str(row.messages[-1].content).startswith(question) for question in questions if question)


def lists(value: object) -> Iterator[list[object]]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, list) and value:
        yield value
    for one in inner:
        yield from lists(one)


def test_lists_are_not_mostly_of_objects(split: Split) -> None:
    calls = [call for rows in scenes(split, "scene", 100) for row in rows for call in row.calls()]
    kinds = Counter(isinstance(found[0], dict) for call in calls for found in lists(call.arguments))
    assert kinds[False] > 0.6 * kinds[True]


def stored_code(split: Split) -> list[str]:
    calls = [call for rows in scenes(split, "file_scene") for row in rows for call in row.calls()]
    return [text for call in calls for text in call.arguments.values() if isinstance(text, str) and "\n" in text]


def test_some_code_of_file_scenes_must_be_escaped_on_most_lines(split: Split) -> None:
    """Quotes and backslashes beside those of a docstring, which a call may not copy as they are."""
    assert escaped('say("\\t")\n"""A docstring."""') == 3
    texts = stored_code(split)
    assert sum(escaped(text) > text.count("\n") for text in texts) > len(texts) / 8


def test_rare_escapes_are_drawn_as_often_as_usual_ones(split: Split) -> None:
    rng = random.Random(0)
    texts = [rarely_escaped(split, 8, 90, rng).text for _ in range(300)]
    assert all(text.count("\n") < 8 and max(map(len, text.splitlines())) <= 90 for text in texts)
    modules = [module.text for module in modules_of(split)]
    rare, usual = (Counter(pair for text in kind for pair in re.findall(r'"[^\w\s"]', text)) for kind in (texts, modules))
    share = [sum(count for _, count in found.most_common(2)) / found.total() for found in (rare, usual)]
    assert share[0] < 0.7 * share[1]
    assert len(rare) > len(set(rng.sample(list(usual.elements()), rare.total())))


def test_some_code_of_file_scenes_says_a_line_twice(split: Split) -> None:
    assert repeated("try:\n    begin()\nelse:\n    begin()\n)\n)") == 1
    texts = stored_code(split)
    assert sum(repeated(text) > 0 for text in texts) > len(texts) / 5


def test_compact_settings_nest_to_the_depth_and_no_further() -> None:
    rng = random.Random(1)
    depths = [max(depth_of(compact_config(rng, 4)), 1) for _ in range(200)]
    assert max(depths) == 4
    assert min(depths) >= 1

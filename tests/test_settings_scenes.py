"""Deep settings pasted once and stored whole, in part, or asked about."""

from __future__ import annotations

import json
import re
from itertools import groupby

import pytest

from data.sources.dialogue import generate
from data.sources.payloads import depth_of, leaves
from data.sources.settings import sections
from data.split import Split
from data.transcript import Transcript

CONFIG = {"level": "info", "cache": {"ttl": 60, "mail": {"tags": []}}, "mail": {"port": 80}}


@pytest.fixture(scope="module", params=["train", "validation"])
def scenes(request: pytest.FixtureRequest) -> list[list[Transcript]]:
    rows = generate(request.param, 5, 60, {"settings_scene": 1.0})
    return [list(group) for _, group in groupby(rows, key=lambda row: row.id.split(".")[0])]


def paste(row: Transcript) -> str:
    return str(row.messages[0].content).rpartition("\n\n")[0]


def stored(row: Transcript) -> list[dict[str, object]]:
    return [value for call in row.calls() for value in call.arguments.values() if isinstance(value, dict)]


def whole(rows: list[Transcript]) -> dict[str, object]:
    return max((config for row in rows for config in stored(row)), key=lambda config: len(json.dumps(config)))


def test_sections_and_values_have_dotted_paths() -> None:
    assert dict(sections(CONFIG)) == {"cache": CONFIG["cache"], "cache.mail": {"tags": []}, "mail": {"port": 80}}
    assert dict(leaves(CONFIG)) == {"level": "info", "cache.ttl": 60, "cache.mail.tags": [], "mail.port": 80}


def test_all_requests_of_a_scene_begin_with_the_same_paste(scenes: list[list[Transcript]]) -> None:
    for rows in scenes:
        assert len({(paste(row), str(row.tool_dicts())) for row in rows}) == 1
        assert 4 <= depth_of(whole(rows)) <= 7


def test_the_whole_is_stored_once_and_parts_are_sections_of_it(scenes: list[list[Transcript]]) -> None:
    for rows in scenes:
        config, parts = whole(rows), [one for row in rows for one in stored(row)]
        assert parts.count(config) == 1
        within = [part for _, part in sections(config)]
        assert all(part in within for part in parts if part != config)
        assert len(parts) >= 3


def test_what_is_stored_is_what_the_request_names(scenes: list[list[Transcript]]) -> None:
    for rows in scenes:
        config = whole(rows)
        for row in rows:
            request = str(row.messages[0].content).rpartition("\n\n")[2]
            words = re.findall(r"[\w.-]*\w", request)
            named = [part for path, part in sections(config) if path in words]
            if stored(row) and stored(row) != [config]:
                assert named == stored(row)


def test_a_question_is_answered_with_the_value_and_no_call(scenes: list[list[Transcript]]) -> None:
    asked = [(row, whole(rows)) for rows in scenes for row in rows if not row.calls()]
    assert len(asked) > 10
    for row, config in asked:
        answer = str(row.messages[-1].content)
        assert any(f"`{path}`" in answer and json.dumps(value) in answer for path, value in leaves(config))


def test_no_phrase_is_in_both_splits() -> None:
    phrases: dict[Split, set[str]] = {"train": set(), "validation": set()}
    for split, found in phrases.items():
        for row in generate(split, 5, 60, {"settings_scene": 1.0}):
            request = str(row.messages[0].content).rpartition("\n\n")[2]
            found.add(" ".join(word for word in request.split() if word.isalpha() and word.islower()))
    assert len(phrases["train"]) > 10
    assert not phrases["train"] & phrases["validation"]

"""Tools drawn at random: what is asked for is what the call holds, and no schema is in both splits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from data.split import Split
from data.transcript import Transcript
from tests import scenes
from tests.scenes import served


def rows(split: Split) -> list[Transcript]:
    return scenes.rows("form_scene", split, 60)


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    else:
        yield {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_request_says_each_value_of_its_call(split: Split) -> None:
    for request, arguments in served(rows(split)):
        assert all(value in request for value in leaves(arguments))


def test_what_is_declined_is_not_offered() -> None:
    declined = [row for row in rows("train") if not row.calls() and "\n" not in str(row.messages[-1].content)]
    assert len(declined) > 60
    for row in declined:
        offered = {tool.function.description.rstrip(".").lower() for tool in row.tools if tool.function.description}
        answer = str(row.messages[-1].content).lower().split(";")[0]
        assert not any(f"can't {gist}" in answer or f"no tool to {gist}" in answer for gist in offered)


def test_calls_nest_and_list_groups() -> None:
    arguments = [call.arguments for row in rows("train") for call in row.calls()]
    values = [value for one in arguments for value in one.values()]
    assert any(isinstance(value, dict) for value in values)
    assert any(isinstance(value, list) and len(value) > 1 and isinstance(value[0], dict) for value in values)


def test_no_name_and_no_schema_is_in_both_splits() -> None:
    found = {}
    for split in ("train", "validation"):
        tools = [tool.function for row in rows(split) for tool in row.tools]
        found[split] = {tool.name for tool in tools}, {json.dumps(tool.parameters, sort_keys=True) for tool in tools}
    assert found["train"][0].isdisjoint(found["validation"][0])
    assert found["train"][1].isdisjoint(found["validation"][1])

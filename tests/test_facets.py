"""Requests that miss a tool in one respect: none of them is served by a tool that is offered, and nothing is in both splits."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from typing import Any

import pytest

from data.contamination import bfcl_folder, bfcl_protected, normalised
from data.sources.facets import DETAIL_ARGUMENTS, DETAIL_NAMES, load_families, snake, subjects
from data.split import Split
from data.transcript import Transcript
from tests import scenes
from tests.scenes import served

SPLITS: tuple[Split, Split] = ("train", "validation")


def rows(split: Split, count: int = 80) -> list[Transcript]:
    return scenes.rows("facet_scene", split, count)


def _lists_details(row: Transcript, argument: str) -> bool:
    """Whether a tool of the row lists details under `argument`."""
    return any("enum" in str(tool.function.parameters["properties"].get(argument, "")) for tool in row.tools)


@pytest.mark.parametrize("split", SPLITS)
def test_a_request_says_each_value_of_its_call(split: Split) -> None:
    for request, found in served(rows(split)):
        arguments = [value for key, value in found.items() if key != "date"]  # a date is said in words at times
        leaves = [leaf for value in arguments for leaf in (value if isinstance(value, list) else [value])]
        spelled = [f"{leaf:g}" if isinstance(leaf, float) else str(leaf).replace("_", " ").lower() for leaf in leaves]
        said = re.sub(r"(?<=\d),(?=\d{3})", "", request).replace("_", " ").lower()
        assert all(value in said for value in spelled), (request, found)


def test_details_are_listed_in_the_order_of_the_request() -> None:
    listed = [
        (row, key, str(row.messages[0].content).lower()) for row in rows("train") for key in DETAIL_ARGUMENTS if _lists_details(row, key)
    ]
    counts = Counter[int]()
    for row, key, request in listed:
        for call in row.calls():
            keys = call.arguments.get(key, [])
            places = [request.index(one.replace("_", " ")) for one in keys]
            assert places == sorted(places), (request, keys)
            counts[len(keys)] += 1
    assert set(counts) >= {1, 2, 3}, counts
    assert any(not row.calls() for row, _, _ in listed)


def test_details_that_may_be_left_out_are_listed_when_asked_for_and_only_then() -> None:
    seen = Counter[tuple[bool, bool]]()
    for row in rows("train"):
        for call in row.calls():
            parameters = next(tool.function.parameters for tool in row.tools if tool.function.name == call.name)
            for key in set(DETAIL_ARGUMENTS) & set(parameters["properties"]):
                if "enum" in str(parameters["properties"][key]):
                    request = str(row.messages[0].content)
                    seen[key in parameters["required"], key in call.arguments] += 1
                    assert (key in call.arguments) == any(name.replace("_", " ") in request.lower() for name in _names(parameters, key))
    assert min(seen[True, True], seen[False, True], seen[False, False]) > 10, seen
    assert not seen[True, False]


def _names(parameters: dict[str, Any], key: str) -> list[str]:
    return list(parameters["properties"][key]["items"]["enum"])


@pytest.mark.parametrize("split", SPLITS)
def test_what_is_declined_is_not_offered(split: Split) -> None:
    answers = [(row, str(row.messages[-1].content)) for row in rows(split) if not row.calls()]
    refused = [(row, text) for row, text in answers if "can't" in text or "no tool" in text]
    assert len(refused) > 200
    for row, text in refused:
        said = text.split(";")[0]
        for tool in row.tools:
            gist = str(tool.function.description).rstrip(".")
            gist = gist[0].lower() + gist[1:]
            assert not any(f" {gist}{end}" in f"{said} " for end in (" with", ":", ". ")), (text, gist)


def test_over_the_same_tool_some_requests_are_served_and_some_missed() -> None:
    seen_of: dict[str, set[bool]] = {}
    for row in rows("train"):
        seen_of.setdefault(row.id.rsplit(".", 1)[0], set()).add(bool(row.calls()))
    assert sum(seen == {True, False} for seen in seen_of.values()) > 0.9 * len(seen_of)


def test_a_request_of_a_facet_is_a_request_of_no_other() -> None:
    for family in load_families():
        for (one, left), (other, right) in itertools.combinations(family.facets.items(), 2):
            assert set(left.phrasings).isdisjoint(right.phrasings), (one, other)
            assert left.gist != right.gist


def test_nothing_is_in_both_splits() -> None:
    found: dict[Split, list[set[str]]] = {}
    for split in SPLITS:
        tools = [tool.function for row in rows(split, 400) for tool in row.tools]
        phrasings = {text for subject in subjects(split) for text in subject.asks(split)}
        found[split] = [{tool.name for tool in tools}, {json.dumps(tool.parameters, sort_keys=True) for tool in tools}, phrasings]
    for train, validation in zip(*found.values(), strict=True):
        assert train
        assert validation
        assert train.isdisjoint(validation)


def test_every_slot_of_every_phrasing_is_filled() -> None:
    for split in SPLITS:
        for subject in subjects(split):
            thing: Any = subject.family.things[subject.thing]
            words = dict.fromkeys(thing.arguments, "x")
            it = thing.say.format(thing=subject.thing, **words)
            for text in subject.asks(split):
                assert "{" not in text.format(it=it, It=it, a=subject.a)


@pytest.mark.skipif(bfcl_folder() is None, reason="bfcl-eval is not installed")
def test_no_tool_has_a_name_of_bfcl() -> None:
    folder = bfcl_folder()
    assert folder
    names = {
        name.format(thing=snake(one.thing), facet=one.facet)
        for split in SPLITS
        for one in subjects(split)
        for name in (*one.family.names, *DETAIL_NAMES)
    }
    assert len(names) > 5000
    assert {normalised(name) for name in names}.isdisjoint(bfcl_protected(folder).names)

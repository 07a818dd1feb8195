"""The catalogue and the transcripts made from it."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
from rich.console import Console

from data.build import BuildConfig, JsonlSource, SyntheticSource, build
from data.contamination import bfcl_folder, bfcl_protected, overlaps
from data.sources.catalog import load_catalog, load_chat, load_unserved
from data.sources.dialogue import KINDS, Composer, generate
from data.sources.filetools import CONFIG_REQUESTS, CONFIG_TOOLS, QUESTIONS, TEXT_REQUESTS, TEXT_TOOLS
from data.sources.payloads import depth_of, modules, nested_config
from data.split import split_of
from data.transcript import AssistantMessage, Transcript, UserMessage
from data.validate import problems

MIX = dict.fromkeys(KINDS, 1.0)


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Transcript]]:
    return {split: list(generate(split, 7, 220, MIX)) for split in ("train", "validation")}


def test_catalogue_is_wide() -> None:
    domains = load_catalog()
    tools = [tool for domain in domains for tool in domain.tools]
    assert len(domains) >= 15
    assert len(tools) >= 120
    assert len({request for tool in tools for request in tool.requests}) >= 2000


def test_schemas_are_varied() -> None:
    kinds = Counter(parameter.type for domain in load_catalog() for tool in domain.tools for parameter in tool.parameters.values())
    assert set(kinds) == {"string", "integer", "number", "boolean", "array", "object"}
    assert min(kinds.values()) >= 20


def test_every_kind_makes_valid_transcripts(rows: dict[str, list[Transcript]]) -> None:
    for split in rows.values():
        assert {row.meta["kind"] for row in split} == set(KINDS)
        assert [problem for row in split for problem in problems(row)] == []


def test_same_seed_same_rows(rows: dict[str, list[Transcript]]) -> None:
    assert list(generate("train", 7, 220, MIX)) == rows["train"]
    assert list(generate("train", 8, 220, MIX)) != rows["train"]


def test_no_tool_is_in_both_splits(rows: dict[str, list[Transcript]]) -> None:
    offered = {split: {name for row in transcripts for name in row.meta["catalog"]} for split, transcripts in rows.items()}
    assert offered["train"].isdisjoint(offered["validation"])
    schemas = {
        split: {json.dumps(tool.function.parameters, sort_keys=True) for row in transcripts for tool in row.tools}
        for split, transcripts in rows.items()
    }
    assert schemas["train"].isdisjoint(schemas["validation"])


def test_no_request_template_is_in_both_splits() -> None:
    templates: dict[str, set[str]] = {"train": set(), "validation": set()}
    for domain in load_catalog():
        for tool in domain.tools:
            templates[split_of(tool.name)] |= set(tool.requests)
    assert templates["train"].isdisjoint(templates["validation"])
    for texts in ([pair["user"] for pair in load_chat()], [entry["request"] for entry in load_unserved()]):
        assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("phrases", [TEXT_REQUESTS, CONFIG_REQUESTS, tuple(QUESTIONS)])
def test_both_splits_have_phrasings_of_their_own(phrases: tuple[str, ...]) -> None:
    assert len(set(phrases)) == len(phrases)
    assert Counter(map(split_of, phrases))["validation"] >= 2


def test_write_file_and_save_config_are_held_out() -> None:
    held_out = {tool.name for tool in (*TEXT_TOOLS, *CONFIG_TOOLS) if tool.split == "validation"}
    assert held_out == {"write_file", "save_config"}


def test_unserved_request_has_no_tool_for_it(rows: dict[str, list[Transcript]]) -> None:
    """The refusal names what was asked; no offered tool has that gist."""
    gists = {tool.name: tool.gist for domain in load_catalog() for tool in domain.tools}
    for row in rows["train"]:
        if row.meta["kind"] == "unserved":
            answer = str(row.messages[-1].content).split(";")[0]
            assert not any(f"can't {gists[name]}" in answer for name in row.meta["catalog"])


def test_arguments_are_said_in_the_request() -> None:
    """Every string argument that is no date, time or enum stands in the request as it is."""
    composer = Composer("train", random.Random(3))
    for index in range(120):
        row = composer.transcripts("call", str(index))[0]
        call = row.calls()[0]
        properties = next(tool.function.parameters["properties"] for tool in row.tools if tool.function.name == call.name)
        request = next(message.content for message in row.messages if isinstance(message, UserMessage)).lower()
        for name, value in call.arguments.items():
            plain = isinstance(value, str) and not {"format", "enum"} & properties[name].keys() and ":" not in value
            if plain and value.lower() not in request:
                spoken = {value.lower() for domain in load_catalog() for tool in domain.tools for value in _mapped(tool, name)}
                assert value.lower() in spoken, (row.id, call.name, name, value, request)


def _mapped(tool: object, name: str) -> list[str]:
    """Values that a tool says in words of its own (`say`, or a mapping sampler)."""
    parameter = getattr(tool, "parameters").get(name)  # noqa: B009
    if parameter is None:
        return []
    mapped = [*(parameter.say or {}), *(parameter.sample if isinstance(parameter.sample, dict) else {})]
    return [str(value) for value in mapped]


def test_nothing_of_bfcl_is_in_training() -> None:
    folder = bfcl_folder()
    if folder is None:
        pytest.skip("bfcl-eval is not installed")
    protected = bfcl_protected(folder)
    tools = [tool for domain in load_catalog() for tool in domain.tools if split_of(tool.name) == "train"]
    assert overlaps([tool.name for tool in tools], [request for tool in tools for request in tool.requests], protected) == []
    mix = {"call": 1.0, "dialogue": 2.0}
    config = BuildConfig(seed=7, sources=[SyntheticSource(type="synthetic", train=220, validation=1, mix=mix)])
    splits, rejected = build(config, Console(quiet=True))
    said = [message.content for row in splits["train"] for message in row.messages if isinstance(message, UserMessage)]
    assert overlaps([], said, protected) == []
    assert len(rejected) < 5


def test_row_that_shares_with_bfcl_is_set_aside(tmp_path: Path) -> None:
    if bfcl_folder() is None:
        pytest.skip("bfcl-eval is not installed")
    request = "Find the area of a triangle with a base of 12 units and height of 3 units."
    row = {"id": "a", "messages": [{"role": "user", "content": request}, {"role": "assistant", "content": "18 square units."}]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    config = BuildConfig(sources=[JsonlSource(type="jsonl", path=tmp_path / "rows.jsonl", split="train")])
    splits, rejected = build(config, Console(quiet=True))
    assert splits["train"] == []
    assert [reject.rule for reject in rejected] == ["shared_with_bfcl"]


def test_contamination_check_finds_a_planted_row() -> None:
    folder = bfcl_folder()
    if folder is None:
        pytest.skip("bfcl-eval is not installed")
    planted = "Find the area of a triangle with a base of 12 units and height of 3 units."
    assert len(overlaps(["calculateTriangleArea"], [planted], bfcl_protected(folder))) == 2


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_nested_config_is_as_deep_as_asked(depth: int) -> None:
    assert depth_of(nested_config(random.Random(depth), depth)) == depth


@pytest.mark.parametrize("split", ["train", "validation"])
def test_long_files_are_pages_of_modules_of_their_split(split: Literal["train", "validation"]) -> None:
    texts: dict[str, list[str]] = {module.file: [] for module in modules()}
    for module in modules():
        texts[module.file].append(module.text)
    rows = list(generate(split, 3, 40, {"long_file": 1}))
    pages = [value for row in rows for call in _calls(row) for value in call.values() if isinstance(value, str) and "\n" in value]
    assert len(pages) >= 35
    assert max(page.count("\n") for page in pages) > 100
    for page in pages:
        assert any(page in text for file, found in texts.items() if split_of(file) == split for text in found)


def test_deep_settings_are_deep() -> None:
    rows = list(generate("train", 3, 20, {"deep_config": 1}))
    depths = {max(depth_of(value) for value in call.values()) for row in rows for call in _calls(row)}
    assert depths == {4, 5, 6, 7}


def test_half_of_deep_settings_have_one_value_on_a_level() -> None:
    rows = list(generate("train", 3, 60, {"deep_config": 1}))
    configs = [max(call.values(), key=depth_of) for row in rows for call in _calls(row)]
    sparse = [config for config in configs if _most_values(config) == 1]
    assert 0.35 < len(sparse) / len(configs) < 0.65


def test_short_code_often_has_a_blank_line() -> None:
    rows = [row for row in generate("train", 3, 60, {"file_scene": 1}) if _calls(row)]
    code = [value for row in rows for value in _calls(row)[0].values() if isinstance(value, str) and "\n" in value]
    assert 0.4 < sum("\n\n" in text for text in code) / len(code) < 0.9


def _most_values(config: dict[str, Any]) -> int:
    """The most values, sections apart, on one level."""
    sections = [value for value in config.values() if isinstance(value, dict)]
    return max(len(config) - len(sections), *map(_most_values, sections), 0)


def _calls(row: Transcript) -> list[dict[str, Any]]:
    calls = [call for message in row.messages if isinstance(message, AssistantMessage) for call in message.tool_calls or ()]
    return [call.function.arguments for call in calls]

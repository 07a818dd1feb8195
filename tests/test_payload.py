"""The payload suite: content of the wanted traits, exact expectations, and files of one's own."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from data.sources.payloads import depth_of
from data.wire import HERMES
from eval.case import Case
from eval.suites import payload_rows
from eval.suites.content import DENSITIES, Traits, settings, spelled, text, tokens_in, traits_of
from eval.suites.files import FileSection
from eval.suites.payload import PayloadSection, config_case, file_case, grid
from tests.conftest import named_tokenizer

SMALL = PayloadSection(lengths=[64, 256, 1024], nesting=[1, 2, 5, 8])
PAYLOADS = Path(__file__).parents[2] / "shared" / "data" / "payloads"


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return grid(SMALL, seed=2)


def test_the_same_seed_makes_the_same_cases(cases: list[Case]) -> None:
    assert grid(SMALL, seed=2) == cases
    assert [case.messages for case in grid(SMALL, seed=3)] != [case.messages for case in cases]
    assert len({case.id for case in cases}) == len(cases) == 3 * (12 + 4)


def test_text_is_crossed_over_its_traits(cases: list[Case]) -> None:
    names = ("content_tokens", "escape_density", "backticks", "wire_literals")
    found = Counter(tuple(case.meta[name] for name in names) for case in cases if case.slice == "write_file")
    assert found == dict.fromkeys(itertools.product(SMALL.lengths, DENSITIES, (False, True), (False, True)), 1)


def test_settings_are_crossed_over_length_and_nesting(cases: list[Case]) -> None:
    of_config = [case for case in cases if case.slice == "save_config"]
    assert {(case.meta["content_tokens"], case.meta["nesting"]) for case in of_config} == set(
        itertools.product(SMALL.lengths, SMALL.nesting)
    )
    assert all(depth_of(case.expected[0].arguments["config"]) == case.meta["nesting"] for case in of_config)
    assert {case.meta["backticks"] for case in of_config} == {case.meta["wire_literals"] for case in of_config} == {True, False}


def test_content_is_as_long_as_its_bucket_says(cases: list[Case]) -> None:
    for case in cases:
        share = tokens_in(list(case.expected[0].arguments.values())[1]) / case.meta["content_tokens"]
        assert (0.5 if case.meta["content_tokens"] == 64 else 0.85) <= share <= 1.02, case.id


def test_the_request_holds_the_content_byte_for_byte(cases: list[Case]) -> None:
    for case in cases:
        arguments = case.expected[0].arguments
        request = case.messages[0]["content"]
        assert case.expected[0].exact
        if case.slice == "write_file":
            assert arguments["content"] in request
            assert arguments["path"] in request
        else:
            shown = {json.dumps(arguments["config"], ensure_ascii=False, indent=indent) for indent in (None, 2)}
            assert any(text in request for text in shown)


def test_a_fence_is_longer_than_any_inside() -> None:
    content = f"{'`' * 5}\nx\n{'`' * 5}"
    requests = [file_case("i", "a.md", content, 64, random.Random(seed)).messages[0]["content"] for seed in range(20)]
    fenced = [request for request in requests if "`" * 6 in request]
    assert 0 < len(fenced) < len(requests)
    assert all(f"{'`' * 6}\n{content}\n{'`' * 6}" in request for request in fenced)


@pytest.mark.parametrize("name", ["toy-smollm2", "smollm3"])
def test_the_right_call_fits_into_the_budget(name: str, cases: list[Case]) -> None:
    """The toy has about one token a character; no real tokenizer is that poor, so it must not fit."""
    tokenizer = named_tokenizer(name)
    bodies = [json.dumps({"name": case.expected[0].name, "arguments": case.expected[0].arguments}) for case in cases]
    fits = [len(tokenizer.encode(body)) + 16 <= case.max_new_tokens for case, body in zip(cases, bodies, strict=True)]
    assert all(fits) if name == "smollm3" else not all(fits)


@pytest.mark.parametrize(
    ("value", "traits"),
    [
        ("plain words here", (1, False, False, "low")),
        ("use `x`", (1, True, False, "low")),
        (f"say {HERMES.call_open}", (1, False, True, "low")),
        ("def f():\n    return 'a somewhat longer line of code'\n", (1, False, False, "medium")),
        ('{"a": "b"}', (1, False, False, "high")),
        ({"a": {"b": {"c": "`"}}}, (3, True, False, "low")),
        ({"a": [{"b": 1}]}, (1, False, False, "low")),
    ],
)
def test_traits_are_found_by_looking(value: object, traits: tuple[int, bool, bool, str]) -> None:
    assert traits_of(value, 64) == Traits(64, *traits)  # type: ignore[arg-type]


@pytest.mark.parametrize("density", DENSITIES)
def test_text_and_settings_at_8k_tokens(density: str) -> None:
    wanted = Traits(8192, 1, False, True, density)  # type: ignore[arg-type]
    assert traits_of(text(random.Random(1), wanted), 8192) == wanted
    assert 0.98 < tokens_in(settings(random.Random(1), wanted)) / 8192 <= 1
    assert spelled("a\n") == 5


def test_rows_of_ones_own_go_into_the_bucket_of_their_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"path": f"{n}.py", "content": "\n" + "x = 1  # `a`\n" * n} for n in (16, 17, 64, 2)]
    (tmp_path / "files.jsonl").write_text("\n".join(map(json.dumps, [*rows, {"path": "a"}])))  # type: ignore[arg-type]
    section = PayloadSection(lengths=[64, 256], text_rows=FileSection(path=tmp_path / "files.jsonl"), per_bucket=2)
    found = payload_rows.cases(section, seed=0)
    assert [(case.meta["content_tokens"], case.expected[0].arguments["path"]) for case in found] == [
        (64, "16.py"),
        (64, "17.py"),
        (256, "64.py"),
    ]
    assert found[0].expected[0].arguments["content"] == "\n".join(["x = 1  # `a`"] * 16)
    assert {(case.meta["origin"], case.meta["backticks"]) for case in found} == {("files", True)}
    assert "1 of 5 rows set aside" in capsys.readouterr().err


def test_real_files_and_configurations() -> None:
    files = PAYLOADS / "write_file_payloads.jsonl.gz", PAYLOADS / "schemastore_configs.jsonl.gz"
    if not all(path.is_file() for path in files):
        pytest.skip(f"{PAYLOADS} is not there")
    sections = [FileSection(path=path, limit=400) for path in files]
    found = payload_rows.cases(PayloadSection(lengths=[128, 1024], text_rows=sections[0], config_rows=sections[1], per_bucket=5), seed=0)
    assert Counter((case.slice, case.meta["content_tokens"]) for case in found) == {
        ("write_file", 128): 5,
        ("write_file", 1024): 5,
        ("save_config", 128): 5,
        ("save_config", 1024): 5,
    }
    assert max(case.meta["nesting"] for case in found) >= 3


def test_a_configuration_is_expected_as_an_object() -> None:
    case = config_case("i", "edge", {"a": {"b": 1.5}}, 64, random.Random(0))
    assert case.expected[0].arguments == {"name": "edge", "config": {"a": {"b": 1.5}}}
    assert case.meta["nesting"] == 2

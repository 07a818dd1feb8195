"""The matrix of parsers: scripted completions over HTTP, and rows that are kept when a server refuses, breaks or the run is ended."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from rich.console import Console
from transformers import PreTrainedTokenizerBase

from data.wire import read_ids
from eval.serving import forced, matrix
from eval.serving.bench import Bench, Sizes
from eval.serving.cells import Cell, cell, pair_of
from eval.serving.client import Client, Gone
from eval.serving.local_vllm import NotStarted, ended_by_sigterm, serving
from eval.serving.outcome import Outcome
from eval.serving.scripted import Scripted, scripted
from tests.fake_openai import fake_server
from tests.toy import toy_tokenizer

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def toy() -> PreTrainedTokenizerBase:
    return toy_tokenizer(family="smollm3")


def bench(url: str, tokenizer: Any) -> Bench:
    return Bench(Client(url, "m"), tokenizer, read_ids(tokenizer), "elsewhere", Sizes(), QUIET)


def cells(tokenizer: Any, fault: str = "", outcome: Outcome | None = None) -> dict[tuple[str, str], Cell]:
    with fake_server(tokenizer, fault) as url:
        one = bench(url, tokenizer)
        asked = forced.sayable(one, scripted(tokenizer, one.wire))
        found = forced.spoken(one, asked, outcome or Outcome("scripted ids"))
        return {(case.situation, case.mode): cell for case, cell in zip(asked, found, strict=True)}


def test_scripted_ids_are_asked_for_after_our_own_prompts(toy: PreTrainedTokenizerBase) -> None:
    found = cells(toy)
    assert {mode for _, mode in found} == {"no-think", "think, reasoned", "think, not reasoned"}
    assert found["tool named with quotes and emoji", "no-think"] == Cell(True, True, "")


@pytest.mark.parametrize(
    ("fault", "situation", "why"),
    [
        ("wrong parser", "two calls", "lost a call"),
        ("wrong parser", "text", "moved or changed the content"),
        ("out of context", "text", "raised out of context"),
        ("ids missing", "text", "gave no ids, or not all"),
        ("killed in mid-stream", "text", "raised the stream ended without"),
    ],
)
def test_what_a_server_does_wrong_is_in_the_cell(toy: PreTrainedTokenizerBase, fault: str, situation: str, why: str) -> None:
    assert cells(toy, fault)[situation, "no-think"].why.startswith(why)


def test_what_a_server_made_of_a_case_is_told_in_full(toy: PreTrainedTokenizerBase) -> None:
    outcome = Outcome("scripted ids")
    cells(toy, "wrong parser", outcome)
    told = {failure.place: failure for failure in outcome.failures}["tool named with quotes and emoji, no-think, streamed"]
    assert told.found.startswith("the server lost a call: calls none; content")
    assert 'calls tool "quoted" 🛠️({"city": "Zürich 🏔️"})' in told.expected
    assert outcome.total == 66


def test_server_that_ignores_the_ids_is_told(toy: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the plugin a server answers as its model does: no reading of that may count."""
    monkeypatch.setattr("tests.fake_openai.FORCED", "another_field")
    assert cells(toy)["text", "no-think"].why == "said other ids than it was made to"


def test_pairs_and_cells_as_they_are_written() -> None:
    assert [pair_of(text) for text in ("hf+hf", "hermes + none", "qwen3_coder")] == [("hf", "hf"), ("hermes", None), ("qwen3_coder", None)]
    assert cell("", "lost", "") == Cell(True, False, "lost")
    assert str(cell("", "")) == "✓"


def right(cases: list[Scripted]) -> Any:
    """What a parser that reads as we do would print for each case."""
    return {"readings": [[{"reasoning": case.strict.reasoning or "", "content": case.strict.content,
                           "calls": [[call.name, json.dumps(call.arguments)] for call in case.strict.calls]}] * 3
                         for case in cases]}  # fmt: skip


def test_rows_are_kept_when_servers_refuse_or_break(toy: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = (("hf", None), ("hf", "hf"), ("hermes", None), ("hermes", "qwen3"))

    @contextmanager
    def start(python: str, model: Path, flags: list[str], *rest: Any) -> Iterator[str]:
        if flags[:4] == ["--tool-call-parser", "hf", "--reasoning-parser", "hf"]:
            raise NotStarted("here", "ended with status 1: ValueError: no thinking field", "a server", "see the log")
        if "hermes" in flags:
            raise Gone("here", "the connection broke", "an answer", "see the log") if "qwen3" not in flags else KeyboardInterrupt
        with fake_server(toy) as url:
            yield url

    monkeypatch.setattr(matrix, "serving", start)
    monkeypatch.setattr(matrix, "drive", lambda python, folder, pairs, cases: [right(cases) for _ in pairs])
    monkeypatch.setattr(matrix, "bench_for", lambda url, *rest: bench(url, toy))
    toy.save_pretrained(str(tmp_path / "toy"))
    with pytest.raises(KeyboardInterrupt):
        matrix.run_matrix(tmp_path / "toy", "python", None, tmp_path, QUIET, pairs=pairs)
    found = json.loads((tmp_path / "matrix.json").read_text())
    assert [row["refused"] for row in found["live"]] == [
        None,
        "ended with status 1: ValueError: no thinking field",
        "started, then broke: the connection broke",
    ]
    assert all(row["cells"][0]["whole"] and row["cells"][1] is None for row in found["live_scripted"])
    text = (tmp_path / "matrix.md").read_text()
    assert "33 of 33" in text
    assert "no thinking field" in text


def test_sigterm_ends_the_server_that_was_started(tmp_path: Path) -> None:
    vllm = tmp_path / "python"
    vllm.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    vllm.chmod(0o700)
    term = Timer(2, os.kill, (os.getpid(), signal.SIGTERM))
    term.start()
    with pytest.raises(SystemExit), ended_by_sigterm(), serving(str(vllm), tmp_path, [], tmp_path / "log", QUIET):
        pass
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()

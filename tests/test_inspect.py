"""What became of a call, decided on ids and on what the client was given."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rich.console import Console
from transformers import PreTrainedTokenizerBase

from data.wire import read_ids
from eval.inspect import show
from eval.inspection import Fate, inspect_reply
from eval.serving.conversations import WEATHER
from eval.serving.reply import Reply, ServedCall
from tests.cli import run
from tests.fake_openai import fake_server
from tests.toy import toy_tokenizer

CALL = '{"name": "get_weather", "arguments": {"city": "Rome"}}'
GIVEN = [ServedCall("get_weather", '{"city": "Rome"}')]


@pytest.fixture(scope="module")
def toy() -> PreTrainedTokenizerBase:
    return toy_tokenizer(family="smollm2")


def ids_of(toy: Any, kind: str) -> list[int]:
    wire = read_ids(toy).form
    if kind == "native":
        return toy.encode(f"{wire.call_open}\n{CALL}\n{wire.call_close}{wire.turn_close}", add_special_tokens=False)
    if kind == "typed":  # the opening text in two pieces: other ids, the same text
        half = len(wire.call_open) // 2
        pieces = (wire.call_open[:half], f"{wire.call_open[half:]}\n{CALL}")
        return [token for piece in pieces for token in toy.encode(piece, add_special_tokens=False)]
    return toy.encode(CALL if kind == "JSON" else "Hello.", add_special_tokens=False)


@pytest.mark.parametrize(
    ("kind", "given", "served", "fate"),
    [
        ("native", GIVEN, True, Fate.NATIVE),
        ("native", [], True, Fate.LOST),
        ("native", [], False, Fate.NATIVE),
        ("typed", [], True, Fate.TYPED),
        ("typed", GIVEN, True, Fate.SALVAGED),
        ("JSON", GIVEN, True, Fate.SALVAGED),
        ("text", [], True, Fate.NONE),
    ],
)
def test_fate(toy: PreTrainedTokenizerBase, kind: str, given: list[ServedCall], served: bool, fate: Fate) -> None:
    ids, wire = ids_of(toy, kind), read_ids(toy)
    found = inspect_reply([1, 2], Reply("", "", given, ids, None, len(ids), "stop"), [WEATHER], toy, wire, served)
    assert found.fate is fate
    console = Console(record=True, width=200, quiet=True)
    show(found, toy, wire, console)


def test_command_prints_json_without_colour(toy: PreTrainedTokenizerBase, tmp_path: Any) -> None:
    toy.save_pretrained(str(tmp_path))
    with fake_server(toy, "wrong parser") as url:
        common = ("-m", "eval.inspect", "--prompt", "Rome?", "--base-url", url, "--tokenizer", str(tmp_path))
        told = run(*common)
        found = json.loads(run(*common, "--json"))
    assert "verdict: lost" in told
    assert "\x1b[" not in told
    assert found["verdict"] == "lost"
    assert found["strict"]["calls"][0]["name"] == "write_file"
    assert all(token["id"] is not None for token in found["completion"])


def test_no_script_of_eval_can_take_inspect_for_the_standard_librarys() -> None:
    assert "ok" in run("-c", "import eval.inspect, inspect; assert inspect.signature; print('ok')")

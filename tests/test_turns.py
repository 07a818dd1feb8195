"""Assistant turns as cases: of the native suite's dialogues and chains, and of a user's transcripts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from data.errors import UserError
from data.transcript import Transcript
from eval.case import Case
from eval.suites import native, transcripts
from eval.suites.files import FileSection
from eval.suites.turns import TurnKind, turn_cases

TRAIN = Path(__file__).parents[2] / "shared" / "data" / "train"
PARAMETERS = {"type": "object", "properties": {"x": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": name, "description": "", "parameters": PARAMETERS}} for name in ("look", "store")]


def call(name: str, x: str) -> dict:
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": name, "arguments": {"x": x}}}]}


USER = {"role": "user", "content": "?"}
RESULT = {"role": "tool", "content": "1"}
SAY = {"role": "assistant", "content": "Done."}
ROW = {
    "id": "t",
    "tools": TOOLS,
    "messages": [SAY, USER, call("look", "a"), RESULT, call("store", "1"), RESULT, SAY, USER, SAY, USER, call("look", "b")],
}


def test_each_turn_after_a_request_is_a_case_with_the_history_before_it() -> None:
    transcript = Transcript.model_validate(ROW)
    cases = turn_cases(transcript, "transcripts", "mine")
    assert [(case.id, case.slice) for case in cases] == [
        ("t:2", f"mine:{TurnKind.FIRST_CALL}"),
        ("t:4", f"mine:{TurnKind.NEXT_CALL}"),
        ("t:6", f"mine:{TurnKind.RESULT_ANSWER}"),
        ("t:8", f"mine:{TurnKind.ANSWER}"),
        ("t:10", f"mine:{TurnKind.LATER_CALL}"),
    ]
    assert [[(item.name, item.arguments) for item in case.expected] for case in cases] == [
        [("look", {"x": "a"})],
        [("store", {"x": "1"})],
        [],
        [],
        [("look", {"x": "b"})],
    ]
    assert all(case.messages == transcript.chat()[: int(case.id.split(":")[1])] for case in cases)


@pytest.fixture(scope="module")
def multi() -> list[Case]:
    return native.load({"dialogue": 6, "file_dialogue": 3, "chain": 12}, seed=3)


def test_multi_turn_kinds_measure_calls_and_what_follows_a_result(multi: list[Case]) -> None:
    assert {case.slice for case in multi} >= {"dialogue:first_call", "dialogue:later_call", "dialogue:answer", "file_dialogue:later_call"}
    chain = Counter(case.slice for case in multi if case.slice.startswith("chain"))
    assert chain == {"chain:first_call": 12, "chain:next_call_after_result": 12, "chain:answer_after_result": 12}
    assert native.load({"dialogue": 6, "file_dialogue": 3, "chain": 12}, seed=3) == multi


def test_the_second_call_of_a_chain_stores_what_only_the_first_result_says(multi: list[Case]) -> None:
    for case in multi:
        if case.slice == "chain:next_call_after_result":
            (stored,) = case.expected
            value = json.loads(case.messages[-1]["content"])
            assert stored.name == "write_file"
            assert stored.arguments["content"] in [item if isinstance(item, str) else json.dumps(item) for item in value.values()]


def test_a_missing_argument_is_to_be_asked_for() -> None:
    cases = native.load({"missing": 4, "small_talk": 4}, seed=0)
    assert {case.slice: case.asks for case in cases} == {"missing": True, "small_talk": False}


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"kinds call, parallel.*chain"):
        native.load({"cal": 3}, seed=0)


def test_rows_that_are_no_transcripts_or_come_twice_are_set_aside_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([json.dumps(ROW), json.dumps(ROW), '{"id": 1}', json.dumps({**ROW, "id": "u"})]))
    cases = transcripts.load([FileSection(path=path, name="mine")])
    assert Counter(case.id.split(":")[0] for case in cases) == {"mine/t": 5, "mine/u": 5}
    told = capsys.readouterr().err
    assert "2 of 4 rows set aside" in " ".join(told.split())
    assert "[duplicate_id]" in told


@pytest.mark.parametrize("name", ["sgd_dev_clean", "taskmaster4", "snips_validate", "star"])
def test_real_rows_become_cases(name: str) -> None:
    path = TRAIN / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    cases = transcripts.load([FileSection(path=path, limit=20)])
    assert len({case.id for case in cases}) == len(cases) >= 20
    assert any(case.expects_call for case in cases)
    assert {case.slice for case in cases} <= {f"{name}:{kind}" for kind in TurnKind}

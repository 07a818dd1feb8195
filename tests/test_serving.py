"""A sound server passes every check; a broken one is told exactly what is wrong with it."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from transformers import PreTrainedTokenizerBase

from data.response import read_response
from data.sources.messages import user
from data.wire import read_ids
from eval.serving.__main__ import measure
from eval.serving.agreement import failure_of
from eval.serving.bench import Bench, Sizes
from eval.serving.checks import CHECKS, failed, run
from eval.serving.client import Ask, Client, Gone, Refused, ServerFault
from eval.serving.conversations import NAME, WEATHER, conversations, parameters, tool
from eval.serving.outcome import Outcome, Status
from eval.serving.reply import Reply, ServedCall
from tests.cli import run as run_command
from tests.fake_openai import fake_server
from tests.toy import toy_tokenizer

SIZES = Sizes(conversations=44, prompts=4, repeats=4, concurrency=4, cases=1)


@pytest.fixture(scope="module")
def toy() -> PreTrainedTokenizerBase:
    return toy_tokenizer(family="smollm2")


def bench(url: str, tokenizer: Any) -> Bench:
    return Bench(Client(url, "m"), tokenizer, read_ids(tokenizer), "elsewhere", SIZES, Console(quiet=True))


def outcomes(tokenizer: Any, fault: str = "") -> dict[str, Outcome]:
    with fake_server(tokenizer, fault) as url:
        return {outcome.name: outcome for outcome in run(bench(url, tokenizer), CHECKS)}


def test_sound_server_passes(toy: PreTrainedTokenizerBase) -> None:
    found = outcomes(toy)
    assert [outcome.failures for outcome in found.values() if outcome.failures] == []
    assert not failed(list(found.values()))
    assert (found["prompt ids"].right, found["readings"].right, found["repeats"].right) == (44, 8, 4)
    assert "required" in found["tool_choice"].note


@pytest.mark.parametrize(
    ("fault", "check", "found", "remedy"),
    [
        ("other template", "prompt ids", "the server has", "--chat-template"),
        ("wrong parser", "readings", "lost a call", "--tool-call-parser"),
        ("killed in mid-stream", "readings", "after 1 chunks", "log"),
        ("out of context", "readings", "out of context", "--max-model-len"),
        ("ids missing", "readings", "gave no ids", "return_token_ids"),
        ("half a body", "readings", "cannot be read", "log"),
    ],
)
def test_broken_server_is_told(toy: PreTrainedTokenizerBase, fault: str, check: str, found: str, remedy: str) -> None:
    told = outcomes(toy, fault)[check]
    assert told.status is Status.FAILED
    assert any(found in failure.found and remedy in failure.remedy and failure.expected for failure in told.failures), told.failures


def test_first_difference_shows_tokens_in_context(toy: PreTrainedTokenizerBase) -> None:
    failure = outcomes(toy, "other template")["prompt ids"].failures[0]
    assert "prompt token" in failure.place
    assert "→" in failure.found
    assert failure.found != failure.expected


def test_server_that_is_gone_ends_the_run() -> None:
    toy = toy_tokenizer(family="smollm2")
    with fake_server(toy) as url:
        gone = bench(url, toy)
    found = run(gone, CHECKS)
    assert "no server answers" in found[0].failures[0].found
    assert {outcome.note for outcome in found[1:]} == {"not run: the server is gone"}
    assert failed(found)


def test_what_was_found_before_the_server_died_is_kept(
    toy: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as server:
        one = bench(server.enter_context(fake_server(toy)), toy)
        first = CHECKS["wire tokens are one id"]

        def dies(bench: Bench, outcome: Outcome) -> None:
            first(bench, outcome)
            server.close()
            bench.client.card()

        monkeypatch.setattr("eval.serving.__main__.CHECKS", {"dies": dies, "readings": CHECKS["readings"]})
        assert measure(one, False, [], tmp_path) == 2
    dead, left = json.loads((tmp_path / "serving.json").read_text())["checks"]
    assert dead["right"]
    assert "no server answers" in dead["failures"][0]["found"]
    assert left["note"] == "not run: the server is gone"


def test_what_was_found_before_an_interruption_is_kept_and_is_not_finished(
    toy: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(bench: Bench, outcome: Outcome) -> None:
        def second(number: int) -> None:
            if number:
                raise KeyboardInterrupt

        bench.each(outcome, [0, 1], second, workers=1)

    monkeypatch.setattr("eval.serving.__main__.CHECKS", {"wire tokens are one id": CHECKS["wire tokens are one id"], "stops": stops})
    with fake_server(toy) as url, pytest.raises(KeyboardInterrupt):
        measure(bench(url, toy), False, [], tmp_path)
    written = json.loads((tmp_path / "serving.json").read_text())
    assert (written["passed"], written["finished"]) == (False, False)
    first, second = (check["total"] for check in written["checks"])
    assert first > 0
    assert second == 1


def test_tool_named_with_quotes_and_emoji(toy: PreTrainedTokenizerBase) -> None:
    ask = Ask([user("Rome?")], [tool(NAME, parameters=parameters(city="string"))])
    with fake_server(toy) as url:
        one = bench(url, toy)
        for streamed in (False, True):
            reply = one.answer(ask, streamed)
            assert one.judged("here", ask, reply) is None
            assert [(call.name, json.loads(call.arguments)) for call in reply.calls] == [(NAME, {"city": "Rome 🏛️"})]


def test_blank_completions_are_counted_apart(toy: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every parser reads nothing right: a model that says nothing proves nothing of its server."""
    assert "blank" not in outcomes(toy)["readings"].note
    monkeypatch.setattr("tests.fake_openai.answered", lambda tokenizer, body: tokenizer.encode(" <|im_end|>", add_special_tokens=False))
    assert outcomes(toy)["readings"].note == "native calls in 0 of 8 completions; 8 blank"


def test_refusal_is_not_a_broken_connection(toy: PreTrainedTokenizerBase) -> None:
    with fake_server(toy) as url, pytest.raises(Refused, match="cannot guarantee"):
        Client(url, "m").chat(Ask([user("Hi")], [WEATHER], options={"tool_choice": "required"}))
    with pytest.raises(Gone, match="no server answers"):
        Client(url, "m").chat(Ask([user("Hi")]))


def test_other_model_is_named(toy: PreTrainedTokenizerBase) -> None:
    with fake_server(toy) as url, pytest.raises(ServerFault, match="serves m"):
        Client(url, "other").card()


def test_folder_may_be_named_by_another_path(toy: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m").mkdir()
    monkeypatch.chdir(tmp_path)
    with fake_server(toy) as url:
        client = Client(url, str(tmp_path / "m"))
        assert (client.card()["id"], client.model) == ("m", "m")


def test_conversations_are_as_many_as_asked_for_and_differ(toy: PreTrainedTokenizerBase) -> None:
    found = conversations(200, read_ids(toy).form)
    assert len({json.dumps(one[1:], ensure_ascii=False) for one in found}) == len(found) == 200
    assert any(message["content"] is None for one in found for message in one.messages)


@pytest.mark.parametrize(("opened", "by_model"), [(True, True), (False, False)])
def test_repair_of_a_malformed_call_is_stated_and_a_call_made_of_text_is_not(
    opened: bool, by_model: bool, toy: PreTrainedTokenizerBase
) -> None:
    """JSON that names a key twice is no call to a strict reader, and one to vLLM's."""
    body = '{"name": "get_weather", "arguments": {"city": "Rome", "city": "Oslo"}}'
    text = f"<tool_call>\n{body}\n</tool_call>" if opened else body
    ids = toy.encode(text, add_special_tokens=False)
    reply = Reply("", "", [ServedCall("get_weather", '{"city": "Oslo"}')], ids, None, len(ids), "stop")
    failure = failure_of("prompt 1", reply, read_response(ids, toy, read_ids(toy)))
    assert failure
    assert failure.by_model is by_model
    outcome = Outcome("readings")
    outcome.count(failure)
    outcome.count(None)
    assert (outcome.right, outcome.total, outcome.status) == (1, 2, Status.STATED if by_model else Status.FAILED)


def test_call_that_ends_at_a_closing_token_inside_a_string_is_the_servers_loss_that_no_flag_mends(toy: PreTrainedTokenizerBase) -> None:
    ids = toy.encode('<tool_call>\n{"name": "sow", "arguments": {"how": "in rows</tool_call>"}}\n</tool_call>', add_special_tokens=False)
    reply = Reply('"}}\n</tool_call>', "", [], ids, None, len(ids), "stop")
    failure = failure_of("prompt 1", reply, read_response(ids, toy, read_ids(toy)))
    assert failure
    assert failure.found.startswith("the server cut a call at a closing token inside a string: calls none")
    assert failure.remedy.startswith("no flag changes it")
    assert not failure.by_model


def test_command_exits_2_and_writes_what_is_wrong(toy: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    toy.save_pretrained(str(tmp_path / "toy"))
    with fake_server(toy, "other template") as url:
        text = run_command(
            "-m", "eval.serving", "--base-url", url, "--model", "m", "--tokenizer", str(tmp_path / "toy"), "--out", str(tmp_path),
            "--conversations", "4", "--prompts", "2", "--repeats", "2", "--concurrency", "2", status=2,
        )  # fmt: skip
    written = json.loads((tmp_path / "serving.json").read_text())
    assert not written["passed"]
    assert {check["check"]: check["status"] for check in written["checks"]}["prompt ids"] == "failed"
    assert "expected:" in text

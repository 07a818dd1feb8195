"""What `complete_all` keeps, asks again and refuses, with scripted backends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import UserError
from eval.backends.protocol import Decoding, Request
from eval.backends.scripted import Line, ScriptedBackend, read_script
from eval.completion import Completion, Key, read_completions
from eval.generate import complete_all, too_many_errors
from eval.lock import locked
from tests.cli import ROOT

STOP = 2


def requests(count: int, repeats: int = 1) -> list[Request]:
    return [Request(Key(f"case-{at}", repeat), [5], [], [], 60_000) for at in range(count) for repeat in range(repeats)]


def run(folder: Path, script: dict[str, Line], asked: list[Request]) -> list[Completion]:
    return complete_all(asked, ScriptedBackend(script, STOP), Decoding(), folder / "completions.jsonl")


def test_what_is_done_is_not_asked_for_again(tmp_path: Path) -> None:
    first = run(tmp_path, {"case-0": [7, STOP], "case-1": RuntimeError("lost")}, requests(2))
    assert [one.finish for one in first] == ["stop", "error"]
    second = run(tmp_path, {"case-0": [9, STOP], "case-1": [8, STOP]}, requests(3))
    assert [one.ids for one in second] == [[7, STOP], [8, STOP], None]
    assert second[2].error == "KeyError: the script has no line for case-2"
    assert read_completions(tmp_path / "completions.jsonl") == second


def test_repeats_are_completions_of_their_own(tmp_path: Path) -> None:
    found = run(tmp_path, {"case-0": [7, STOP]}, requests(1, repeats=3))
    assert [one.key for one in found] == [("case-0", 0), ("case-0", 1), ("case-0", 2)]


def test_a_line_cut_short_is_done_again(tmp_path: Path) -> None:
    script: dict[str, Line] = {f"case-{at}": [at + 3, STOP] for at in range(3)}
    whole = run(tmp_path, script, requests(3))
    path = tmp_path / "completions.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    assert run(tmp_path, script, requests(3)) == whole


def test_text_without_ids_and_very_long_output_are_kept(tmp_path: Path) -> None:
    text = 'Said <b>so</b>,\u2028 "thus" \ud83d'  # half of a surrogate pair, as a JSON escape may spell
    found = run(tmp_path, {"case-0": text, "case-1": [7] * 50_000}, requests(2))
    assert (found[0].ids, found[0].text) == (None, text)
    assert (len(found[1].ids or []), found[1].finish) == (50_000, "length")
    assert read_completions(tmp_path / "completions.jsonl") == found


def test_a_backend_that_breaks_off_loses_nothing(tmp_path: Path) -> None:
    class Dying(ScriptedBackend):
        def complete(self, *args: object, **kwargs: object):  # type: ignore[no-untyped-def, override]
            for number, one in enumerate(super().complete(*args, **kwargs)):  # type: ignore[arg-type]
                if number == 2:
                    raise UserError("worker", "gone", "alive", "again")
                yield one

    script: dict[str, Line] = {f"case-{at}": [at + 3, STOP] for at in range(5)}
    path = tmp_path / "completions.jsonl"
    for kept in (2, 4):
        with pytest.raises(UserError, match="gone"):
            complete_all(requests(5), Dying(script, STOP), Decoding(), path)
        assert len(read_completions(path)) == kept
    assert [one.ids for one in run(tmp_path, script, requests(5))] == [[at + 3, STOP] for at in range(5)]


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    script = "import sys, pathlib, eval.lock as lock\nwith lock.locked(pathlib.Path(sys.argv[1])): print('written')"
    command = [sys.executable, "-c", script, str(tmp_path)]
    with locked(tmp_path), locked(tmp_path):
        refused = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert "another process is writing to it" in refused.stderr
    assert "written" in subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout


LIMITS = [(0, 0, False), (1, 0, True), (1, 0.1, False), (2, 0.1, True), (3, 3, False), (4, 3, True)]


@pytest.mark.parametrize(("errors", "limit", "fails"), LIMITS)
def test_the_limit_on_errors_is_a_share_or_a_number(errors: int, limit: float, fails: bool) -> None:
    found = [one.failed("HTTP 500") for one in requests(errors)] + [one.completed([STOP], "stop", 0) for one in requests(10 - errors)]
    reason = too_many_errors(found, limit)
    assert (reason is not None) == fails
    if reason:
        assert f"{errors} of 10 completions are errors" in reason
        assert "case-0: HTTP 500" in reason
    assert too_many_errors([], limit) is not None


def test_a_script_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text('{"a": [1, 2], "b": "text", "c": {"error": "gone"}}')
    script = read_script(path)
    assert (script["a"], script["b"], repr(script["c"])) == ([1, 2], "text", "RuntimeError('gone')")
    path.write_text("[1, 2")
    with pytest.raises(UserError, match="mend the script"):
        read_script(path)

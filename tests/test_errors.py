"""What a user sees when something is wrong: place, found, expected, remedy, and an exit status."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from safetensors import SafetensorError

from data.build import build, load_config
from data.errors import UserError, reported
from data.sources.jsonl import Rejected, read_rows
from data.tokenizer import load_tokenizer
from data.wire import WireTokenError, read_ids
from eval.config import load_config as load_eval_config
from eval.fingerprint import claim
from tests.toy import toy_tokenizer

ROW = {
    "id": "a",
    "tools": [{"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}}}],
    "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]},
    ],
}


def failing(error: BaseException) -> Callable[[], int]:
    def main() -> int:
        raise error

    return reported(main)


def test_user_error_is_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(UserError("place", "this", "that", "do so"))() == 1
    text = capsys.readouterr().err
    assert [word for word in ("place", "found:", "expected:", "remedy:") if word not in text] == []
    assert "Traceback" not in text


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "out/model.safetensors"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),
    ],
)
def test_full_disk_is_told(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(error)() == 1
    text = capsys.readouterr().err
    assert [word for word in ("no space left", "expected:", "remedy:") if word not in text] == []


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="not a ZIP archive"):
        failing(RuntimeError("[enforce fail at inline_container.cc:258] . PytorchStreamReader failed: not a ZIP archive"))()
    with pytest.raises(ValueError, match="no"):
        failing(ValueError("no"))()
    with pytest.raises(PermissionError):
        failing(PermissionError(errno.EACCES, "no"))()


@pytest.mark.parametrize("load", [load_config, load_eval_config])
def test_unknown_key_names_itself(load: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"sources": [], "sede": 1}))
    with pytest.raises(UserError, match="sede"):
        load(path)


@pytest.mark.parametrize("load", [load_config, load_eval_config])
def test_missing_file(load: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "none.yaml")


def test_unknown_kind_of_transcript(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"sources": [{"type": "synthetic", "train": 1, "validation": 1, "mix": {"cal": 1}}]}))
    with pytest.raises(UserError, match="mix names cal"):
        load_config(path)


def changed(change: Callable[[dict], None]) -> str:
    row = json.loads(json.dumps(ROW))
    change(row)
    return json.dumps(row)


@pytest.mark.parametrize(
    ("line", "rule", "words"),
    [
        ("{not json", "json", "not a JSON object"),
        (changed(lambda row: row.update(extra=1)), "schema", "extra"),
        (changed(lambda row: row["messages"][1]["tool_calls"][0]["function"].update(arguments="{}")), "schema", "arguments"),
        (changed(lambda row: row["messages"][1]["tool_calls"][0]["function"].update(name="g")), "call", "names g; tools are f"),
        (changed(lambda row: row["messages"].append({"role": "user", "content": "?"})), "order", "comes before 1 tool result"),
        (changed(lambda row: row["messages"].pop()), "no_assistant", "nothing to learn"),
        (changed(lambda row: row["tools"].append(row["tools"][0])), "duplicate_tool", "offered twice"),
    ],
)
def test_malformed_row_has_line_and_rule(line: str, rule: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + line + "\n")
    good, bad = read_rows(path)
    assert not isinstance(good, Rejected)
    assert isinstance(bad, Rejected)
    assert (bad.place, bad.rule) == ("rows.jsonl:2", rule)
    assert words in bad.message


def test_gzip_source_is_split_by_tool_name(tmp_path: Path) -> None:
    import gzip

    from rich.console import Console

    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as file:
        for index in range(30):
            file.write(changed(lambda row, index=index: row.update(id=str(index))) + "\n")  # type: ignore[misc]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"sources": [{"type": "jsonl", "path": str(tmp_path / "rows.jsonl.gz")}]}))
    splits, rejected = build(load_config(tmp_path / "c.yaml"), Console(quiet=True))
    assert rejected == []
    assert sorted(map(len, splits.values())) == [0, 30]


def test_wire_token_of_several_ids_names_token_and_remedy() -> None:
    with pytest.raises(WireTokenError, match=r"(?s)<tool_call>.* ids.*one id.*remedy"):
        read_ids(toy_tokenizer(thinking=False, calls=False))


def test_folder_without_a_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)with a tokenizer.*remedy"):
        load_tokenizer(str(tmp_path))


def test_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    claim(tmp_path, {"model": "a"})
    claim(tmp_path, {"model": "a"})
    with pytest.raises(UserError, match="differs in model"):
        claim(tmp_path, {"model": "b"})

"""An exported folder is whole or absent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import UserError
from data.manifest import write_manifest
from tests.cli import ROOT
from train.staging import check_target, staged

KILLED = """
import os, sys; from pathlib import Path; from train.staging import staged
with staged(Path(sys.argv[1])) as folder:
    (folder / "manifest.json").write_text("{}"); os._exit(9)
"""


def interrupted(out: Path) -> None:
    with staged(out) as folder:
        (folder / "new").touch()
        raise KeyboardInterrupt


def test_folder_appears_at_the_end(tmp_path: Path) -> None:
    with staged(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert os.listdir(tmp_path) == ["out"]
    assert (tmp_path / "out/a").read_text() == "1"


def test_nothing_is_left_of_a_failure_and_the_old_one_stands(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "out")
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(tmp_path / "out") == ["old"]


def test_finished_folder_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    with staged(tmp_path / "out") as folder:
        (folder / "new").touch()
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(tmp_path / "out") == ["new"]


def test_killed_process_leaves_no_folder_of_that_name(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "out")], cwd=ROOT, check=False)
    assert done.returncode == 9
    assert not (tmp_path / "out").exists()


def test_target_is_refused(tmp_path: Path) -> None:
    check_target(tmp_path / "new", ("merged",), force=False)
    check_target(tmp_path, ("merged",), force=False)
    write_manifest(tmp_path, "merged")
    with pytest.raises(UserError, match="--force"):
        check_target(tmp_path, ("merged",), force=False)
    check_target(tmp_path, ("merged",), force=True)
    write_manifest(tmp_path, "adapter")
    with pytest.raises(UserError, match="no finished export"):
        check_target(tmp_path, ("merged",), force=True)

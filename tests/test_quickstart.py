"""How long the quickstart trains: what is asked for, or what the other stages leave of half an hour."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from rich.console import Console

SCRIPT = Path(__file__).parents[1] / "scripts" / "quickstart.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("seconds", "minutes"),
    [
        ({"set-up": 150, "base": 43, "data": 30, "evaluate base": 100}, 15.87),
        ({"set-up": 124, "base": 26, "data": 48, "evaluate base": 160}, 11.03),  # entry 47 took 30 minutes and 9 seconds with 12.4
        ({"set-up": 0, "base": 10, "data": 10, "evaluate base": 30}, 24.0),  # no more than the data is for
        ({"set-up": 600, "base": 60, "data": 60, "evaluate base": 300}, 6.0),  # too little would teach nothing
    ],
)
def test_training_gets_what_is_left(script: ModuleType, tmp_path: Path, seconds: dict[str, float], minutes: float) -> None:
    quickstart = script.Quickstart(tmp_path, None, Console(quiet=True))
    assert quickstart.minutes() == 24.0
    assert not (tmp_path / "minutes.json").exists()
    quickstart.seconds = seconds
    assert quickstart.minutes() == pytest.approx(minutes, abs=0.1)
    quickstart.seconds = seconds | {"train": 900.0}
    assert quickstart.minutes() == pytest.approx(minutes, abs=0.1)  # as chosen, when it goes on after an interruption


def test_the_long_recipe_has_its_own_configurations(script: ModuleType, tmp_path: Path) -> None:
    long = script.Quickstart(tmp_path, 45.0, Console(quiet=True), script.LONG)
    train = next(stage.command for stage in long.stages() if stage.name == "train")
    assert train[train.index("--config") + 1] == "configs/sft/smollm2_long.yaml"
    drawn = yaml.safe_load((tmp_path / "data.yaml").read_text())["sources"][0]["train"]
    whole = yaml.safe_load((SCRIPT.parents[1] / "configs/data/long.yaml").read_text())["sources"][0]["train"]
    assert drawn == whole / 2  # half of the minutes, half of the draws


def test_asked_minutes_win(script: ModuleType, tmp_path: Path) -> None:
    quickstart = script.Quickstart(tmp_path, 3.0, Console(quiet=True))
    quickstart.seconds = {"evaluate base": 100.0}
    assert quickstart.minutes() == 3.0
    commands = {stage.name: stage.command for stage in quickstart.stages()}
    assert commands["train"][commands["train"].index("--max_minutes") + 1] == "3.0"

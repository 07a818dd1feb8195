"""Every shipped config loads; a wrong one says what is wrong with it."""

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser

from data.errors import UserError
from train.arguments import parse_arguments

ROOT = Path(__file__).parents[1]
SFT = sorted((ROOT / "configs" / "sft").glob("*.yaml"))
ACCELERATE = sorted((ROOT / "accelerate_configs").glob("*.yaml"))


@pytest.mark.parametrize("path", SFT, ids=lambda path: path.stem)
def test_sft_config_parses(path: Path) -> None:
    data_args, training_args, model_args = parse_arguments(["--config", str(path), "--use_cpu", "true"])
    assert data_args.dataset_dir
    assert training_args.output_dir
    assert model_args.model_name_or_path


@pytest.mark.parametrize("path", ACCELERATE, ids=lambda path: path.stem)
def test_accelerate_config_loads(path: Path) -> None:
    """`load_config_from_file` checks the top level only; a misspelt nested key would be ignored by the launcher."""
    config = load_config_from_file(str(path))
    options = {action.dest for action in launch_command_parser()._actions}
    assert set(config.fsdp_config) | set(config.deepspeed_config) <= options


def test_configs_are_found() -> None:
    assert {"smollm2_quickstart", "smollm3_lora", "smollm3_qlora"} <= {path.stem for path in SFT}
    assert {"cpu", "cpu_ddp", "single_gpu", "ddp", "fsdp2", "zero3"} <= {path.stem for path in ACCELERATE}


def test_unknown_key_names_it_and_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "sft.yaml"
    path.write_text("model_name_or_path: m\ndataset_dir: d\noutput_dir: o\nlearning_rat: 1.0e-4\n")
    with pytest.raises(UserError, match=r"unknown keys learning_rat\b(?s:.*)did you mean learning_rate\?"):
        parse_arguments(["--config", str(path), "--use_cpu", "true"])


def test_missing_file_is_a_user_error(tmp_path: Path) -> None:
    path = tmp_path / "absent.yaml"
    with pytest.raises(UserError, match="no such file") as error:
        parse_arguments(["--config", str(path)])
    assert error.value.place == str(path)


def test_trees_and_packing_exclude_each_other() -> None:
    with pytest.raises(UserError, match="share_prefixes with packing"):
        parse_arguments(["--config", str(ROOT / "configs/sft/smoke.yaml"), "--share_prefixes", "true", "--packing", "true"])


def test_muon_is_refused_where_matrices_are_sharded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UserError, match="muon with FSDP"):
        parse_arguments(["--config", str(ROOT / "configs/sft/smoke.yaml"), "--muon", "true"])


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--decision_weight", "0"), "decision_weight 0"),
        (("--structure_weight", "2", "--loss_type", "dft"), "loss_type with"),
        (("--label_smoothing_factor", "0.1"), "label_smoothing_factor with"),
    ],
)
def test_weights_are_refused_where_they_would_not_count(options: tuple[str, ...], found: str) -> None:
    with pytest.raises(UserError, match=found):
        parse_arguments(["--config", str(ROOT / "configs/sft/smoke.yaml"), *options])

"""What TRL lacks: our own arguments of a fine-tuning run, and one way to read YAML and command line together."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from accelerate.utils import parse_flag_from_env
from trl import ModelConfig, SFTConfig, TrlParser

from data.errors import UserError


@dataclass
class DataArguments:
    """Where the transcripts are, how long the run may take, and what is measured on the way."""

    dataset_dir: str = field(metadata={"help": "Folder made by data.build: train.jsonl, validation.jsonl."})
    max_eval_examples: int = field(default=200, metadata={"help": "Validation transcripts scored for eval_loss."})
    embedding_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of the added wire tokens' rows; learning_rate if not set."}
    )
    muon: bool = field(
        default=False,
        metadata={
            "help": "Update LoRA's matrices with Muon, everything else with optim. Its momentum is adam_beta1, its updates are "
            "scaled so that learning_rate means what it means for AdamW; about twice AdamW's did well. Not with FSDP or DeepSpeed."
        },
    )
    decision_weight: float = field(
        default=1.0,
        metadata={
            "help": "Weight in the loss of an answer's first token, which opens a call, its reasoning, or neither, and of the one after a "
            "call, which ends the answer or begins another call; others have 1."
        },
    )
    call_weight: float = field(
        default=1.0,
        metadata={"help": "Factor on decision_weight where the first token opens a call: above 1 an unsure model calls more."},
    )
    structure_weight: float = field(
        default=1.0,
        metadata={
            "help": "Weight in the loss of a call's tokens after a bracket, quote, colon, digit or backslash, where JSON goes wrong."
        },
    )
    text_weight: float = field(
        default=1.0,
        metadata={
            "help": "Weight in the loss of text outside calls, after an answer's first token. Below 1 where calls matter most: how a "
            "refusal is worded cannot be foreseen, and in a short run that takes more of the loss than all calls do."
        },
    )
    max_minutes: float | None = field(
        default=None,
        metadata={"help": "Wall-clock budget of the training loop. The learning rate decays by whichever is further on, steps or minutes."},
    )
    share_prefixes: bool = field(
        default=False,
        metadata={
            "help": "Lay transcripts over the same tools into one row of at most max_length ids that reads the tools once. "
            "per_device_train_batch_size then counts such rows."
        },
    )
    frozen_int8: bool = field(
        default=False,
        metadata={
            "help": "CPU only: compute with the frozen base's linear layers in int8 (seven bits for what they read, on a processor with "
            "AVX2 alone), forward and backward, where a short measurement shows that to be faster; elsewhere they stay as they are."
        },
    )
    native_bf16: bool = field(
        default=False,
        metadata={
            "help": "CPU only: like bf16, compute LoRA, attention and the output head in bfloat16, but only on a processor that "
            "multiplies it natively; others would emulate it, and stay with float32."
        },
    )
    compile_layers: bool = field(
        default=False, metadata={"help": "Compile each decoder layer with torch.compile; on a CPU that needs a C++ compiler."}
    )
    eval_config: str | None = field(
        default=None,
        metadata={"help": "YAML of eval.run whose cases are measured during training; few, their time is training time."},
    )
    margin_steps: int | None = field(default=None, metadata={"help": "Measure first-token margins every so many steps."})
    emission_steps: int | None = field(default=None, metadata={"help": "Complete all cases of eval_config every so many steps."})
    max_false_call_rate: float = field(
        default=0.25, metadata={"help": "The best checkpoint is the one with the most native calls among those within this rate."}
    )


WEIGHTS = ("decision_weight", "call_weight", "structure_weight", "text_weight")
Arguments = tuple[DataArguments, SFTConfig, ModelConfig]


def parse_arguments(argv: list[str] | None = None) -> Arguments:
    """Read `--config FILE` and overriding flags; an unknown key or a missing file is a `UserError`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = TrlParser((DataArguments, SFTConfig, ModelConfig), description=SFT_HELP)  # type: ignore[arg-type]
    config = argv[argv.index("--config") + 1] if "--config" in argv[:-1] else None
    if config:
        _check_config(Path(config), parser)
    try:
        data_args, training_args, model_args = parser.parse_args_and_config(argv)
    except (ValueError, TypeError) as error:
        raise UserError(
            config or "command line", str(error), "arguments that SFTConfig and ModelConfig accept", "mend the value"
        ) from error
    if not training_args.output_dir or not model_args.model_name_or_path:
        raise UserError(
            config or "command line", "no output_dir or no model_name_or_path", "both", "add them to the YAML file or the command line"
        )
    _reconcile(config or "command line", data_args, training_args)
    return data_args, training_args, model_args


def _reconcile(place: str, data_args: DataArguments, training_args: SFTConfig) -> None:
    """Refuse what cannot go together; hand our finished rows to the trainer as they are."""
    if data_args.frozen_int8 and training_args.device.type != "cpu":
        raise UserError(place, f"frozen_int8 on {training_args.device.type}", "a CPU", "on a GPU use load_in_4bit (QLoRA), or neither")
    _check_weights(place, data_args, training_args)
    sharded = [name for name in ("FSDP", "DEEPSPEED") if parse_flag_from_env(f"ACCELERATE_USE_{name}")]
    if data_args.muon and sharded:
        raise UserError(
            place, f"muon with {sharded[0]}", "whole matrices on every process", "leave muon out, or use accelerate_configs/ddp.yaml"
        )
    if not data_args.share_prefixes:
        return
    if training_args.packing or training_args.padding_free:
        raise UserError(place, "share_prefixes with packing or padding_free", "one of them", "leave packing and padding_free out")
    training_args.dataset_kwargs = {"skip_prepare_dataset": True}
    training_args.remove_unused_columns = False


def _check_weights(place: str, data_args: DataArguments, training_args: SFTConfig) -> None:
    weights = {name: getattr(data_args, name) for name in WEIGHTS}
    for name, weight in weights.items():
        if weight <= 0:
            raise UserError(place, f"{name} {weight}", "a weight above 0", "every supervised token counts; 1 is the weight of all others")
    others = {"use_liger_kernel": False, "loss_type": "nll", "label_smoothing_factor": 0.0}
    for name, usual in others.items():
        if set(weights.values()) != {1.0} and getattr(training_args, name) != usual:
            raise UserError(place, f"{name} with {' or '.join(weights)}", "one of them", f"leave {name} out: its loss would not be weighed")


def _check_config(path: Path, parser: TrlParser) -> None:
    """Fail on a missing file, on something that is no mapping, and on unknown keys, before anything is loaded."""
    if not path.is_file():
        raise UserError(str(path), "no such file", "a YAML file", "configs/sft/ holds examples")
    try:
        config = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserError(str(path), f"not YAML: {error}", "a YAML mapping", "mend the line named above") from error
    if not isinstance(config, dict):
        raise UserError(str(path), type(config).__name__, "a YAML mapping of argument names to values", "see configs/sft/")
    known = {action.dest for action in parser._actions} | {"env"}
    unknown = sorted(set(config) - known)
    if unknown:
        raise UserError(
            str(path),
            f"unknown keys {', '.join(unknown)}",
            "fields of SFTConfig, ModelConfig or DataArguments",
            f"did you mean {', '.join(_nearest(key, known) for key in unknown)}?",
        )


def _nearest(key: str, known: set[str]) -> str:
    import difflib

    return (difflib.get_close_matches(key, known, n=1, cutoff=0.0) or ["?"])[0]


SFT_HELP = (
    "Fine-tune with LoRA on rendered, proven transcripts. Every field of TRL's SFTConfig and ModelConfig is an option and a YAML key; "
    "flags override the file. Re-running the same command resumes from the last checkpoint."
)

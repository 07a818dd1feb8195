"""Speed of training on this machine, beside stock rows in the same run: `python scripts/bench_train.py --data outputs/data/quickstart`

The peer trains one transcript a row with the same trainer, LoRA and loss, as SFTTrainer does with `per_device_train_batch_size: 1`. Ours
is measured step by step: trees of transcripts that share their tools, trained rows apart from their table, frozen layers in int8, compiled
layers, the rest in bfloat16 where the processor has it (with AMX the frozen layers, too, instead of int8). Each takes the same transcripts
forward and backward, in turn, so that a machine whose speed drifts is unfair to none; the optimizer and the compiling are not counted.
Rows `{name, value, unit, peer, peer_value, ratio, n}` go to `--json F`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from peft.utils.other import TrainableTokensWrapper
from rich.console import Console
from rich.progress import track
from rich.table import Table

from data.errors import reported
from data.manifest import write_json
from data.memory import keep_freed_memory
from data.render import Rendered
from train.arguments import parse_arguments
from train.dataset import columns, read_transcripts, render_all
from train.head import RowsApart
from train.layers import compile_layers
from train.sft import Trainer, build_trainer, prepare_tokenizer
from train.shared_prefix import IGNORED

CONFIG = "configs/sft/smollm2_quickstart.yaml"
PEER = "one transcript a row"


class Flags(NamedTuple):
    share_prefixes: bool = False
    rows_apart: bool = False
    frozen_int8: bool = False
    compile_layers: bool = False
    native_bf16: bool = False


VARIANTS = {
    PEER: Flags(),
    "trees": Flags(True),
    "trees, rows apart": Flags(True, True),
    "trees, rows apart, int8": Flags(True, True, True),
    "trees, rows apart, int8, compiled": Flags(True, True, True, True),
    "trees, rows apart, int8, compiled, bfloat16": Flags(True, True, True, True, True),
}
Group = list[tuple[str, Rendered]]


def labelled(row: dict[str, list[int]]) -> dict[str, list[int]]:
    """Labels as SFTTrainer makes them of its masks."""
    return {"labels": [token if mask else IGNORED for token, mask in zip(row["input_ids"], row["assistant_masks"], strict=True)]}


@dataclass
class Measured:
    """A trainer and the seconds that its steps took."""

    trainer: Trainer
    share_prefixes: bool
    max_length: int | None
    seconds: float = 0.0

    def batches(self, group: Group) -> Iterator[Any]:
        rows = columns(group, self.max_length, self.share_prefixes)
        if not self.share_prefixes:
            rows = rows.map(
                lambda row: {"labels": [i if m else -100 for i, m in zip(row["input_ids"], row["assistant_masks"], strict=True)]}
            )
        for row in rows:
            yield self.trainer.data_collator([row])

    def step(self, group: Group, counted: bool = True) -> None:
        """Forward and backward over the transcripts of `group`."""
        batches, model = list(self.batches(group)), self.trainer.model
        began = time.monotonic()
        for batch in batches:
            with self.trainer.compute_loss_context_manager():
                loss = self.trainer.compute_loss(model, batch)
            loss.backward()
            model.zero_grad()
        self.seconds += (time.monotonic() - began) * counted


def prepare(args: argparse.Namespace, folder: str, flags: Flags, group: Group, console: Console) -> Measured:
    settings = {name: value for name, value in flags._asdict().items() if name != "rows_apart"}
    options = {"model_name_or_path": args.base, "dataset_dir": args.data, "output_dir": folder, **settings}
    data_args, training_args, model_args = parse_arguments(
        ["--config", CONFIG, *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
    )
    tokenizer, _ = prepare_tokenizer(model_args, training_args)
    trainer = build_trainer(
        data_args, training_args, model_args, tokenizer, columns(group, training_args.max_length, flags.share_prefixes), None
    )
    trainer.model.train()
    if not flags.rows_apart:
        for module in trainer.model.modules():
            if isinstance(module, RowsApart):
                module.__class__ = TrainableTokensWrapper  # as PEFT made it
    if flags.compile_layers:
        compile_layers(trainer.model, console)
    return Measured(trainer, flags.share_prefixes, training_args.max_length)


def scenes(args: argparse.Namespace) -> list[Group]:
    """Transcripts that follow each other over the same tools, `--scenes` groups of them, rendered and proven."""
    data_args, training_args, model_args = parse_arguments(
        ["--config", CONFIG, "--model_name_or_path", args.base, "--dataset_dir", args.data]
    )
    tokenizer, wire = prepare_tokenizer(model_args, training_args)
    chosen = [row for row in read_transcripts(Path(data_args.dataset_dir) / "train.jsonl") if row.meta.get("kind") == "scene"]
    examples, _ = render_all(chosen[: args.scenes * 12], tokenizer, wire, training_args.max_length, "render and prove")
    return [list(group) for _, group in groupby(examples, key=lambda example: example[0])][: args.scenes]


def rows_of(found: dict[str, Measured], groups: list[Group]) -> list[dict[str, Any]]:
    count = sum(map(len, groups))
    tokens = sum(len(row.input_ids) for group in groups for _, row in group)
    peer = count / found[PEER].seconds
    return [
        {
            "name": name, "value": count / one.seconds, "unit": "transcripts/s", "peer": PEER, "peer_value": peer,
            "ratio": count / one.seconds / peer, "n": count, "tokens": tokens,
        }
        for name, one in found.items()
    ]  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="outputs/base/smollm2-135m", help="folder left by train.base")
    parser.add_argument("--data", default="outputs/data/quickstart", help="folder left by data.build")
    parser.add_argument("--scenes", type=int, default=8, help="tool lists measured, about ten transcripts each (default %(default)s)")
    parser.add_argument("--json", type=Path, help="file for the rows")
    return parser.parse_args()


@reported
def main() -> int:
    keep_freed_memory()
    args, console = parse(), Console()
    groups = scenes(args)
    with tempfile.TemporaryDirectory() as folder:
        found = {name: prepare(args, folder, flags, groups[0], console) for name, flags in VARIANTS.items()}
        for one in found.values():
            for group in groups[:2]:  # compiles
                one.step(group, counted=False)
        for group in track(groups, description="train"):
            for one in found.values():
                one.step(group)
    rows = rows_of(found, groups)
    table = Table("variant", "transcripts/s", f"beside '{PEER}'")
    for row in rows:
        table.add_row(row["name"], f"{row['value']:.2f}", f"{row['ratio']:.2f}")
    console.print(table)
    if args.json:
        write_json(args.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The options of `train.export`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import UserError
from train.gguf_file import CONVERTER
from train.merge_gate import KL_LIMIT, Limits


@dataclass(frozen=True)
class ExportArguments:
    """What is exported, how it is checked, and what else is made of it."""

    adapter: Path
    out: Path
    dtype: str
    force: bool
    adapter_only: bool
    shard_size: str
    dataset: Path | None
    metrics: Path | None
    prompts: int
    new_tokens: int
    max_kl: float | None
    min_agreement: float
    min_token_agreement: float
    gguf: str | None
    gguf_type: str
    push_to_hub: str | None
    public: bool

    def limits(self) -> Limits:
        """The merge gate's; the limit on divergence follows the dtype unless it is given."""
        kl = KL_LIMIT[self.dtype] if self.max_kl is None else self.max_kl
        return Limits(kl, self.min_agreement, self.min_token_agreement)

    def dataset_folder(self, manifest: dict[str, Any]) -> Path | None:
        """The data set that was named, or that the adapter's manifest names and that is still there."""
        recorded = Path(manifest["dataset_dir"]) if manifest.get("dataset_dir") else None
        return self.dataset or (recorded if recorded and recorded.is_dir() else None)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description="Package a fine-tuned model for serving.", prog="python -m train.export")
    made.add_argument("--adapter", required=True, type=Path, help="folder left by train/sft.py")
    made.add_argument("--out", required=True, type=Path, help="folder to write")
    made.add_argument("--dtype", default="bfloat16", choices=sorted(KL_LIMIT), help="of the written weights (default %(default)s)")
    made.add_argument("--force", action="store_true", help="replace a finished export")
    made.add_argument("--adapter-only", action="store_true", help="leave the adapter unmerged, for --enable-lora; not if rows were trained")
    made.add_argument("--shard-size", default="4GB", help="most that one file of weights holds (default %(default)s)")
    made.add_argument("--metrics", type=Path, metavar="RUN", help="folder of an eval.run of this adapter, for the model card")
    made.add_argument("--dataset", type=Path, metavar="DIR", help="data set of the adapter, where it is not where it was trained from")
    gate = made.add_argument_group("merge gate", "merged against unmerged, on held-out prompts")
    gate.add_argument("--prompts", type=int, default=16, help="how many (default %(default)s)")
    gate.add_argument("--new-tokens", type=int, default=24, help="length of the greedy transcripts (default %(default)s)")
    gate.add_argument("--max-kl", type=float, help=f"most mean KL divergence in nats (default by --dtype: {KL_LIMIT})")
    gate.add_argument("--min-agreement", type=float, default=Limits.argmax_agreement, help="at decision tokens (default %(default)s)")
    gate.add_argument("--min-token-agreement", type=float, default=Limits.token_agreement, help="in transcripts (default %(default)s)")
    more = made.add_argument_group("further outputs")
    more.add_argument("--gguf", nargs="?", const=CONVERTER, metavar="CONVERTER", help=f"a GGUF file, by llama.cpp's {CONVERTER}")
    more.add_argument("--gguf-type", default="bf16", choices=["bf16", "f16", "f32", "q8_0"], help="of its weights (default %(default)s)")
    more.add_argument("--push-to-hub", metavar="REPO", help="upload the finished folder to this model repository")
    more.add_argument("--public", action="store_true", help="a repository that is created is public (default: private)")
    return made


def parse(argv: list[str] | None = None) -> ExportArguments:
    """Read the command line; options that exclude each other are a `UserError`."""
    args = ExportArguments(**vars(parser().parse_args(argv)))
    if args.adapter_only and args.gguf:
        raise UserError("--gguf", "given with --adapter-only", "a merged model", "leave one of the two out")
    if args.prompts < 1 or args.new_tokens < 1:
        raise UserError(
            "--prompts, --new-tokens", f"{args.prompts}, {args.new_tokens}", "at least 1 each", "a gate without prompts proves nothing"
        )
    return args

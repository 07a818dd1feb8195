"""Package for serving: `python -m train.export --adapter outputs/sft/smollm2_quickstart --out outputs/merged/smollm2_quickstart`

Merges the adapter (and its trained rows) into the base in float32, casts once, writes sharded safetensors with tokenizer, templates,
generation config, `serve.json` and a model card, and holds the written folder against the unmerged model (`train.merge_gate`). The
folder appears under its name when all of that is done, or not at all. `--adapter-only` leaves the adapter unmerged.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import AutoConfig, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from data.errors import UserError, reported
from data.manifest import read_manifest, sha256_file, sha256_text, write_json, write_manifest
from data.memory import keep_freed_memory
from data.tokenizer import load_tokenizer
from data.wire import form_of, read_ids
from train.adapter_export import check_servable, copy_adapter, largest_rank, read_config
from train.export_arguments import ExportArguments, parse
from train.gate_prompts import gate_prompts
from train.gguf_file import check_imports, find_converter, write_gguf
from train.hub import push
from train.merge import holding_dtype, load_model, load_unmerged, merge
from train.merge_gate import Comparison, compare, gate_record, reference, refuse
from train.model_card import model_card
from train.serve_config import lora_flags, serve_config, thinks
from train.staging import check_target, staged

KINDS = ("merged", "adapter_export")
STEPS = 5

Step = Callable[[str], None]


def adapter_manifest(adapter: Path) -> dict[str, Any]:
    """The manifest of a finished fine-tuning run."""
    manifest = read_manifest(adapter)
    if manifest is None or manifest["kind"] != "adapter":
        raise UserError(
            str(adapter), "no manifest of a finished fine-tuning run", "a folder that train/sft.py finished", "run or resume train/sft.py"
        )
    return manifest


def load_templates(adapter: Path) -> tuple[PreTrainedTokenizerBase, dict[str, Any]]:
    """The adapter's tokenizer and the `response_template` that it is saved with."""
    tokenizer = load_tokenizer(str(adapter))
    template = tokenizer.init_kwargs.get("response_template")
    if not template or not tokenizer.chat_template:
        raise UserError(
            str(adapter),
            "a tokenizer without response_template or chat template",
            "both, as train/sft.py saves them",
            "run train/sft.py again",
        )
    return tokenizer, template


def generation_config(tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Greedy, and ending with the turn, whatever the base recommended."""
    stop = read_ids(tokenizer).turn_close
    return GenerationConfig(do_sample=False, eos_token_id=stop, pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id)


def write_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, shard_size: str) -> None:
    """Weights in shards of at most `shard_size`, config, generation config, tokenizer and templates."""
    model.generation_config = generation_config(tokenizer)
    model.config.eos_token_id = model.generation_config.eos_token_id
    model.save_pretrained(folder, max_shard_size=shard_size)
    tokenizer.save_pretrained(folder)


def merge_and_check(
    args: ExportArguments, manifest: dict[str, Any], tokenizer: PreTrainedTokenizerBase, folder: Path, step: Step, beside: Executor
) -> tuple[Comparison, dict[str, Any], Future[dict[str, str]]]:
    """Write the merged model into `folder` and hold it against the unmerged one; only one of the two is in memory at a time.

    Prompts and hashes, which need little of a processor, are made `beside`; the hashes of the weights come last.
    """
    chosen = beside.submit(gate_prompts, tokenizer, manifest, args.dataset, args.prompts)
    held = holding_dtype(manifest["base"])
    step("load base and adapter")
    model = load_unmerged(manifest["base"], args.adapter, held)
    prompts = chosen.result()
    step("unmerged model answers")
    said = reference(model, prompts.ids, tokenizer.pad_token_id, args.new_tokens)
    step("merge and write")
    merged = merge(model, getattr(torch, args.dtype))
    write_model(merged, tokenizer, folder, args.shard_size)
    hashed = beside.submit(weight_hashes, folder)
    del model, merged
    gc.collect()
    step("merged model answers")
    found = compare(load_model(str(folder), held), said)
    refuse(str(args.out), found, args.limits())
    return found, gate_record(found, args.limits(), prompts, str(held)), hashed


def weight_hashes(folder: Path) -> dict[str, str]:
    """The sha256 of every file of weights in `folder`."""
    return {path.name: sha256_file(path) for path in sorted(folder.glob("*.safetensors"))}


def describe(
    args: ExportArguments, manifest: dict[str, Any], tokenizer: PreTrainedTokenizerBase, folder: Path, found: Comparison | None
) -> None:
    """`serve.json` and the model card."""
    wire = form_of(tokenizer)
    config = AutoConfig.from_pretrained(folder if found else manifest["base"])
    name = args.out.absolute().name
    lora = None if found else lora_flags(name, largest_rank(read_config(args.adapter)))
    serve = serve_config(config, wire, thinks(tokenizer), lora, model="." if found else manifest["base"])
    write_json(folder / "serve.json", serve)
    card = model_card(
        name, manifest, serve, wire, f"{args.dtype} safetensors" if found else "the adapter alone",
        metrics=args.metrics, dataset=args.dataset_folder(manifest), gate=asdict(found) if found else None,
    )  # fmt: skip
    (folder / "README.md").write_text(card)


def identity(manifest: dict[str, Any], tokenizer: PreTrainedTokenizerBase, folder: Path, weights: dict[str, str]) -> dict[str, Any]:
    """What both kinds of export record of their origin, and the hashes of their safetensors."""
    return {
        "base": manifest["base"],
        "adapter_sha256": manifest["adapter_sha256"],
        "template_sha256": sha256_text(str(tokenizer.chat_template)),
        "tokenizer_sha256": sha256_file(folder / "tokenizer.json"),
        "weights_sha256": weights | {path.name: sha256_file(path) for path in folder.glob("*.gguf")},
    }


def export_merged(args: ExportArguments, manifest: dict[str, Any], folder: Path, step: Step) -> str:
    """Fill `folder` with the merged model; returns a sentence for the user."""
    tokenizer, _ = load_templates(args.adapter)
    with ThreadPoolExecutor(max_workers=1) as beside:
        found, gate, hashed = merge_and_check(args, manifest, tokenizer, folder, step, beside)
    step("describe and hash")
    describe(args, manifest, tokenizer, folder, found)
    if args.gguf:
        write_gguf(folder, find_converter(args.gguf), args.gguf_type, args.out.absolute().name)
    fields = identity(manifest, tokenizer, folder, hashed.result())
    write_manifest(folder, "merged", **fields, dtype=args.dtype, comparison=asdict(found), gate=gate)
    return (
        f"merged and unmerged agree on {found.prompts} prompts: mean KL {found.mean_kl:.2g}, argmax agreement "
        f"{found.argmax_agreement:.0%}, {found.identical_transcripts} greedy transcripts identical"
    )


def export_adapter(args: ExportArguments, manifest: dict[str, Any], folder: Path) -> str:
    """Fill `folder` with the unmerged adapter; returns a sentence for the user."""
    check_servable(args.adapter)
    tokenizer, _ = load_templates(args.adapter)
    copy_adapter(args.adapter, folder, manifest["base"])
    tokenizer.save_pretrained(folder)
    describe(args, manifest, tokenizer, folder, None)
    write_manifest(folder, "adapter_export", **identity(manifest, tokenizer, folder, weight_hashes(folder)))
    return f"adapter for {manifest['base']}, unmerged"


@reported
def main() -> int:
    keep_freed_memory()
    args, console = parse(), Console()
    manifest = adapter_manifest(args.adapter)
    check_target(args.out, KINDS, args.force)
    if args.gguf:
        find_converter(args.gguf)
        check_imports()
    disable_progress_bar()
    columns = (TextColumn("{task.description:24}"), BarColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    with staged(args.out) as folder, Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("export", total=STEPS, completed=-1)
        if args.adapter_only:
            told = export_adapter(args, manifest, folder)
        else:
            told = export_merged(args, manifest, folder, lambda name: progress.update(task, description=name, advance=1))
    console.print(f"{args.out}: {told}", markup=False, soft_wrap=True)
    if args.push_to_hub:
        from huggingface_hub import HfApi

        console.print(push(args.out, args.push_to_hub, HfApi(), private=not args.public), markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Fine-tune: `accelerate launch --config_file accelerate_configs/cpu.yaml train/sft.py --config configs/sft/smollm2_quickstart.yaml`

Reads transcripts, renders them, proves that every call is inside the loss, trains LoRA (and the rows of added wire tokens), and
leaves adapter, tokenizer, `supervision.json` and `manifest.json` in `output_dir`.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState
from accelerate.utils import broadcast
from datasets import Dataset
from peft import LoraConfig
from rich.console import Console
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint
from trl import ModelConfig, SFTConfig, SFTTrainer, get_peft_config, get_quantization_config

from data.errors import UserError, reported
from data.manifest import read_manifest, sha256_file, sha256_text, write_json, write_manifest
from data.memory import keep_freed_memory
from data.precision import compute_dtype
from data.show import show_example
from data.tokenizer import attach_template, family_of, load_tokenizer, template_path
from data.wire import WireIds, read_ids
from train import compat, shared_prefix
from train.arguments import WEIGHTS, DataArguments, parse_arguments
from train.budget import TimeBudget, lr_factor
from train.callbacks import evaluation_callback
from train.dataset import Supervision, columns, read_transcripts, render_all
from train.even_sampler import EvenSampler
from train.frozen import KERNELS, WORTH, fastest_kernel, round_frozen, store_frozen
from train.head import keep_rows_apart
from train.interrupt import SaveOnInterrupt
from train.layers import compile_layers
from train.muon import MuonForLora
from train.rows import added_rows, lengthen_rows, ordinary_rows, split_rows
from train.shared_prefix import collate
from train.weights import TokenWeights


class Trainer(SFTTrainer):
    """SFTTrainer with Muon, a learning rate of its own for added rows, and one that follows a wall-clock budget."""

    budget: TimeBudget | None = None
    embedding_learning_rate: float | None = None
    native_bf16 = False  # on a CPU
    share_prefixes = False
    muon = False

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> Any:
        return torch.autocast("cpu", torch.bfloat16) if self.native_bf16 else super().autocast_smart_context_manager(cache_enabled)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.world_size == 1 or not self.share_prefixes:
            return super()._get_train_sampler(train_dataset)
        trees: Any = train_dataset or self.train_dataset
        return EvenSampler([len(ids) for ids in trees["input_ids"]], self.args.world_size * self.args.train_batch_size, self.args.seed)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        optimizer = super().create_optimizer(model)
        trained: Any = model or self.model
        if self.embedding_learning_rate is not None:
            split_rows(trained, optimizer, self.embedding_learning_rate)
        if self.muon:
            self.optimizer = optimizer = MuonForLora(trained, optimizer, self.args.adam_beta1)
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        if self.budget is None or self.lr_scheduler is not None:
            return super().create_scheduler(num_training_steps, optimizer)
        budget, warmup = self.budget, self.args.get_warmup_steps(num_training_steps)
        chosen = optimizer or self.optimizer
        assert chosen is not None
        self.lr_scheduler = LambdaLR(chosen, lambda step: lr_factor(step, warmup, num_training_steps, budget.fraction()))
        return self.lr_scheduler


def prepare_tokenizer(model_args: ModelConfig, training_args: SFTConfig) -> tuple[PreTrainedTokenizerBase, WireIds]:
    """The base's tokenizer with our template (or `chat_template_path`), and the wire ids read from it."""
    tokenizer = load_tokenizer(base_of(model_args), revision=model_args.model_revision)
    template = Path(training_args.chat_template_path) if training_args.chat_template_path else template_path(family_of(tokenizer))
    if not template.is_file():
        raise UserError(str(template), "no such file", "a Jinja chat template", "leave chat_template_path out to use ours")
    attach_template(tokenizer, template)
    training_args.chat_template_path = None  # attached here; TRL's own route would resize the embeddings
    return tokenizer, read_ids(tokenizer)


def load_model(model_args: ModelConfig, training_args: SFTConfig, data_args: DataArguments) -> PreTrainedModel:
    """The base in the dtype and quantisation that the config asks for; bfloat16 when it does not say."""
    quantization = get_quantization_config(model_args)
    model = AutoModelForCausalLM.from_pretrained(
        base_of(model_args),
        revision=model_args.model_revision,
        attn_implementation=shared_prefix.register() if data_args.share_prefixes else model_args.attn_implementation,
        dtype=getattr(torch, model_args.dtype) if model_args.dtype not in (None, "auto") else torch.bfloat16,
        use_cache=not training_args.gradient_checkpointing,
        device_map={"": PartialState().local_process_index} if quantization else None,
        quantization_config=quantization,
    )
    if data_args.frozen_int8 and (kernel := paying_kernel(data_args)):
        round_frozen(model, kernel)
    return model


def paying_kernel(data_args: DataArguments) -> str | None:
    """The int8 kernel that is faster on this processor than what the config would otherwise have. All processes do as the first."""
    dtype = compute_dtype() if data_args.native_bf16 else torch.float32
    names = list(KERNELS)
    name, speed = fastest_kernel(dtype)
    index, speed = broadcast(torch.tensor([names.index(name), speed])).tolist()
    name = names[int(index)]
    if PartialState().is_main_process:
        verdict = f"in int8, {name.replace('_', ' ')} a row" if speed >= WORTH else "stay as they are"
        print(f"products in int8 are {speed:.2g} times as fast as in {dtype} here: frozen layers {verdict}")
    return name if speed >= WORTH else None


def lora_config(model_args: ModelConfig) -> LoraConfig:
    """LoRA on all linear layers, plus the rows that `train.base` added, which start untrained."""
    model_args.use_peft = True
    config = get_peft_config(model_args)
    assert isinstance(config, LoraConfig)
    config.target_modules = config.target_modules or "all-linear"
    rows = added_rows(base_of(model_args))
    if rows:
        config.trainable_token_indices = rows
    return config


def base_of(model_args: ModelConfig) -> str:
    """Hub id or folder of the base; `parse_arguments` made sure that there is one."""
    assert model_args.model_name_or_path
    return model_args.model_name_or_path


def output_folder(training_args: TrainingArguments) -> Path:
    assert training_args.output_dir
    return Path(training_args.output_dir)


def last_checkpoint(training_args: SFTConfig) -> str | None:
    """Where to resume from; an output folder of a finished run is an error."""
    folder = output_folder(training_args)
    if read_manifest(folder):
        raise UserError(
            str(folder), "a finished run", "an empty folder or an unfinished run", "choose another output_dir, or remove the folder"
        )
    if training_args.resume_from_checkpoint:
        return training_args.resume_from_checkpoint
    return get_last_checkpoint(folder) if folder.is_dir() else None


def save(
    trainer: Trainer, tokenizer: PreTrainedTokenizerBase, data_args: DataArguments, model_args: ModelConfig, proven: Supervision
) -> None:
    """Adapter, tokenizer and, last, the manifest."""
    folder = output_folder(trainer.args)
    trainer.save_model()
    if not trainer.is_world_process_zero():
        return
    tokenizer.save_pretrained(folder)
    write_manifest(
        folder,
        "adapter",
        base=model_args.model_name_or_path,
        base_manifest=read_manifest(Path(base_of(model_args))),
        template_sha256=sha256_text(tokenizer.chat_template),
        adapter_sha256=sha256_file(folder / "adapter_model.safetensors"),
        dataset=read_manifest(Path(data_args.dataset_dir)),
        dataset_dir=str(Path(data_args.dataset_dir).absolute()),
        supervision=proven.as_dict(),
        trainable_token_ids=added_rows(base_of(model_args)),
        steps=trainer.state.global_step,
        tokens_seen=trainer.state.num_input_tokens_seen or trainer._total_train_tokens,
        log_history=trainer.state.log_history,
        model_arguments=asdict(model_args),
        training_arguments=trainer.args.to_dict(),
    )


def build_trainer(
    data_args: DataArguments,
    training_args: SFTConfig,
    model_args: ModelConfig,
    tokenizer: PreTrainedTokenizerBase,
    train: Dataset,
    validation: Dataset | None,
) -> Trainer:
    """The base with LoRA and its added rows, in a trainer over finished columns."""
    compat.apply()
    transformers.set_seed(training_args.seed)
    model = load_model(model_args, training_args, data_args)
    ordinary = ordinary_rows(model)
    trainer = Trainer(
        model=model,
        args=training_args,
        train_dataset=train,
        eval_dataset=validation,
        processing_class=tokenizer,
        peft_config=lora_config(model_args),
        data_collator=collate if data_args.share_prefixes else None,
    )
    assert trainer.model is not None
    lengthen_rows(trainer.model, ordinary)
    if trainer.model.device.type == "cpu":
        keep_rows_apart(trainer.model)
        trainer.native_bf16 = data_args.native_bf16 and compute_dtype() == torch.bfloat16
    if trainer.native_bf16:
        store_frozen(trainer.model, torch.bfloat16)
    trainer.share_prefixes, trainer.muon = data_args.share_prefixes, data_args.muon
    trainer.embedding_learning_rate = data_args.embedding_learning_rate
    weights = [getattr(data_args, name) for name in WEIGHTS]
    if set(weights) != {1.0}:
        wire = read_ids(tokenizer)
        TokenWeights(tokenizer, wire.call_open, wire.call_close, *weights).attach(trainer.model)
    return trainer


@reported
def main() -> int:
    keep_freed_memory()

    # 1. What is asked for, and whether it can be resumed
    data_args, training_args, model_args = parse_arguments()
    checkpoint = last_checkpoint(training_args)
    console = Console(quiet=training_args.process_index != 0)

    # 2. Tokenizer, template, wire ids
    tokenizer, wire = prepare_tokenizer(model_args, training_args)

    # 3. Render and prove
    folder = Path(data_args.dataset_dir)
    transcripts = read_transcripts(folder / "train.jsonl")
    examples, proven = render_all(transcripts, tokenizer, wire, training_args.max_length, "render and prove", console.quiet)
    train, validation = columns(examples, training_args.max_length, data_args.share_prefixes), None
    if training_args.eval_strategy != "no":
        held_out = read_transcripts(folder / "validation.jsonl")[: data_args.max_eval_examples]
        shown, _ = render_all(held_out, tokenizer, wire, training_args.max_length, "validation", console.quiet)
        validation = columns(shown, training_args.max_length, data_args.share_prefixes)
    out = output_folder(training_args)
    out.mkdir(parents=True, exist_ok=True)
    if not console.quiet:
        write_json(out / "supervision.json", proven.as_dict())
    console.print(
        f"{proven.examples} examples, {proven.tokens} tokens, {proven.supervised_tokens} supervised; "
        f"{proven.calls_proven}/{proven.calls} calls proven; dropped {dict(proven.dropped) or 'none'}"
    )
    show_example(examples[0][1], tokenizer, console)

    # 4. Model, LoRA, trainer
    trainer = build_trainer(data_args, training_args, model_args, tokenizer, train, validation)
    if data_args.compile_layers:
        compile_layers(trainer.model, console)
    if data_args.max_minutes:
        trainer.budget = TimeBudget(data_args.max_minutes)
        trainer.add_callback(trainer.budget)
    if evaluation := evaluation_callback(data_args, trainer, tokenizer, wire):
        trainer.add_callback(evaluation)

    # 5. Train, or go on where the last run stopped
    interrupt = SaveOnInterrupt()
    trainer.add_callback(interrupt)
    trainer.train(resume_from_checkpoint=checkpoint)
    if interrupt.caught:
        raise KeyboardInterrupt

    # 6. Save
    save(trainer, tokenizer, data_args, model_args, proven)
    console.print(f"adapter → {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

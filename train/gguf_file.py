"""A GGUF file for llama.cpp, made by llama.cpp's own converter, with the chat template inside."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path

from data.errors import UserError

CONVERTER = "convert_hf_to_gguf.py"
IMPORTED = "sentencepiece"  # by the converter for every Llama and SmolLM3, also where the tokenizer is none of its
TEMPLATE_KEY = "tokenizer.chat_template"  # GGUF specification, section "Chat template"


def find_converter(given: str) -> Path:
    """The converter: a file, or a name on PATH."""
    found = given if Path(given).is_file() else shutil.which(given)
    if not found:
        raise UserError("--gguf", f"no {given}", f"llama.cpp's {CONVERTER}", f"clone llama.cpp, then --gguf PATH/TO/llama.cpp/{CONVERTER}")
    return Path(found)


def check_imports() -> None:
    """Asked for before the merge: the converter imports it late, when all else is done."""
    if util.find_spec(IMPORTED) is None:
        found = f"the package {IMPORTED} is not installed"
        raise UserError("--gguf", found, "the converter imports it", f"python -m pip install {IMPORTED}")


def write_gguf(folder: Path, converter: Path, outtype: str, name: str) -> Path:
    """Convert the model in `folder` to a GGUF file inside it, and check that the file carries the folder's chat template."""
    out = folder / f"model-{outtype}.gguf"
    command = [sys.executable, str(converter), str(folder), "--outfile", str(out), "--outtype", outtype, "--model-name", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not out.is_file():
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise UserError(
            str(converter), f"exit status {done.returncode}: {said[-1]}", f"a file {out.name}", f"run it by hand: {' '.join(command)}"
        )
    if (template_in(out) or "").encode() != (folder / "chat_template.jinja").read_bytes():
        raise UserError(str(out), "another chat template, or none", "that of the exported tokenizer", f"update llama.cpp's {CONVERTER}")
    return out


def template_in(path: Path) -> str | None:
    """The chat template that a GGUF file carries."""
    from gguf import GGUFReader

    field = GGUFReader(path).get_field(TEMPLATE_KEY)
    return field.contents() if field else None

"""Finds the checkpoints under a folder, tells finished ones from those still being written, and names them by content. Pure; no torch."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data.manifest import sha256_file

ADAPTER = "adapter_model.safetensors"
WEIGHTS = (ADAPTER, "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
MARKERS = ("trainer_state.json", "manifest.json")  # the trainer's and our last act of writing a folder
SETTLED_SECONDS = 120.0  # a folder without a marker counts as finished when nothing in it changed for so long
# what decides a model's answers; an optimizer's state does not
CONTENT = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*", "adapter_config.json", "config.json", "generation_config.json",
           "tokenizer*", "chat_template*", "vocab*", "merges*")  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """A folder of weights; `base` is what an adapter was trained on, None for a whole model."""

    path: Path
    base: str | None


def find(runs: Path) -> Iterator[Checkpoint]:
    """Every folder under `runs` that holds weights, hidden folders left out; the oldest weights first."""
    folders: dict[Path, float] = {}
    for name in WEIGHTS:
        for file in runs.rglob(name):
            if not any(part.startswith(".") for part in file.relative_to(runs).parts):
                folders.setdefault(file.parent, file.stat().st_mtime)
    for folder in sorted(folders, key=lambda folder: (folders[folder], folder)):
        yield Checkpoint(folder, _base(folder))


def _base(folder: Path) -> str | None:
    config = folder / "adapter_config.json"
    if not (folder / ADAPTER).is_file() or not config.is_file():
        return None
    try:
        return json.loads(config.read_text())["base_model_name_or_path"]
    except (ValueError, KeyError):
        return None  # half-written


def is_finished(folder: Path, now: float | None = None) -> bool:
    """Whether nobody writes the folder any more: a marker that is no older than the weights, or no change for `SETTLED_SECONDS`."""
    changed = {file.name: file.stat().st_mtime for file in folder.iterdir() if file.is_file()}
    weights = max((changed[name] for name in WEIGHTS if name in changed), default=None)
    if weights is None or (ADAPTER in changed and "adapter_config.json" not in changed):
        return False
    if any(changed.get(marker, 0.0) >= weights for marker in MARKERS):
        return True
    return (time.time() if now is None else now) - max(changed.values()) > SETTLED_SECONDS


def content_digest(folder: Path, sha256: Callable[[Path], str] = sha256_file) -> str:
    """sha256 over the names and contents of the files that decide the model's answers."""
    files = sorted({file for pattern in CONTENT for file in folder.glob(pattern) if file.is_file()})
    return hashlib.sha256("".join(f"{file.name}\0{sha256(file)}\n" for file in files).encode()).hexdigest()

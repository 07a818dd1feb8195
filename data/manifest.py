"""Every artefact carries a `manifest.json`: what it is, what it was made from, and sha256 of its parts.

The manifest is written last and atomically, so a folder without one is not finished.
"""

from __future__ import annotations

import hashlib
import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any

NAME = "manifest.json"
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers")


def sha256_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Installed versions of the packages that decide a run's numbers."""
    return {name: metadata.version(name) for name in PACKAGES if _installed(name)}


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def write_json(path: Path, value: Any) -> None:
    """Write pretty JSON through a temporary file in the same folder."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    os.replace(temporary, path)


def write_manifest(folder: Path, kind: str, **fields: Any) -> None:
    """Write the manifest of `folder` as the last act of making it."""
    write_json(folder / NAME, {"kind": kind, **fields, "versions": versions()})


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a finished folder, or None."""
    path = folder / NAME
    return json.loads(path.read_text()) if path.is_file() else None

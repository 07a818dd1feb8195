"""A folder that is whole or absent: written beside its place, flushed to disk, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import UserError
from data.manifest import read_manifest


def check_target(out: Path, kinds: tuple[str, ...], force: bool) -> None:
    """Refuse to replace a finished folder unless `force`, and whatever is not a finished folder of one of these manifest kinds always."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    manifest = read_manifest(out) if out.is_dir() else None
    if manifest is None or manifest["kind"] not in kinds:
        found = "a file" if out.is_file() else f"files that are no finished export (kind: {manifest['kind'] if manifest else 'none'})"
        raise UserError(str(out), found, "a new folder", "choose another --out; --force replaces finished exports only")
    if not force:
        raise UserError(str(out), "a finished export", "a new folder", "choose another --out, or replace it with --force")


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A temporary sibling of `out` to write into, put in its place at the end; after an exception nothing of it is left.

    A process that is killed leaves at most a hidden sibling that bears another name.
    """
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    try:
        folder.chmod(0o755)
        yield folder
        flush(folder)
        replace(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def flush(folder: Path) -> None:
    """Force every file of `folder`, and the folder itself, to disk."""
    for path in [*(path for path in folder.rglob("*") if path.is_file()), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace(folder: Path, out: Path) -> None:
    """Rename `folder` to `out`; what stood there is moved aside first and removed last."""
    aside = folder.with_name(folder.name + ".old")
    if out.exists():
        out.rename(aside)
    folder.rename(out)
    flush_entry(out.parent)
    shutil.rmtree(aside, ignore_errors=True)


def flush_entry(parent: Path) -> None:
    """Force the renaming itself to disk."""
    descriptor = os.open(parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

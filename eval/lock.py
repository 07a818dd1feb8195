"""One process at a time writes to a run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from data.errors import UserError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`'s lock; one process may take it again within. It ends with the process, however that ends.

    Raises:
        UserError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "run.lock", blocking=False, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        remedy = "wait for the other run, or choose another --out"
        raise UserError(str(folder), "another process is writing to it", "one run at a time in a folder", remedy) from error
    try:
        yield
    finally:
        lock.release()

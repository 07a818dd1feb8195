"""What was evaluated, in SQLite: one row for each checkpoint and config, its claim while it runs, its rates when it is done. No torch.

A watcher *claims* a checkpoint before it evaluates it. A claim outlives a watcher that is killed, so it must be told from one whose work
goes on. On one machine a file lock tells: the kernel drops it when the last process that holds it ends, and the evaluation, a process of
its own, holds it too. Claims of other machines are judged by their heartbeat. The database is in WAL mode, which needs a local disk.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from data.manifest import sha256_file
from eval.drift import Count

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 120.0  # silence after which a claim of another machine is taken over
MAX_FAILURES = 3

SCHEMA = """
CREATE TABLE IF NOT EXISTS evaluations (
    checkpoint TEXT NOT NULL,       -- sha256 of its content
    config TEXT NOT NULL,           -- sha256 of the YAML file
    path TEXT NOT NULL,
    out TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('claimed', 'done', 'failed')),
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started REAL NOT NULL,
    heartbeat REAL NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    exit_status INTEGER,
    PRIMARY KEY (checkpoint, config)
);
CREATE TABLE IF NOT EXISTS rates (
    checkpoint TEXT NOT NULL,
    config TEXT NOT NULL,
    metric TEXT NOT NULL,
    hits INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (checkpoint, config, metric)
);
CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL);
"""


class Item(NamedTuple):
    """A checkpoint by its content, and the config that it is measured with."""

    checkpoint: str
    config: str

    @property
    def name(self) -> str:
        """Short enough for a file name; differs between items."""
        return f"{self.checkpoint[:10]}-{self.config[:6]}"


@dataclass(frozen=True)
class Evaluation:
    """One line of the history; `rates` is empty unless `status` is done."""

    item: Item
    path: str
    out: str
    status: str
    host: str
    pid: int
    started: float
    heartbeat: float
    failures: int
    exit_status: int | None
    rates: dict[str, Count]

    def as_rates(self) -> dict[str, dict[str, Any]]:
        """The rates as `metrics.json` spells them, without intervals."""
        return {name: {"hits": count.hits, "n": count.n, "value": count.value if count.n else None} for name, count in self.rates.items()}


class History:
    """The database and the locks beside it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.locks = path.parent / f"{path.name}.locks"
        self.locks.mkdir(exist_ok=True)
        self.database = sqlite3.connect(path, timeout=60, isolation_level=None)
        self.database.row_factory = sqlite3.Row
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.executescript(SCHEMA)

    @contextmanager
    def lock(self, item: Item) -> Iterator[int | None]:
        """The descriptor of the item's lock, to be inherited by the process that evaluates it; None while someone else holds it."""
        descriptor = os.open(self.locks / item.name, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = True
        except BlockingIOError:
            taken = False
        try:
            yield descriptor if taken else None
        finally:
            os.close(descriptor)

    def claim(self, item: Item, path: Path, out: Path, now: float | None = None) -> bool:
        """Claim an item whose lock is held; False if it is done, failed too often, or is alive on another machine."""
        now = time.time() if now is None else now
        host, pid = socket.gethostname(), os.getpid()
        with self._writing():
            row = self.database.execute("SELECT * FROM evaluations WHERE checkpoint = ? AND config = ?", item).fetchone()
            if row is None:
                values = (*item, str(path), str(out), "claimed", host, pid, now, now)
                self.database.execute(f"INSERT INTO evaluations VALUES ({', '.join('?' * len(values))}, 0, NULL)", values)
                return True
            alive_elsewhere = row["status"] == "claimed" and row["host"] != host and now - row["heartbeat"] < STALE_SECONDS
            if row["status"] == "done" or row["failures"] >= MAX_FAILURES or alive_elsewhere:
                return False
            self.database.execute(
                "UPDATE evaluations SET status = 'claimed', path = ?, out = ?, host = ?, pid = ?, heartbeat = ? "
                "WHERE checkpoint = ? AND config = ?",
                (str(path), str(out), host, pid, now, *item),
            )
            return True

    def beat(self, item: Item) -> None:
        """Say that the claim's holder is alive."""
        self.database.execute("UPDATE evaluations SET heartbeat = ? WHERE checkpoint = ? AND config = ?", (time.time(), *item))

    def finish(self, item: Item, exit_status: int, rates: Mapping[str, Mapping[str, Any]]) -> None:
        """Record a measured item, in one transaction; `rates` are those of its metrics.json."""
        rows = [(*item, metric, rate["hits"], rate["n"]) for metric, rate in rates.items()]
        with self._writing():
            self._settle(item, "done", exit_status)
            self.database.executemany("INSERT OR REPLACE INTO rates VALUES (?, ?, ?, ?, ?)", rows)

    def fail(self, item: Item, exit_status: int) -> None:
        """Record that an evaluation ended without a measurement; it is tried `MAX_FAILURES` times in all."""
        with self._writing():
            self._settle(item, "failed", exit_status)
            self.database.execute("UPDATE evaluations SET failures = failures + 1 WHERE checkpoint = ? AND config = ?", item)

    def evaluations(self, config: str | None = None) -> list[Evaluation]:
        """All, or those of one config, in the order in which they were first claimed."""
        chosen = self.database.execute("SELECT * FROM evaluations WHERE ? IN (config, '') ORDER BY started", (config or "",)).fetchall()
        return [self._evaluation(dict(row)) for row in chosen]

    def _evaluation(self, row: dict[str, Any]) -> Evaluation:
        item = Item(row.pop("checkpoint"), row.pop("config"))
        rates = self.database.execute("SELECT metric, hits, n FROM rates WHERE checkpoint = ? AND config = ? ORDER BY rowid", item)
        return Evaluation(item, **row, rates={metric: Count(hits, n) for metric, hits, n in rates})

    def sha256(self, path: Path) -> str:
        """sha256 of a file, remembered by its size and time of change: weights are large and are looked at on every round."""
        stat = path.stat()
        key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
        held = self.database.execute("SELECT sha256 FROM digests WHERE path = ? AND size = ? AND mtime_ns = ?", key).fetchone()
        if held:
            return str(held[0])
        digest = sha256_file(path)
        self.database.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", (*key, digest))
        return digest

    def _settle(self, item: Item, status: str, exit_status: int) -> None:
        values = (status, exit_status, time.time(), *item)
        self.database.execute(
            "UPDATE evaluations SET status = ?, exit_status = ?, heartbeat = ? WHERE checkpoint = ? AND config = ?", values
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self.database:  # commits, or rolls back what raised
            self.database.execute("BEGIN IMMEDIATE")
            yield

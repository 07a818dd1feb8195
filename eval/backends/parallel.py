"""Generates with transformers in several processes on one CPU, each with its share of the cores and a copy of the model.

A decoding step is hundreds of short products with Python in between, which a second thread hardly speeds up and a second process does.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from data.errors import UserError
from eval.backends.hashes import hashes
from eval.backends.local import TransformersBackend, batches, describe
from eval.backends.protocol import Decoding, Request
from eval.completion import Completion, Key

_backend: TransformersBackend | None = None  # of a worker process


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load(threads: int, *arguments: Any) -> None:
    """In a worker, once. Ctrl-C is the parent's to handle."""
    global _backend
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    _backend = TransformersBackend.load(*arguments)


def _complete(batch: list[Request], decoding: Decoding, done: AbstractSet[Key]) -> list[Completion]:
    assert _backend
    return list(_backend.complete(batch, decoding, done))


class ParallelBackend:
    """`TransformersBackend` in `processes` processes, which take batches in turn, those with the longest budgets first."""

    def __init__(
        self, model: str, adapter: str | None, dtype: torch.dtype, pad_id: int, stop_id: int, batch_size: int, processes: int
    ) -> None:
        self.batch_size, self.processes = batch_size, processes
        self.description = {**describe(dtype, torch.device("cpu"), batch_size), "processes": processes, **hashes(model, adapter)}
        arguments = (max(1, cores() // processes), model, adapter, dtype, pad_id, stop_id, batch_size)
        self.others = set(multiprocessing.active_children())
        context = multiprocessing.get_context("spawn")  # a fork would inherit the locks of torch's threads
        self.executor = ProcessPoolExecutor(processes, context, _load, arguments)
        self.futures: list[Future[list[Completion]]] = []

    def complete(self, requests: Sequence[Request], decoding: Decoding, done: AbstractSet[Key] = frozenset()) -> Iterator[Completion]:
        size = min(self.batch_size, -(-len(requests) // self.processes)) or 1
        waiting = [batch for batch in batches(requests, size) if any(request.key not in done for request in batch)]
        self.futures = [self.executor.submit(_complete, batch, decoding, done) for batch in reversed(waiting)]
        try:
            for future in as_completed(self.futures):
                yield from future.result()
        except BrokenProcessPool as error:
            found = f"one of {self.processes} processes ended, most likely for want of memory"
            remedy = "set a smaller batch_size or fewer processes; the same command goes on where this one stopped"
            raise UserError("backend transformers", found, f"{self.processes} processes until the end", remedy) from error

    def close(self) -> None:
        """End the processes, in the middle of a batch if need be."""
        for future in self.futures:
            future.cancel()
        if not all(future.done() for future in self.futures):
            for process in self._workers():
                process.terminate()
        self.executor.shutdown()

    def _workers(self) -> list[BaseProcess]:
        return [child for child in multiprocessing.active_children() if child not in self.others]

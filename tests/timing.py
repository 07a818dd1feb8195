"""Processor time, which what runs beside the tests does not change."""

from __future__ import annotations

import time
from collections.abc import Callable


def best_seconds(work: Callable[[], object]) -> float:
    """The best of three runs, in seconds of this process."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)

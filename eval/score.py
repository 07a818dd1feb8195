"""Counts over verdicts, as ratios with n and a 95 % Wilson interval. Pure; no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import binomtest

from eval.emission import CODE, NATIVE_BROKEN, Emission
from eval.rows import Row
from eval.verdict import Verdict

BFCL_CALLS = ("simple_python", "multiple")


@dataclass(frozen=True)
class Rate:
    """`hits` of `n` with a 95 % Wilson score interval; all None when n is 0."""

    hits: int
    n: int
    value: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        return "n/a" if self.value is None else f"{self.value:6.1%} [{self.low:.1%}, {self.high:.1%}] n={self.n}"


def rate(hits: int, n: int) -> Rate:
    """Wilson (1927) score interval, as scipy computes it."""
    if n == 0:
        return Rate(hits, n, None, None, None)
    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return Rate(hits, n, hits / n, float(interval.low), float(interval.high))


def emitted(rows: Sequence[Row], classes: Iterable[Emission]) -> Rate:
    """How many of `rows` are of one of these emission classes."""
    wanted = set(classes)
    return rate(sum(row.judged.emission in wanted for row in rows), len(rows))


def judged(rows: Sequence[Row], verdicts: Iterable[Verdict]) -> Rate:
    """How many of `rows` have one of these verdicts."""
    wanted = set(verdicts)
    return rate(sum(row.judged.verdict in wanted for row in rows), len(rows))


def metrics(rows: Sequence[Row]) -> dict[str, Rate]:
    """The headline rates. Emission counts completions that hold at least one strictly read native call."""
    counted = [row for row in rows if row.counted]
    native = [row for row in counted if row.case.suite == "native"]
    calling = [row for row in native if row.case.expects_call]
    silent = [row for row in native if row.case.expects_no_call]
    bfcl = [row for row in counted if row.case.suite == "bfcl"]
    simple_multiple = [row for row in bfcl if row.case.slice in BFCL_CALLS]

    def bfcl_slice(name: str) -> list[Row]:
        return [row for row in bfcl if row.case.slice == name]

    return {
        "native_emission_rate": emitted(calling, [Emission.NATIVE_CALL]),
        "native_accuracy": judged(calling, [Verdict.RIGHT_CALL]),
        "code_dump_rate": emitted(calling, CODE),
        "malformed_rate": emitted(calling, NATIVE_BROKEN),
        "false_call_rate": judged(silent, [Verdict.FALSE_CALL]),
        "bfcl_native_emission_rate": emitted(simple_multiple, [Emission.NATIVE_CALL]),
        "bfcl_code_dump_rate": emitted(simple_multiple, CODE),
        "bfcl_false_call_rate": judged(bfcl_slice("irrelevance"), [Verdict.FALSE_CALL]),
        "bfcl_simple_python_ast": judged(bfcl_slice("simple_python"), [Verdict.RIGHT_CALL]),
        "bfcl_multiple_ast": judged(bfcl_slice("multiple"), [Verdict.RIGHT_CALL]),
        "bfcl_parallel_ast": judged(bfcl_slice("parallel"), [Verdict.RIGHT_CALL]),
    }


def ledger(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Emission counts of each slice, `suite/slice` → class → count; errors and what could not be measured are in it."""
    table: dict[str, Counter[str]] = {}
    for row in rows:
        table.setdefault(f"{row.case.suite}/{row.case.slice}", Counter())[row.judged.emission.value] += 1
    return {name: dict(counts) for name, counts in sorted(table.items())}


def metrics_json(rows: Sequence[Row]) -> dict[str, Any]:
    """What `metrics.json` holds."""
    return {
        "schema_version": 2,
        "metrics": {name: asdict(value) for name, value in metrics(rows).items()},
        "ledger": ledger(rows),
        "n": dict(Counter(row.case.suite for row in rows)) | dict(Counter(f"{row.case.suite}/{row.case.slice}" for row in rows)),
    }

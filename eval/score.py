"""Counts over verdicts, as ratios with n and a 95 % Wilson interval. Pure; no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from scipy.stats import binomtest

from eval.case import Case
from eval.classify import Verdict

NATIVE = frozenset({Verdict.CORRECT_CALL, Verdict.WRONG_CALL})
BFCL_CALLS = ("simple_python", "multiple")


class Scored(NamedTuple):
    """A case and its verdict."""

    case: Case
    verdict: Verdict


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


def share(scored: Sequence[Scored], verdicts: Iterable[Verdict]) -> Rate:
    """How many of `scored` have one of `verdicts`."""
    wanted = set(verdicts)
    return rate(sum(item.verdict in wanted for item in scored), len(scored))


def metrics(scored: Sequence[Scored]) -> dict[str, Rate]:
    """The headline rates. Emission counts cases whose response holds at least one strictly read native call."""
    native = [item for item in scored if item.case.suite == "native"]
    calling = [item for item in native if item.case.expects_call]
    silent = [item for item in native if not item.case.expects_call]
    bfcl = [item for item in scored if item.case.suite == "bfcl"]
    simple_multiple = [item for item in bfcl if item.case.slice in BFCL_CALLS]

    def bfcl_slice(name: str) -> list[Scored]:
        return [item for item in bfcl if item.case.slice == name]

    return {
        "native_emission_rate": share(calling, NATIVE),
        "native_accuracy": share(calling, [Verdict.CORRECT_CALL]),
        "code_dump_rate": share(calling, [Verdict.CODE_DUMP]),
        "malformed_rate": share(calling, [Verdict.MALFORMED]),
        "false_call_rate": share(silent, [Verdict.FALSE_CALL]),
        "bfcl_native_emission_rate": share(simple_multiple, NATIVE),
        "bfcl_code_dump_rate": share(simple_multiple, [Verdict.CODE_DUMP]),
        "bfcl_false_call_rate": share(bfcl_slice("irrelevance"), [Verdict.FALSE_CALL]),
        "bfcl_simple_python_ast": share(bfcl_slice("simple_python"), [Verdict.CORRECT_CALL]),
        "bfcl_multiple_ast": share(bfcl_slice("multiple"), [Verdict.CORRECT_CALL]),
        "bfcl_parallel_ast": share(bfcl_slice("parallel"), [Verdict.CORRECT_CALL]),
    }


def ledger(scored: Sequence[Scored]) -> dict[str, dict[str, int]]:
    """Verdict counts of each slice, `suite/slice` → verdict → count."""
    table: dict[str, Counter[str]] = {}
    for item in scored:
        table.setdefault(f"{item.case.suite}/{item.case.slice}", Counter())[item.verdict.value] += 1
    return {name: dict(counts) for name, counts in sorted(table.items())}


def metrics_json(scored: Sequence[Scored]) -> dict[str, Any]:
    """What `metrics.json` holds."""
    return {
        "schema_version": 1,
        "metrics": {name: asdict(value) for name, value in metrics(scored).items()},
        "ledger": ledger(scored),
        "n": dict(Counter(item.case.suite for item in scored)) | dict(Counter(f"{i.case.suite}/{i.case.slice}" for i in scored)),
    }

"""Counts over rows, as ratios with n and 95 % intervals: what `metrics.json` holds. Pure; no torch.

`low` and `high` are Wilson's and take every completion for one of its own; `cluster_low` and `cluster_high` draw whole clusters of cases
that share their tools, so they are the ones to read when a tool, or a case by its repeats, comes more than once. The file's schema,
version 2, is `eval/metrics.schema.json`; a metric without cases has the value null.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from eval.emission import CODE, NATIVE_BROKEN, Emission
from eval.leniency import COLUMNS, columns
from eval.readings import reading_outcomes
from eval.repeats import repeats_json
from eval.rows import Row
from eval.slices import graded, slice_name
from eval.statistics import cluster_interval, wilson
from eval.suites.bfcl import ANY_CALL, CATEGORIES, NO_CALL
from eval.verdict import Verdict

SCHEMA_VERSION = 2
BFCL_CALLS = ("simple_python", "multiple")
OTHERS = ("payload", "transcripts", "traffic")  # suites whose metrics bear their name
Outcome = Callable[[Row], bool]


@dataclass(frozen=True)
class Rate:
    """`hits` of `n` with 95 % intervals; None where n is 0, the clustered ones also where there are fewer than two clusters."""

    hits: int
    n: int
    value: float | None
    low: float | None
    high: float | None
    cluster_low: float | None = None
    cluster_high: float | None = None

    def __str__(self) -> str:
        return "n/a" if self.value is None else f"{self.value:6.1%} [{self.low:.1%}, {self.high:.1%}] n={self.n}"


def rate(hits: int, n: int) -> Rate:
    """A rate of which only the counts are known."""
    interval = wilson(hits, n)
    return Rate(hits, n, hits / n, *interval) if interval else Rate(hits, n, None, None, None)


def share(rows: Sequence[Row], outcome: Outcome) -> Rate:
    """How many of `rows` have the outcome."""
    hits = [outcome(row) for row in rows]
    low, high = cluster_interval(hits, [row.case.cluster for row in rows]) or (None, None)
    return replace(rate(sum(hits), len(hits)), cluster_low=low, cluster_high=high)


def emitted(rows: Sequence[Row], classes: Iterable[Emission]) -> Rate:
    """How many of `rows` are of one of these emission classes."""
    wanted = set(classes)
    return share(rows, lambda row: row.judged.emission in wanted)


def judged(rows: Sequence[Row], verdicts: Iterable[Verdict]) -> Rate:
    """How many of `rows` have one of these verdicts."""
    wanted = set(verdicts)
    return share(rows, lambda row: row.judged.verdict in wanted)


def metrics(rows: Sequence[Row]) -> dict[str, Rate]:
    """Every rate by name: the headline ones, argument equality strict and lenient, and the other readings."""
    counted = [row for row in rows if row.counted]
    return {
        **headline(counted),
        **accuracies([row for row in counted if row.case.expects_call]),
        **{name: share(*outcome) for name, outcome in reading_outcomes(counted).items()},
        "error_rate": share(rows, lambda row: row.judged.emission is Emission.ERROR),
        "unmeasurable_rate": share(rows, lambda row: row.judged.emission is Emission.UNMEASURABLE),
    }


def headline(counted: Sequence[Row]) -> dict[str, Rate]:
    """Emission counts completions that hold at least one strictly read native call. The native suite's metrics bear no prefix."""
    native = [row for row in counted if row.case.suite == "native"]
    bfcl = [row for row in counted if row.case.suite == "bfcl"]
    simple_multiple = [row for row in bfcl if row.case.slice in BFCL_CALLS]
    return {
        **_suite("", native),
        "right_question_rate": judged([row for row in native if row.case.asks], [Verdict.RIGHT_QUESTION]),
        "bfcl_native_emission_rate": emitted(simple_multiple, [Emission.NATIVE_CALL]),
        "bfcl_code_dump_rate": emitted(simple_multiple, CODE),
        **{name: rate for category in CATEGORIES for name, rate in _bfcl(category, bfcl).items()},
        **{name: rate for suite in OTHERS for name, rate in _suite(f"{suite}_", [r for r in counted if r.case.suite == suite]).items()},
    }


def _suite(prefix: str, rows: Sequence[Row]) -> dict[str, Rate]:
    calling = [row for row in rows if row.case.expects_call]
    return {
        f"{prefix}native_emission_rate": emitted(calling, [Emission.NATIVE_CALL]),
        f"{prefix}native_accuracy": judged(calling, [Verdict.RIGHT_CALL]),
        f"{prefix}code_dump_rate": emitted(calling, CODE),
        f"{prefix}malformed_rate": emitted(calling, NATIVE_BROKEN),
        f"{prefix}false_call_rate": judged([row for row in rows if row.case.expects_no_call], [Verdict.FALSE_CALL]),
    }


def _bfcl(category: str, bfcl: Sequence[Row]) -> dict[str, Rate]:
    """A category's rate by BFCL's own question: are the calls right, is there a call at all, is there none."""
    rows = [row for row in bfcl if row.case.slice == category]
    if category in ANY_CALL:
        return {"bfcl_live_relevance_call_rate": judged(rows, [Verdict.RIGHT_CALL])}
    if category in NO_CALL:
        return {f"bfcl_{'live_' * category.startswith('live_')}false_call_rate": judged(rows, [Verdict.FALSE_CALL])}
    return {f"bfcl_{category}_ast": judged(rows, [Verdict.RIGHT_CALL])}


def accuracies(calling: Sequence[Row]) -> dict[str, Rate]:
    """`accuracy_strict`, `accuracy_with_NAME` for each leniency alone, and `accuracy_with_all`, over all cases that expect calls."""
    found = {row.completion.key: columns(row) for row in calling}

    def column(name: str) -> Rate:
        return share(calling, lambda row: found[row.completion.key][name])

    return {f"accuracy_{name}": column(name) for name in COLUMNS}


def slices(counted: Sequence[Row], name_of: Callable[[Row], str | int | None]) -> dict[str, dict[str, Any]]:
    """Emission, right calls and false calls of each group of rows that `name_of` names; None leaves a row out."""
    groups: dict[str | int, list[Row]] = {}
    for row in counted:
        if (name := name_of(row)) is not None:
            groups.setdefault(name, []).append(row)
    return {str(name): _slice(groups[name]) for name in sorted(groups)}


def _slice(rows: Sequence[Row]) -> dict[str, Any]:
    calling, silent = [row for row in rows if row.case.expects_call], [row for row in rows if row.case.expects_no_call]
    return {
        "emission_rate": asdict(emitted(calling, [Emission.NATIVE_CALL])),
        "right_rate": asdict(judged(calling, [Verdict.RIGHT_CALL])),
        "false_call_rate": asdict(judged(silent, [Verdict.FALSE_CALL])),
    }


def ledger(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Emission counts of each slice, `suite/slice` → class → count; errors and what could not be measured are in it."""
    return _counts(rows, lambda row: row.judged.emission.value)


def _counts(rows: Iterable[Row], kind: Callable[[Row], str]) -> dict[str, dict[str, int]]:
    table: dict[str, Counter[str]] = {}
    for row in rows:
        table.setdefault(slice_name(row), Counter())[kind(row)] += 1
    return {name: dict(counts) for name, counts in sorted(table.items())}


def metrics_json(rows: Sequence[Row]) -> dict[str, Any]:
    """What `metrics.json` holds; see `eval/metrics.schema.json`."""
    counted = [row for row in rows if row.counted]
    return {
        "schema_version": SCHEMA_VERSION,
        "metrics": {name: asdict(value) for name, value in metrics(rows).items()},
        "ledger": ledger(rows),
        "verdicts": _counts([row for row in counted if row.judged.verdict], lambda row: str(row.judged.verdict)),
        "slices": slices(counted, slice_name),
        "by_content_tokens": slices(counted, lambda row: graded(row.case, "content_tokens")),
        "by_nesting": slices(counted, lambda row: graded(row.case, "nesting")),
        "repeats": repeats_json(counted),
        "n": dict(Counter(row.case.suite for row in rows)) | dict(Counter(map(slice_name, rows))),
        "uncounted": {kind.value: sum(row.judged.emission is kind for row in rows) for kind in (Emission.ERROR, Emission.UNMEASURABLE)},
    }

"""The alarm on a hidden fall: end to end all looks well, but only because a parser salvages what the model no longer emits. Pure; no torch.

Rule: it fires when the strict emission rate fell, one-sided at 5 %, *and* end-to-end accuracy is shown not to have fallen by more than
`MARGIN`, one-sided at 5 % (a non-inferiority test, so that a rise hides a fall too). "Shown": where the runs are too small to tell, the
second half stays open, the alarm is silent, and `reason` says so; the gate on emission itself is what catches that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eval.completion import Key
from eval.emission import Emission
from eval.readings import READERS, accurate
from eval.rows import Row
from eval.statistics import Interval, cluster_interval, difference_interval

MARGIN = 0.05
TWO_SIDED = 0.9  # a bound of this interval is a one-sided test at 5 %
Rates = Mapping[str, Mapping[str, Any]]


class Alarm(NamedTuple):
    """Whether it fires, the 90 % intervals of both differences, the reader that was taken for end to end, and the reason in words."""

    fires: bool
    strict: Interval | None
    end_to_end: Interval | None
    reader: str | None
    reason: str


def hidden_fall(before: Mapping[Key, Row], after: Mapping[Key, Row], margin: float = MARGIN) -> Alarm:
    """The rule over two runs, paired by case and clustered by tool; end to end is the deployed reading where both runs have it."""
    pairs = [(before[key], row) for key, row in after.items() if key in before and row.counted and before[key].counted]
    pairs = [pair for pair in pairs if pair[1].case.expects_call]
    reader = next((name for name in READERS if pairs and all(name in row.readings for pair in pairs for row in pair)), None)
    if reader is None:
        return Alarm(False, None, None, None, "no reading but the strict one that both runs have")
    clusters = [row.case.cluster for _, row in pairs]
    strict = cluster_interval([_emits(new) - _emits(old) for old, new in pairs], clusters, TWO_SIDED)
    end_to_end = cluster_interval([accurate(new, reader) - accurate(old, reader) for old, new in pairs], clusters, TWO_SIDED)
    return _decide(strict, end_to_end, reader, margin)


def hidden_fall_in(history: Sequence[Rates], margin: float = MARGIN) -> Alarm:
    """The rule over a history of `metrics` as in `metrics.json`, oldest first: the last entry against the one that emitted most.

    Unpaired (Newcombe's intervals), because a history holds rates only.
    """
    usable = [rates for rates in history if _counts(rates, "native_emission_rate")[1]]
    if len(usable) < 2:
        return Alarm(False, None, None, None, "fewer than two measured runs")
    best, last = max(usable[:-1], key=lambda rates: rates["native_emission_rate"]["value"]), usable[-1]
    reader = next((name for name in READERS if all(_counts(rates, f"{name}_accuracy")[1] for rates in (best, last))), None)
    if reader is None:
        return Alarm(False, None, None, None, "no reading but the strict one that both runs have")
    strict, end_to_end = (
        difference_interval(_counts(best, name), _counts(last, name), TWO_SIDED) for name in ("native_emission_rate", f"{reader}_accuracy")
    )
    return _decide(strict, end_to_end, reader, margin)


def _emits(row: Row) -> int:
    return row.judged.emission is Emission.NATIVE_CALL


def _counts(rates: Rates, name: str) -> tuple[int, int]:
    """Hits and n of a rate, both 0 where it is missing."""
    found = rates.get(name, {"hits": 0, "n": 0})
    return found["hits"], found["n"]


def _decide(strict: Interval | None, end_to_end: Interval | None, reader: str, margin: float) -> Alarm:
    if strict is None or end_to_end is None:
        return Alarm(False, strict, end_to_end, reader, "too few tools to tell")
    if strict.high >= 0:
        return Alarm(False, strict, end_to_end, reader, "strict emission did not fall")
    if end_to_end.low <= -margin:
        return Alarm(False, strict, end_to_end, reader, f"strict emission fell, and the {reader} accuracy may have fallen with it")
    reason = f"strict emission fell while the {reader} accuracy is flat: the calls that are missing are being salvaged"
    return Alarm(True, strict, end_to_end, reader, reason)

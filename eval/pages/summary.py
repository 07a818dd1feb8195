"""The page's figures: headline, rates before and after, slices. Pure; no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from scipy.stats import binomtest

from eval.emission import CODE, Emission
from eval.rows import Row
from eval.score import Rate, rate
from eval.verdict import RIGHT, Verdict

SIGNIFICANT = 0.05


class Run(NamedTuple):
    """A run as the page knows it: its name, what `metrics.json` holds, its rows, and which of the two sides it is drawn on."""

    name: str
    result: Mapping[str, Any]
    rows: Sequence[Row]
    side: Literal["then", "now"] = "now"


class Question(NamedTuple):
    """A headline rate: which rows are asked, which of them are hits, and whether more of them is better."""

    label: str
    among: str
    expects_call: bool
    hit: Callable[[Row], bool]
    more_is_better: bool


QUESTIONS = (
    Question("Native tool calls", "requests that need a call", True, lambda row: row.judged.emission is Emission.NATIVE_CALL, True),
    Question("Right calls", "requests that need a call", True, lambda row: row.judged.verdict is Verdict.RIGHT_CALL, True),
    Question("Code dumps", "requests that need a call", True, lambda row: row.judged.emission in CODE, False),
    Question("False calls", "requests that need none", False, lambda row: row.judged.verdict is Verdict.FALSE_CALL, False),
)


@dataclass(frozen=True)
class Figure:
    """One headline rate, before (None without a baseline) and after, on the same cases; `p_value` is that of an exact McNemar test."""

    question: Question
    before: Rate | None
    after: Rate
    p_value: float | None

    @property
    def change(self) -> Literal["better", "worse", "no clear change"] | None:
        """None where there is nothing to compare with."""
        if self.before is None or self.before.value is None or self.after.value is None:
            return None
        if self.p_value is None or self.p_value >= SIGNIFICANT:
            return "no clear change"
        return "better" if (self.after.value > self.before.value) == self.question.more_is_better else "worse"


def percent(value: float | None, digits: int = 0) -> str:
    """`85 %` with a narrow no-break space; `n/a` for None."""
    return "n/a" if value is None else f"{100 * value:.{digits}f}\u202f%"


def paired(before: Sequence[Row], after: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Rows of the completions that both runs hold and count, in the second run's order."""
    by_key = {row.completion.key: row for row in before if row.counted}
    return [(by_key[row.completion.key], row) for row in after if row.counted and row.completion.key in by_key]


def figures(run: Run, baseline: Run | None) -> list[Figure]:
    """The headline rates; with a baseline, on the completions that both runs hold and count."""
    if baseline is None:
        return [Figure(question, None, _rate(question, [row for row in run.rows if row.counted]), None) for question in QUESTIONS]
    pairs = paired(baseline.rows, run.rows)
    return [_paired_figure(question, pairs) for question in QUESTIONS]


def _rate(question: Question, rows: Sequence[Row]) -> Rate:
    asked = [row for row in rows if _asked(question, row)]
    return rate(sum(map(question.hit, asked)), len(asked))


def _asked(question: Question, row: Row) -> bool:
    return row.judged.verdict is not None and row.case.expects_call == question.expects_call


def _paired_figure(question: Question, pairs: Sequence[tuple[Row, Row]]) -> Figure:
    discordant = Counter((question.hit(old), question.hit(new)) for old, new in pairs if _asked(question, new))
    gained, lost = discordant[False, True], discordant[True, False]
    p_value = float(binomtest(gained, gained + lost).pvalue) if gained + lost else None
    return Figure(question, _rate(question, [old for old, _ in pairs]), _rate(question, [new for _, new in pairs]), p_value)


def headline(found: Sequence[Figure]) -> str:
    """`Native tool calls 0 % → 85 %; code dumps 60 % → 0 %`; only the figures that were measured."""
    calls, _, code, false_calls = found
    told = [figure for figure in (calls, code) if figure.after.value is not None] or [false_calls]
    if told[0].after.value is None:
        return "Nothing was measured"
    return "; ".join(_phrase(figure, first=index == 0) for index, figure in enumerate(told))


def _phrase(figure: Figure, first: bool) -> str:
    label = figure.question.label if first else figure.question.label.lower()
    size = f" (n={figure.after.n})" if first else ""
    before = f"{percent(figure.before.value)}\u00a0→\u00a0" if figure.before else ""
    return f"{label} {before}{percent(figure.after.value)}{size}"


def lede(found: Sequence[Figure], run: Run, baseline: Run | None) -> str:
    """What the headline leaves out: which cases it counts, right calls, false calls, and what was not counted."""
    _, right, _, false_calls = found
    parts = [_scope(run, baseline)]
    for figure in (right, false_calls):
        if figure.after.value is not None:
            told = _phrase(figure, first=False) if figure is right else _phrase(figure, first=True)
            parts.append(f"{told[0].upper()}{told[1:]}{'' if figure is false_calls else f' of the {figure.question.among}'}.")
    uncounted = sum(not row.counted for row in run.rows)
    return " ".join(parts + [f"{uncounted} could not be counted (errors, or no token ids)."] * bool(uncounted))


def _scope(run: Run, baseline: Run | None) -> str:
    if baseline is None:
        return f"{len(run.rows):,} completions of {run.name}, judged on token ids."
    shared = len(paired(baseline.rows, run.rows))
    return f"{baseline.name} → {run.name} on the {shared:,} completions that both runs hold, judged on token ids."


class SliceLine(NamedTuple):
    """One run on one slice."""

    run: Run
    n: int
    native: Rate
    right: Rate
    false_calls: Rate
    uncounted: int
    commonest: str


def slices(runs: Sequence[Run]) -> Iterator[tuple[str, list[SliceLine]]]:
    """Each slice, `suite/slice`, with a line for each run that holds it."""
    for name in slice_names(runs):
        parts = [(run, [row for row in run.rows if slice_of(row) == name]) for run in runs]
        yield name, [_slice_line(run, rows) for run, rows in parts if rows]


def slice_names(runs: Sequence[Run]) -> list[str]:
    return sorted({slice_of(row) for run in runs for row in run.rows})


def slice_of(row: Row) -> str:
    return f"{row.case.suite}/{row.case.slice}"


def _slice_line(run: Run, rows: Sequence[Row]) -> SliceLine:
    counted = [row for row in rows if row.counted]
    calls, _, _, false_calls = (_rate(question, counted) for question in QUESTIONS)
    judged = [row for row in counted if row.judged.verdict is not None]
    wrong = Counter(f"{row.judged.emission}, {row.judged.verdict}" for row in judged if row.judged.verdict not in RIGHT)
    return SliceLine(
        run,
        len(rows),
        calls,
        rate(sum(row.judged.verdict in RIGHT for row in judged), len(judged)),
        false_calls,
        len(rows) - len(counted),
        next((f"{what} ({count})" for what, count in wrong.most_common(1)), "–"),
    )

"""Geometry of the page's charts: widths and positions in percent of the drawing, heights in pixels. Pure; no torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any, NamedTuple

from eval.emission import Emission
from eval.pages.families import ORDER, style_of
from eval.pages.summary import Run, slice_names, slice_of
from eval.rows import Row
from eval.score import Rate, emitted, rate

CHARACTER = 1.0  # percent of a bar that one character of a label takes up
NARROW_CHARACTER = 4.2  # the same on a narrow screen
PLOT_HEIGHT = 180
MARGIN_BINS = 32


class Segment(NamedTuple):
    """A class's part of a stacked bar."""

    emission: str
    style: str
    x: float
    width: float
    hits: int
    label: str
    narrow_label: str


class Bar(NamedTuple):
    run: Run
    n: int
    segments: list[Segment]


def stacked(runs: Sequence[Run]) -> Iterator[tuple[str, list[Bar]]]:
    """Each slice with one bar for each run that holds it; the bars are as wide as each other, whatever their n."""
    for name in slice_names(runs):
        counts = [(run, Counter(row.judged.emission for row in run.rows if slice_of(row) == name)) for run in runs]
        yield name, [Bar(run, found.total(), segments(found)) for run, found in counts if found]


def segments(counts: Counter[Emission]) -> list[Segment]:
    """The parts of a bar, in the order of the families."""
    total, x = counts.total(), 0.0
    parts = []
    for emission in (emission for emission in ORDER if counts[emission]):
        width = 100 * counts[emission] / total
        labels = [_label(emission, counts[emission], width / character) for character in (CHARACTER, NARROW_CHARACTER)]
        parts.append(Segment(emission.value, style_of(emission), x, width, counts[emission], *labels))
        x += width
    return parts


def _label(emission: Emission, count: int, characters: float) -> str:
    """The longest label that fits."""
    wanted = (f"{emission.value} {count}", str(count), "")
    return next(text for text in wanted if len(text) + 1 <= characters or not text)


def legend(runs: Sequence[Run]) -> list[tuple[str, str, list[int]]]:
    """Each class that occurs: its name, its style, and its count in each run."""
    counts = [Counter(row.judged.emission for row in run.rows) for run in runs]
    present = [emission for emission in ORDER if any(found[emission] for found in counts)]
    return [(emission.value, style_of(emission), [found[emission] for found in counts]) for emission in present]


class Point(NamedTuple):
    """A rate at a bin; `x` in percent, `y`, `low` and `high` in pixels from the top."""

    bin: str
    x: float
    y: float
    low: float
    high: float
    rate: Rate


class Curve(NamedTuple):
    run: Run
    points: list[Point]


class Plot(NamedTuple):
    """Emission against a property of the case."""

    title: str
    unit: str
    bins: list[tuple[str, float]]
    curves: list[Curve]


def length_bin(tokens: float) -> tuple[float, str]:
    """The octave that a content length falls into, as (order, label)."""
    octave = math.floor(math.log2(max(tokens, 1)))
    return octave, f"{2**octave}–{2 ** (octave + 1) - 1}"


def nesting_bin(depth: float) -> tuple[float, str]:
    return depth, f"{depth:g}"


def emission_plots(runs: Sequence[Run]) -> list[Plot]:
    """Emission against length of content and against nesting, where the cases tell them."""
    wanted: list[tuple[str, str, str, Callable[[float], tuple[float, str]]]] = [
        ("Native calls against content length", "tokens of content asked for", "content_tokens", length_bin),
        ("Native calls against nesting", "levels of nesting in the arguments", "nesting", nesting_bin),
    ]
    plots = (_plot(runs, *each) for each in wanted)
    return [plot for plot in plots if plot.bins]


def _plot(runs: Sequence[Run], title: str, unit: str, key: str, bin_of: Callable[[float], tuple[float, str]]) -> Plot:
    grouped = [_group(run.rows, key, bin_of) for run in runs]
    ordered = sorted({found for groups in grouped for found in groups})
    places = {found: 100 * (index + 0.5) / len(ordered) for index, found in enumerate(ordered)}
    curves = [
        Curve(run, [_point(found[1], places[found], groups[found]) for found in ordered if found in groups])
        for run, groups in zip(runs, grouped, strict=True)
    ]
    return Plot(title, unit, [(label, places[order, label]) for order, label in ordered], curves)


def _group(rows: Sequence[Row], key: str, bin_of: Callable[[float], tuple[float, str]]) -> dict[tuple[float, str], list[Row]]:
    groups: dict[tuple[float, str], list[Row]] = {}
    for row in rows:
        value = row.case.meta.get(key)
        if row.counted and row.case.expects_call and isinstance(value, int | float):
            groups.setdefault(bin_of(value), []).append(row)
    return groups


def _point(label: str, x: float, rows: Sequence[Row]) -> Point:
    found = emitted(rows, [Emission.NATIVE_CALL])
    y, low, high = (PLOT_HEIGHT * (1 - (value or 0)) for value in (found.value, found.low, found.high))
    return Point(label, x, y, low, high, found)


class Histogram(NamedTuple):
    """First-token margins of one run's cases; `bars` are (x, width, height), `above` how many have a margin above zero."""

    run: Run
    needs_call: bool
    bars: list[tuple[float, float, float]]
    median: float
    above: Rate


class Margins(NamedTuple):
    low: float
    high: float
    zero: float
    histograms: list[Histogram]


def margins(runs: Sequence[Run]) -> Margins | None:
    """Histograms over one common range that holds zero; None where no row has a margin."""
    groups = [
        (run, needs_call, [value for row in run.rows if row.case.expects_call == needs_call and (value := margin_of(row)) is not None])
        for needs_call in (True, False)
        for run in runs
    ]
    everything = [value for _, _, values in groups for value in values]
    if not everything:
        return None
    low, high = math.floor(min([*everything, -1.0])), math.ceil(max([*everything, 1.0]))
    drawn = [_histogram(run, needs_call, values, low, high) for run, needs_call, values in groups if values]
    return Margins(low, high, 100 * -low / (high - low), drawn)


def margin_of(row: Row) -> float | None:
    """The row's first-token margin in nats, or None where it has no finite one."""
    value: Any = (row.margin or {}).get("margin")
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _histogram(run: Run, needs_call: bool, values: Sequence[float], low: float, high: float) -> Histogram:
    counts = Counter(min(int(MARGIN_BINS * (value - low) / (high - low)), MARGIN_BINS - 1) for value in values)
    tallest, width = max(counts.values()), 100 / MARGIN_BINS
    bars = [(index * width, width, count / tallest) for index, count in sorted(counts.items())]
    return Histogram(run, needs_call, bars, median(values), rate(sum(value > 0 for value in values), len(values)))

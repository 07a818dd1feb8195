"""How one pair of parsers read one scripted completion, and the tables of such cells. Pure; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from data.transcript import Json

Pair = tuple[str, str | None]


class Cell(NamedTuple):
    """Whether one pair read one situation right: at once, and streamed in chunks of any size; `why` names what it did wrong."""

    whole: bool
    streamed: bool
    why: str

    def __str__(self) -> str:
        names = {(True, True): "✓", (True, False): "whole only", (False, True): "streamed only", (False, False): "✗"}
        return names[self.whole, self.streamed]


def cell(whole: str, *streamed: str) -> Cell:
    """Of what went wrong at once and in each way of streaming; empty where nothing did."""
    return Cell(not whole, not any(streamed), next((why for why in (whole, *streamed) if why), ""))


def label(pair: Pair) -> str:
    return f"{pair[0]} + {pair[1] or 'none'}"


def pair_of(text: str) -> Pair:
    """A pair as it is typed, such as hf+hf or hermes+none."""
    tool, _, reasoning = text.replace(" ", "").partition("+")
    return tool, None if reasoning in ("", "none") else reasoning


def cell_table(rows: Sequence[Json], pairs: Sequence[Pair]) -> list[str]:
    """A line for each row, its cells under their pairs, and the totals."""
    head = ["situation", "prompt", *map(label, pairs)]
    body = [[row["situation"], row["mode"], *("refused" if one is None else str(one) for one in row["cells"])] for row in rows]
    totals = ["**right, whole / streamed**", f"of {len(rows)}", *(_total(rows, index) for index in range(len(pairs)))]
    return table(head, [*body, totals])


def _total(rows: Sequence[Json], index: int) -> str:
    cells = [row["cells"][index] for row in rows]
    if None in cells:
        return "refused"
    return f"**{sum(one.whole for one in cells)} / {sum(one.streamed for one in cells)}**"


def table(head: list[str], body: list[list[str]]) -> list[str]:
    """A table in Markdown."""

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in cells) + " |"

    return [line(head), line(["---"] * len(head)), *map(line, body)]


def plain(rows: Sequence[Json]) -> list[Json]:
    """Rows as JSON holds them."""
    return [{**row, "cells": [one and one._asdict() for one in row["cells"]]} for row in rows]

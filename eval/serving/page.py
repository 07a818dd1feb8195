"""Shows what was found, on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eval.serving.outcome import Outcome, Status

COLOURS = {Status.OK: "green", Status.FAILED: "bold red", Status.UNSUPPORTED: "yellow", Status.STATED: "cyan"}
SHOWN = 3  # failures of a check that are printed; serving.json has all


def outcomes_table(title: str, outcomes: Iterable[Outcome]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("check")
    table.add_column("state")
    table.add_column("right", justify="right")
    table.add_column("note", overflow="fold")
    for outcome in outcomes:
        state = f"[{COLOURS[outcome.status]}]{outcome.status}[/]"
        table.add_row(outcome.name, state, f"{outcome.right}/{outcome.total}", escape(outcome.note))
    return table


def show_failures(console: Console, outcomes: Iterable[Outcome]) -> None:
    """The first failures of each check, with place, found, expected and remedy."""
    for outcome in outcomes:
        for failure in sorted(outcome.failures, key=lambda failure: failure.by_model)[:SHOWN]:
            style = COLOURS[Status.STATED if failure.by_model else Status.FAILED]
            console.print(f"\n{outcome.name}: {failure.place}", style=style, markup=False, highlight=False)
            for word in ("found", "expected", "remedy"):
                console.print(f"  {word + ':':9} {getattr(failure, word)}", markup=False, highlight=False)
        if len(outcome.failures) > SHOWN:
            console.print(f"  … and {len(outcome.failures) - SHOWN} more in serving.json")

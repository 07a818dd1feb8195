"""Compare two evaluations case by case: `python -m eval.compare outputs/eval/base outputs/eval/adapter`

Pairs the cases that both runs hold, prints the rates side by side and what changed, and writes `comparison.json` into the second
folder. Exit status 2 when the second run is worse: a paired exact McNemar test on correctness with p < 0.05.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from scipy.stats import binomtest

from data.errors import UserError, reported
from data.manifest import write_json
from eval.completion import Key
from eval.emission import CODE
from eval.report import metrics_table
from eval.rows import Row, read_rows
from eval.score import metrics_json
from eval.verdict import RIGHT, Verdict

SHOWN_LINES = 10


class Paired(NamedTuple):
    """Counts of cases by (first run right, second run right), and the exact McNemar p-value."""

    both: int
    gained: int
    lost: int
    neither: int
    p_value: float | None


def turned(base: Mapping[Key, Row], candidate: Mapping[Key, Row]) -> tuple[Row, Row] | None:
    """Both rows of a case that dumped code in the first run and calls rightly in the second, the one with the shortest request."""
    pairs = [(base[key], candidate[key]) for key in candidate if key in base]
    found = [pair for pair in pairs if pair[0].judged.emission in CODE and pair[1].judged.verdict is Verdict.RIGHT_CALL]
    return min(found, key=lambda pair: len(pair[0].case.messages[-1]["content"]), default=None)


def show_turned(pair: tuple[Row, Row], names: tuple[str, str], console: Console) -> None:
    """One case before and after: the request, and what each run generated."""
    console.print(f"\n[bold]One case, {pair[0].case.id}, before and after[/bold]")
    console.print(pair[0].case.messages[-1]["content"], style="italic", markup=False)
    for name, row in zip(names, pair, strict=True):
        lines = "".join(row.tokens).splitlines()
        shown = "\n".join(["  " + line for line in lines[:SHOWN_LINES]] + ["  …"] * (len(lines) > SHOWN_LINES))
        console.print(f"{name}: {row.judged.emission} ({row.judged.why})\n{shown}", markup=False, highlight=False)


def mcnemar(pairs: Sequence[tuple[bool, bool]]) -> Paired:
    """Exact McNemar test of (first right, second right): the discordant pairs against a fair coin."""
    counts = Counter(pairs)
    gained, lost = counts[False, True], counts[True, False]
    p_value = float(binomtest(gained, gained + lost).pvalue) if gained + lost else None
    return Paired(counts[True, True], gained, lost, counts[False, False], p_value)


def compare(base: Mapping[Key, Row], candidate: Mapping[Key, Row]) -> dict[str, Any]:
    """Both runs on the completions that both hold and count, and the paired test."""
    shared = [key for key in candidate if key in base and candidate[key].counted and base[key].counted]
    paired = mcnemar([(base[key].judged.verdict in RIGHT, candidate[key].judged.verdict in RIGHT) for key in shared])
    return {
        "shared_cases": len(shared),
        "paired": paired._asdict(),
        "base": metrics_json([base[key] for key in shared]),
        "candidate": metrics_json([candidate[key] for key in shared]),
    }


def sentence(paired: Paired) -> str:
    if paired.p_value is None:
        return "No case changed between right and wrong."
    return f"{paired.gained} cases became right and {paired.lost} became wrong (exact McNemar p = {paired.p_value:.2g})."


@reported
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path, help="folder of the first run")
    parser.add_argument("candidate", type=Path, help="folder of the run to judge")
    args = parser.parse_args()
    console = Console()
    base, candidate = ({row.completion.key: row for row in read_rows(folder)} for folder in (args.base, args.candidate))
    result = compare(base, candidate)
    if not result["shared_cases"]:
        raise UserError(
            f"{args.base} and {args.candidate}", "no case in common", "runs over the same suites", "evaluate both with one config"
        )
    write_json(args.candidate / "comparison.json", result)
    names = (args.base.name, args.candidate.name)
    console.print(metrics_table(dict(zip(names, (result["base"], result["candidate"]), strict=True))))
    if pair := turned(base, candidate):
        show_turned(pair, names, console)
    paired = Paired(**result["paired"])
    console.print(f"{result['shared_cases']} cases in both runs. {sentence(paired)}", markup=False)
    return 2 if paired.lost > paired.gained and (paired.p_value or 1) < 0.05 else 0


if __name__ == "__main__":
    sys.exit(main())

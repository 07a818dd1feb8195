"""Compare two evaluations case by case: `python -m eval.compare outputs/eval/base outputs/eval/adapter`

Pairs the cases that both runs hold, prints the rates side by side and what changed, and writes `comparison.json` into the second
folder. Exit status 2 when the second run is worse: a paired exact McNemar test on correctness with p < 0.05.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from scipy.stats import binomtest

from data.errors import UserError, reported
from data.manifest import read_manifest, write_json
from data.transcript import Json
from eval.case import Case
from eval.classify import Verdict
from eval.report import metrics_table
from eval.score import Scored, metrics_json

SHOWN_LINES = 10
RIGHT = frozenset({Verdict.CORRECT_CALL, Verdict.CORRECT_ABSTENTION})


class Paired(NamedTuple):
    """Counts of cases by (first run right, second run right), and the exact McNemar p-value."""

    both: int
    gained: int
    lost: int
    neither: int
    p_value: float | None


def read_rows(folder: Path) -> dict[str, Json]:
    """The rows of `verdicts.jsonl` by case id."""
    path = folder / "verdicts.jsonl"
    if read_manifest(folder) is None or not path.is_file():
        raise UserError(str(folder), "no finished evaluation", "a folder left by eval.run", "run or resume eval.run")
    return {row["case"]["id"]: row for row in map(json.loads, path.read_text().splitlines())}


def scored(rows: dict[str, Json]) -> dict[str, Scored]:
    return {id_: Scored(Case.from_json(row["case"]), Verdict(row["verdict"])) for id_, row in rows.items()}


def turned(base: dict[str, Json], candidate: dict[str, Json]) -> tuple[Json, Json] | None:
    """Both rows of a case that dumped code in the first run and calls rightly in the second, the one with the shortest request."""
    pairs = [(base[id_], candidate[id_]) for id_ in candidate if id_ in base]
    found = [pair for pair in pairs if (pair[0]["verdict"], pair[1]["verdict"]) == (Verdict.CODE_DUMP, Verdict.CORRECT_CALL)]
    return min(found, key=lambda pair: len(pair[0]["case"]["messages"][-1]["content"]), default=None)


def show_turned(pair: tuple[Json, Json], names: tuple[str, str], console: Console) -> None:
    """One case before and after: the request, and what each run generated."""
    console.print(f"\n[bold]One case, {pair[0]['case']['id']}, before and after[/bold]")
    console.print(pair[0]["case"]["messages"][-1]["content"], style="italic", markup=False)
    for name, row in zip(names, pair, strict=True):
        lines = "".join(row["tokens"]).splitlines()
        shown = "\n".join(["  " + line for line in lines[:SHOWN_LINES]] + ["  …"] * (len(lines) > SHOWN_LINES))
        console.print(f"{name}: {row['verdict']} ({row['reason']})\n{shown}", markup=False, highlight=False)


def mcnemar(pairs: list[tuple[Verdict, Verdict]]) -> Paired:
    """Exact McNemar test: the discordant pairs against a fair coin."""
    counts = Counter((first in RIGHT, second in RIGHT) for first, second in pairs)
    gained, lost = counts[False, True], counts[True, False]
    p_value = float(binomtest(gained, gained + lost).pvalue) if gained + lost else None
    return Paired(counts[True, True], gained, lost, counts[False, False], p_value)


def compare(base: dict[str, Scored], candidate: dict[str, Scored]) -> dict[str, Any]:
    """Both runs on the cases that both hold, and the paired test."""
    shared = [id_ for id_ in candidate if id_ in base]
    paired = mcnemar([(base[id_].verdict, candidate[id_].verdict) for id_ in shared])
    return {
        "shared_cases": len(shared),
        "paired": paired._asdict(),
        "base": metrics_json([base[id_] for id_ in shared]),
        "candidate": metrics_json([candidate[id_] for id_ in shared]),
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
    base, candidate = read_rows(args.base), read_rows(args.candidate)
    result = compare(scored(base), scored(candidate))
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

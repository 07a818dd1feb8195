"""Compare two evaluations case by case: `python -m eval.compare outputs/eval/base outputs/eval/adapter`

Pairs the cases that both runs hold, refuses runs that differ in more than the model, prints what changed with its uncertainty, overall and
by slice, and writes `comparison.json` into the second folder. Exit status 2 when the second run is worse: in right answers, or in native
emission or false calls without right answers being better, by an exact McNemar test (Holm-adjusted p < 0.05) and a paired interval
clustered by tool.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from data.errors import UserError, reported
from data.manifest import write_json
from eval.alarm import hidden_fall
from eval.comparable import ALLOWABLE, check_fingerprints, differing, read_fingerprint, shared_keys
from eval.completion import Key
from eval.emission import CODE
from eval.pairing import by_slice, changes, pairs_of
from eval.rows import Row, read_rows
from eval.score import metrics_json
from eval.verdict import Verdict
from eval.wording import NAMES, interval_text, percent, points, sentence

SHOWN_LINES = 10


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


def compare(base: Mapping[Key, Row], candidate: Mapping[Key, Row], allowed: Collection[str] = ()) -> dict[str, Any]:
    """What `comparison.json` holds, but for the fingerprints."""
    case_ids = shared_keys(base, candidate, allowed)
    shared = set(case_ids)
    pairs = pairs_of(list(base.values()), list(candidate.values()), case_ids)
    found = changes(pairs)
    return {
        "schema_version": 2,
        "shared_cases": len(case_ids),
        "left_out": {"base": len(_case_ids(base) - shared), "candidate": len(_case_ids(candidate) - shared)},
        "changes": found,
        "slices": by_slice(pairs),
        "alarm": hidden_fall(base, candidate)._asdict(),
        "regression": regressed(found),
        "sentence": sentence(found),
        "base": metrics_json([row for row in base.values() if row.case.id in shared]),
        "candidate": metrics_json([row for row in candidate.values() if row.case.id in shared]),
    }


def regressed(found: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether any outcome is worse, unless right answers, which weigh calls and abstentions alike, are better."""
    return found["right"]["conclusion"] != "better" and any(one["conclusion"] == "worse" for one in found.values())


def _case_ids(rows: Mapping[Key, Row]) -> set[str]:
    return {row.case.id for row in rows.values()}


def changes_table(found: Mapping[str, Mapping[str, Any]], names: tuple[str, str], title: str) -> Table:
    """One line for each outcome or slice."""
    table = Table(title=title, title_justify="left")
    for name in ("", "n", *names, "difference", "95 % interval", "gained", "lost", "p", "detectable"):
        table.add_column(name, justify="right" if name else "left")
    for name, one in found.items():
        p_value = one.get("p_adjusted", one["p_value"])
        table.add_row(
            NAMES.get(name, name), str(one["n"]), percent(one["base"]), percent(one["candidate"]), points(one["difference"]),
            interval_text(one), str(one["gained"]), str(one["lost"]), "n/a" if p_value is None else f"{p_value:.2g}",
            points(one["minimum_detectable_effect"]),
        )  # fmt: skip
    return table


def show(result: Mapping[str, Any], names: tuple[str, str], console: Console) -> None:
    """The comparison on a terminal, the sentence last."""
    titles = ("shared cases; p is Holm-adjusted; detectable: at 80 % power", "right answers by slice; p is not adjusted")
    for found, title in zip((result["changes"], result["slices"]), titles, strict=True):
        console.print(changes_table(found, names, title))
    left_out = result["left_out"]
    if any(left_out.values()):
        console.print(
            f"Not compared: {left_out['base']} cases of {names[0]} and {left_out['candidate']} of {names[1]}, absent or not counted."
        )
    if result["alarm"]["fires"]:
        console.print(f"ALARM: {result['alarm']['reason']}", style="bold red")
    console.print(f"{result['shared_cases']} cases in both runs. {result['sentence']}", markup=False, highlight=False)


def fingerprints(base: Path, candidate: Path, allowed: Collection[str], console: Console) -> dict[str, Any] | None:
    """What differs between the runs besides their answers; `UserError` where it must not."""
    first, second = read_fingerprint(base), read_fingerprint(candidate)
    if first is None or second is None:
        console.print("A run has no fingerprint.json: whether both were made alike cannot be told.", style="yellow")
        return None
    check_fingerprints(first, second, allowed)
    return differing(first, second)


@reported
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path, help="folder of the first run")
    parser.add_argument("candidate", type=Path, help="folder of the run to judge")
    parser.add_argument("--allow", action="append", default=[], choices=ALLOWABLE, help="a difference that is meant; may be repeated")
    args = parser.parse_args()
    console = Console()
    base, candidate = ({row.completion.key: row for row in read_rows(folder)} for folder in (args.base, args.candidate))
    differs = fingerprints(args.base, args.candidate, args.allow, console)
    result = compare(base, candidate, args.allow)
    if not result["shared_cases"]:
        place = f"{args.base} and {args.candidate}"
        raise UserError(place, "no case in common", "runs over the same suites", "evaluate both with one config")
    write_json(args.candidate / "comparison.json", {**result, "allowed": args.allow, "fingerprints_differ": differs})
    names = (args.base.name, args.candidate.name)
    if pair := turned(base, candidate):
        show_turned(pair, names, console)
    show(result, names, console)
    return 2 if result["regression"] else 0


if __name__ == "__main__":
    sys.exit(main())

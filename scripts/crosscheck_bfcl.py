"""Our matcher beside `bfcl-eval`'s own checker, on every row of BFCL's Python categories: `python scripts/crosscheck_bfcl.py [--run DIR …]`

Each row's gold call is put to both as it is, and changed in every way that `near_calls` and `near_lists` know; `--run` adds what a model
really called in a finished evaluation. The package's `ast_checker` is called as its own runner calls it, with the category's name.
Outputs that hold a Python tuple, which no call in JSON can, are told apart: the package takes a tuple for the array that its schema calls
"tuple". Exit status 2 when any other verdict differs; counts and differences go to `--json F`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from data.contamination import bfcl_folder
from data.errors import UserError, reported
from data.manifest import write_json
from data.transcript import Json
from eval.case import ExpectedCall
from eval.match import calls_mismatch
from eval.rows import read_rows
from eval.suites.bfcl import json_schema

CATEGORIES = (
    "simple_python", "multiple", "parallel", "parallel_multiple",
    "live_simple", "live_multiple", "live_parallel", "live_parallel_multiple",
)  # fmt: skip
Calls = list[tuple[str, Json]]


class Item(NamedTuple):
    """One row of BFCL as the package states it, and its case."""

    category: str
    id: str
    functions: list[Json]
    gold: list[Json]

    @property
    def expected(self) -> list[ExpectedCall]:
        return [ExpectedCall(name, accepted) for call in self.gold for name, accepted in call.items()]

    @property
    def ours(self) -> list[Json]:
        return [{**function, "parameters": json_schema(function["parameters"])} for function in self.functions]


def load_checker() -> ModuleType:
    """The package's checker.

    It looks up one flag of a model in `model_config`, which imports the client library of every provider: a module that holds only that
    flag stands in for it.
    """
    config = ModuleType("bfcl_eval.constants.model_config")
    config.MODEL_CONFIG_MAPPING = {"any": SimpleNamespace(underscore_to_dot=False)}  # type: ignore[attr-defined]
    sys.modules.setdefault(config.__name__, config)
    try:
        from bfcl_eval.eval_checker.ast_eval import ast_checker
    except ImportError as error:
        raise UserError("bfcl-eval", str(error), "the package and tree-sitter", "scripts/setup.sh") from error
    return ast_checker


def items(category: str) -> list[Item]:
    """Every row of a category."""
    folder = bfcl_folder()
    if folder is None:
        raise UserError("BFCL data", "bfcl-eval is not installed", "the package with its data folder", "scripts/setup.sh")
    name = f"BFCL_v4_{category}.json"
    gold = {row["id"]: row["ground_truth"] for row in _rows(folder / "possible_answer" / name)}
    return [Item(category, row["id"], row["function"], gold[row["id"]]) for row in _rows(folder / name)]


def _rows(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def near_values(value: Any) -> list[Any]:
    """Values near a right one: of another type, case, spacing, length, order or nesting."""
    near: list[Any] = [str(value), [value], {"x": value}, None, True, "", [], {}]
    if isinstance(value, str):
        near += [value.upper(), f" {value}.", f"{value}x", value.replace(" ", "\n"), value.replace("'", '"')]
    if isinstance(value, int | float):
        near += [float(value), int(value), value + 1, -value]
    if isinstance(value, list):
        near += [value[::-1], value[:-1], [*value, *value[:1]], list(map(str, value)), tuple(value)]
        near += [[item + 0.0 if type(item) is int else item for item in value], [near_values(item)[-1] for item in value]]
    if isinstance(value, dict):
        near += [{key: item for key, item in value.items() if key != left_out} for left_out in value]
        near += [{**value, key: other} for key, item in value.items() for other in (str(item), [item], None)] + [{**value, "x": 1}]
    return near


def near_calls(item: Item) -> Iterator[tuple[str, Calls]]:
    """The kind of change and the changed calls: one argument of one call, or the list of calls."""
    right: Calls = [(call.name, call.example()) for call in item.expected]
    yield "gold", right
    yield "no call", []
    yield "one call more", [*right, right[0]]
    yield "other order", right[::-1]
    yield "one call twice", [right[0], *right[:-1]]
    yield "other name", [(f"{right[0][0]}_", right[0][1]), *right[1:]]
    for at, (name, arguments) in enumerate(right):
        for kind, changed in near_arguments(arguments, item.expected[at]):
            yield kind, [*right[:at], (name, changed), *right[at + 1 :]]


def near_arguments(arguments: Json, expected: ExpectedCall) -> Iterator[tuple[str, Json]]:
    yield "unknown argument", {**arguments, "not_a_parameter": 1}
    yield "arguments reordered", dict(reversed(arguments.items()))
    for name, value in arguments.items():
        yield "argument missing", {key: item for key, item in arguments.items() if key != name}
        for near in near_values(value):
            yield "value changed", {**arguments, name: near}
    for name, accepted in expected.arguments.items():
        for value in accepted:
            yield "other accepted value", {**arguments, name: value}


def real_calls(folders: Sequence[Path]) -> Iterator[tuple[str, str, Calls]]:
    """Case id, folder and calls of each counted completion of a run."""
    for folder in folders:
        for row in read_rows(folder):
            if row.counted and row.case.suite == "bfcl":
                yield row.case.id, folder.name, [(call["name"], call["arguments"]) for call in row.calls]


def accepted_by_package(checker: ModuleType, item: Item, calls: Calls) -> tuple[bool, str]:
    """The package's verdict and its reason; an exception inside it is a reason too, and no match."""
    output = [{name: arguments} for name, arguments in calls]
    try:
        found = checker.ast_checker(item.functions, output, item.gold, checker.Language.PYTHON, item.category, "any")
    except (AttributeError, TypeError, KeyError, IndexError) as error:
        return False, f"its checker raises {type(error).__name__}"
    return bool(found["valid"]), str(found.get("error_type", ""))


class Tally:
    """Counts of agreement by category and change, and every difference."""

    def __init__(self, checker: ModuleType) -> None:
        self.checker, self.agreed, self.accepted = checker, Counter[tuple[str, str]](), Counter[str]()
        self.raised = self.beyond_json = 0
        self.differences: list[Json] = []

    def put(self, item: Item, kind: str, calls: Calls) -> None:
        theirs, reason = accepted_by_package(self.checker, item, calls)
        mismatch = calls_mismatch(calls, item.expected, item.ours)
        if _holds_tuple(calls):
            self.beyond_json += (mismatch is None) != theirs
            return
        self.raised += reason.startswith("its checker raises")
        if (mismatch is None) == theirs:
            self.agreed[item.category, kind] += 1
            self.accepted[item.category] += theirs
        else:
            self.differences.append({
                "id": item.id, "category": item.category, "kind": kind, "calls": calls, "ours": mismatch or "match",
                "theirs": "match" if theirs else reason,
            })  # fmt: skip


def _holds_tuple(calls: Calls) -> bool:
    return any(isinstance(value, tuple) for _, arguments in calls for value in arguments.values())


def table(tally: Tally) -> Table:
    shown = Table(title="verdicts of both on the same outputs", title_justify="left")
    for name in ("category", "outputs", "agree", "of these accepted", "differ"):
        shown.add_column(name, justify="left" if name == "category" else "right")
    for category in dict.fromkeys(name for name, _ in tally.agreed):
        agree = sum(count for (name, _), count in tally.agreed.items() if name == category)
        differ = sum(one["category"] == category for one in tally.differences)
        shown.add_row(category, str(agree + differ), str(agree), str(tally.accepted[category]), str(differ))
    return shown


@reported
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, action="append", default=[], help="folder of a finished evaluation; may be repeated")
    parser.add_argument("--every", type=int, default=1, help="only each N-th row of a category (default 1)")
    parser.add_argument("--json", type=Path, help="file for counts and differences")
    args = parser.parse_args()
    console, tally = Console(), Tally(load_checker())
    by_id: dict[str, Item] = {}
    for category in CATEGORIES:
        for item in track(items(category)[:: args.every], description=category, console=console):
            by_id[item.id] = item
            for kind, calls in near_calls(item):
                tally.put(item, kind, calls)
    for case_id, name, calls in real_calls(args.run):
        if case_id in by_id:
            tally.put(by_id[case_id], f"generated, {name}", calls)
    console.print(table(tally))
    kinds = Counter[str]()
    for (_, kind), count in tally.agreed.items():
        kinds[kind] += count
    console.print(f"{sum(kinds.values())} outputs judged alike, {len(tally.differences)} otherwise; by change: {dict(kinds)}")
    console.print(f"the package's checker raised on {tally.raised} outputs; {tally.beyond_json} tuples, beyond JSON, are judged otherwise")
    reasons = Counter((one["ours"].split(":")[0], one["theirs"]) for one in tally.differences)
    for (ours, theirs), count in reasons.most_common():
        console.print(f"differ: {count} × ours {ours!r}, theirs {theirs!r}", markup=False)
    if args.json:
        counts = {"agree": sum(kinds.values()), "raised": tally.raised, "tuples_judged_otherwise": tally.beyond_json}
        write_json(args.json, {**counts, "by_change": kinds, "differences": tally.differences})
    return 2 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())

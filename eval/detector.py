"""python -m eval.detector [--shapes DIR] [--errors]: how well `eval.classify` tells the emission classes apart, on labelled outputs.

Two sets: `eval/labelled/outputs.jsonl`, written for this purpose and labelled by hand, and the shapes of toolcall-repair-bench where
they are at hand. The own set's `tune` part was written before the rules and served to write them. Its `test` part was written after them,
in other styles, and no rule was made for it; its author knew the rules, so that its figures are still kinder than strangers' outputs are.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from data.errors import reported
from data.response import read_response
from data.transcript import Json
from eval.asked import Asked, contents_of
from eval.characters import WIRE, Characters, ids_of
from eval.classify import emission_of
from eval.completion import Completion
from eval.emission import Emission
from eval.shapes import FILE, accepted, ids_of_shape

SHAPES = Path(__file__).resolve().parents[2] / "shared" / "data" / "fixtures" / "output_shapes"
CHARACTERS = Characters()


@dataclass(frozen=True)
class Outcome:
    """One labelled output: what a person calls it, what the detector calls it, and why."""

    id: str
    split: str
    label: Emission
    found: Emission
    why: str
    text: str


@dataclass(frozen=True)
class Quality:
    """Of one class: `n` outputs labelled so, `found` outputs detected so, `hits` both; a ratio without denominator is None."""

    n: int
    found: int
    hits: int
    precision: float | None
    recall: float | None


def classify_ids(ids: list[int] | None, asked: Asked, finish: str = "stop", starts_in_reasoning: bool = False) -> tuple[Emission, str]:
    """The class of labelled ids, read as a model's are."""
    completion = Completion("", ids, finish, 0, 0.0)  # type: ignore[arg-type]
    return emission_of(completion, read_response(ids or [], CHARACTERS, WIRE, starts_in_reasoning), asked)


def own_outcomes() -> list[Outcome]:
    """Each output of the labelled set through reader and detector."""
    lines = files("eval").joinpath("labelled/outputs.jsonl").read_text(encoding="utf-8").splitlines()
    return [_own(json.loads(line)) for line in lines]


def _own(row: Json) -> Outcome:
    ids = ids_of(row["text"]) if row.get("ids", True) else None
    asked = Asked(frozenset(row["tools"]), row.get("expects_call", True), contents_of([row.get("content")]))
    found, why = classify_ids(ids, asked, row.get("finish", "stop"), row.get("starts_in_reasoning", False))
    return Outcome(row["id"], row["split"], Emission(row["label"]), found, why, row["text"])


def shape_outcomes(folder: Path = SHAPES) -> list[Outcome]:
    """Each output of toolcall-repair-bench, where the folder exists."""
    path = folder / FILE
    if not path.is_file():
        return []
    return [_shape(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _shape(row: Json) -> Outcome:
    asked = Asked(frozenset(tool["name"] for tool in row["request_tools"]), row["gold"]["type"] == "tool_call")
    found, why = classify_ids(ids_of_shape(row["raw_output"]), asked)
    allowed = accepted(row)
    return Outcome(row["id"], "shapes", found if found in allowed else allowed[0], found, why, row["raw_output"])


def quality(outcomes: Iterable[Outcome]) -> dict[Emission, Quality]:
    """Precision and recall of each class that is labelled or found."""
    seen = list(outcomes)
    labels, found = Counter(item.label for item in seen), Counter(item.found for item in seen)
    hits = Counter(item.label for item in seen if item.label is item.found)
    return {
        kind: Quality(labels[kind], found[kind], hits[kind], _ratio(hits[kind], found[kind]), _ratio(hits[kind], labels[kind]))
        for kind in Emission
        if labels[kind] or found[kind]
    }


def _ratio(hits: int, n: int) -> float | None:
    return hits / n if n else None


@cache
def detector_quality(folder: Path = SHAPES) -> Json:
    """`{set: {"n", "accuracy", "classes": {class: {n, found, hits, precision, recall}}}}` for the own set whole, tuned on and held out, and
    for the shapes where they are at hand."""
    own, shapes = own_outcomes(), shape_outcomes(folder)
    held_out, tuned = [item for item in own if item.split == "test"], [item for item in own if item.split == "tune"]
    sets = {"own": own, "own, tuned on": tuned, "own, held out": held_out} | ({"output_shapes": shapes} if shapes else {})
    return {name: _summary(outcomes) for name, outcomes in sets.items()}


def _summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    right = sum(item.label is item.found for item in outcomes)
    classes = {kind.value: asdict(value) for kind, value in quality(outcomes).items()}
    return {"n": len(outcomes), "accuracy": _ratio(right, len(outcomes)), "classes": classes}


def table_of(name: str, summary: Json) -> Table:
    """One set as a table."""
    table = Table(title=f"{name}: n={summary['n']}, accuracy {_percent(summary['accuracy'])}", title_justify="left")
    table.add_column("emission class")
    for column in ("n", "found", "precision", "recall"):
        table.add_column(column, justify="right")
    for kind, row in summary["classes"].items():
        table.add_row(kind, str(row["n"]), str(row["found"]), _percent(row["precision"]), _percent(row["recall"]))
    return table


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1%}"


@reported
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=Path, default=SHAPES, help="folder of toolcall-repair-bench's shapes")
    parser.add_argument("--errors", action="store_true", help="list what is told wrong, but for the held-out part")
    options = parser.parse_args()
    console = Console()
    for name, summary in detector_quality(options.shapes).items():
        console.print(table_of(name, summary))
    if options.errors:
        for item in [*own_outcomes(), *shape_outcomes(options.shapes)]:
            if item.label is not item.found and item.split != "test":
                console.print(f"{item.id}: {item.label} taken for {item.found} ({item.why})\n    {item.text[:200]!r}", markup=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

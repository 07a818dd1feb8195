"""Feeds the reader outputs made to break it: python scripts/fuzz_reader.py --tokenizer DIR [--count 200000] [--seed N]

Half of the sequences are read as JSON calls, half as tagged ones; each is read at once and in chunks. Exit status 1 when a promise is
broken; the sequence is printed.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from data.fuzz import Sequences, check
from data.response import Response
from data.tokenizer import load_tokenizer
from data.wire import FORMATS, WireFormat, read_ids

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "smollm3"
SHOWN = 10  # broken promises printed in full


def main() -> int:
    args = _arguments()
    console, tokenizer = Console(), load_tokenizer(args.tokenizer)
    counts: dict[str, Counter[str]] = {}
    broken: list[str] = []
    for number, form in enumerate(FORMATS):
        share = args.count // len(FORMATS) + (number < args.count % len(FORMATS))
        counts[form.name] = _fuzz(tokenizer, form, share, args.seed, broken, console)
    console.print(_table(counts, f"{args.count:,} sequences, seed {args.seed}, {args.tokenizer}"))
    for line in broken[:SHOWN]:
        console.print(line, markup=False)
    console.print(f"{len(broken)} broken promises")
    return bool(broken)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = str(BESIDE) if BESIDE.is_dir() else "HuggingFaceTB/SmolLM3-3B"
    parser.add_argument("--tokenizer", default=default, help=f"folder or Hub name; default {default}")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _fuzz(tokenizer: Any, form: WireFormat, count: int, seed: int, broken: list[str], console: Console) -> Counter[str]:
    """Read `count` sequences in one format; returns what they turned out to be and adds to `broken`."""
    wire, found = read_ids(tokenizer, form), Counter[str]()
    sequences = Sequences(tokenizer, wire, seed)
    for ids in track(itertools.islice(sequences, count), f"{form.name:18}", total=count, console=console):
        began = time.perf_counter()
        response, promises = check(ids, sequences.rng, tokenizer, wire)
        found += _counted(ids, response)
        found["slowest, ms"] = max(found["slowest, ms"], round(1000 * (time.perf_counter() - began)))
        broken += [f"{form.name}: {promise}: {ids}" for promise in promises]
    return found


def _counted(ids: list[int], response: Response) -> Counter[str]:
    found = Counter({"sequences": 1, "ids": len(ids), "calls": len(response.calls), "turns ended": int(response.ended)})
    found.update(
        {"calls in reasoning": sum(call.in_reasoning for call in response.calls), "with reasoning": response.reasoning is not None}
    )
    found.update({"malformed": len(response.malformed)})
    found.update(f"malformed: {block.defect}" for block in response.malformed)
    return found


def _table(counts: dict[str, Counter[str]], title: str) -> Table:
    table = Table("", *counts, title=title)
    rows = dict.fromkeys(key for found in counts.values() for key in found)
    for row in sorted(rows, key=lambda key: key.startswith("malformed")):
        table.add_row(row, *(f"{found[row]:,}" for found in counts.values()))
    for column in table.columns[1:]:
        column.justify = "right"
    return table


if __name__ == "__main__":
    sys.exit(main())

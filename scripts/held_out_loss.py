"""Compare adapters by what they make of transcripts they were not trained on: `python scripts/held_out_loss.py --model BASE --data DIR A B`

For each adapter, over the supervised tokens of the same transcripts: the mean loss in nats of *decision* tokens (the first of an answer),
of *structure* tokens (those with a brace, bracket or backslash) and of the rest, and the share of answers whose every token is the most
likely one, which greedy decoding would therefore write. Differences are to the first adapter, with 95 % intervals over transcripts drawn
anew: where an interval holds 0 the transcripts do not tell the adapters apart. `--json F` keeps the figures.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from data.errors import UserError, reported
from data.manifest import write_json
from data.render import Rendered, render
from data.tokenizer import load_tokenizer
from eval.statistics import cluster_interval
from train.dataset import read_transcripts
from train.merge import holding_dtype, load_model, load_unmerged

KINDS = ("decision", "structure", "rest")
STRUCTURE = frozenset("{}[]\\")


@dataclass
class Values:
    """One measured quantity: a value for each token or answer, and the transcript that each is of."""

    values: list[float] = field(default_factory=list)
    transcripts: list[int] = field(default_factory=list)

    def add(self, values: list[float], transcript: int) -> None:
        self.values += values
        self.transcripts += [transcript] * len(values)

    def mean(self) -> float:
        return sum(self.values) / max(1, len(self.values))


Found = dict[str, Values]


@torch.inference_mode()
def measure(model: Any, rows: list[Rendered], of_structure: torch.Tensor, title: str) -> Found:
    """Losses in nats by kind of token, and `right`: 1 for an answer that greedy decoding would write. `of_structure`: bool (ids,)."""
    found: Found = defaultdict(Values)
    for transcript, row in enumerate(track(rows, description=title)):
        ids = torch.tensor([row.input_ids], device=model.device)
        logs = model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(dim=-1)
        for start, end in row.spans():
            targets = ids[0, start:end]
            answer = logs[start - 1 : end - 1]
            losses = -answer.gather(1, targets[:, None])[:, 0]
            marked = of_structure.to(targets.device)[targets[1:]]
            found["decision"].add(losses[:1].tolist(), transcript)
            found["structure"].add(losses[1:][marked].tolist(), transcript)
            found["rest"].add(losses[1:][~marked].tolist(), transcript)
            found["right"].add([float(torch.equal(answer.argmax(dim=-1), targets))], transcript)
    return found


def held_out(path: Path, limit: int, tokenizer: Any) -> list[Rendered]:
    """Up to `limit` transcripts of a file, evenly spaced, rendered."""
    transcripts = read_transcripts(path)
    count = min(limit, len(transcripts))
    return [render(transcripts[at * len(transcripts) // count], tokenizer) for at in range(count)]


def compare(found: Found, first: Found) -> dict[str, dict[str, Any]]:
    """Mean, n, and the difference to the first adapter with its interval, of each quantity."""
    compared = {}
    for name in (*KINDS, "right"):
        mine, theirs = found[name], first[name]
        differences = [a - b for a, b in zip(mine.values, theirs.values, strict=True)]
        compared[name] = {
            "mean": mine.mean(),
            "n": len(mine.values),
            "difference": mine.mean() - theirs.mean(),
            "interval": cluster_interval(differences, mine.transcripts),
        }
    return compared


def table(results: dict[str, dict[str, dict[str, Any]]]) -> Table:
    shown = Table("adapter", *KINDS, "answers right")
    for number, (adapter, quantities) in enumerate(results.items()):
        cells = []
        for name, found in quantities.items():
            text = f"{found['mean']:.1%}" if name == "right" else f"{found['mean']:.3f}"
            if number and found["interval"]:
                low, high = found["interval"]
                text += f"\n{found['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
            cells.append(text)
        shown.add_row(adapter, *cells)
    return shown


@reported
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapters", nargs="*", help="folders of LoRA adapters; none: the model as it is")
    parser.add_argument("--model", required=True, help="folder or Hub id of the base")
    parser.add_argument("--data", required=True, type=Path, help="folder made by data.build, or one of its .jsonl files")
    parser.add_argument("-n", type=int, default=200, help="transcripts at most (default %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    args = parser.parse_args()
    if args.n < 1:
        raise UserError("-n", str(args.n), "at least 1", "name how many transcripts to read")
    tokenizer = load_tokenizer(args.adapters[0] if args.adapters else args.model)
    rows = held_out(args.data / "validation.jsonl" if args.data.is_dir() else args.data, args.n, tokenizer)
    of_structure = torch.tensor([bool(STRUCTURE & set(tokenizer.decode([token]))) for token in range(len(tokenizer))])
    dtype = holding_dtype(args.model)
    results: dict[str, dict[str, dict[str, Any]]] = {}
    first: Found = {}
    for adapter in args.adapters or [None]:
        model = load_unmerged(args.model, Path(adapter), dtype) if adapter else load_model(args.model, dtype)
        found = measure(model, rows, of_structure, adapter or args.model)
        first = first or found
        results[adapter or args.model] = compare(found, first)
    Console().print(table(results))
    if args.json:
        write_json(args.json, {"transcripts": len(rows), "data": str(args.data), "results": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Look at what is trained: `python -m data.show outputs/data/quickstart -n 2`

Prints rendered examples with every supervised token in colour, and histograms of length and supervision.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text
from transformers import PreTrainedTokenizerBase

from data.errors import UserError, reported
from data.render import Rendered, render
from data.sources.jsonl import Rejected, read_rows
from data.tokenizer import attach_template, family_of, load_tokenizer, template_path
from data.transcript import Transcript


def coloured(rendered: Rendered, tokenizer: PreTrainedTokenizerBase) -> Text:
    """The example as text: supervised runs bold green, everything else dim."""
    text = Text()
    position = 0
    for start, end in rendered.spans():
        text.append(str(tokenizer.decode(rendered.input_ids[position:start])), style="dim")
        text.append(str(tokenizer.decode(rendered.input_ids[start:end])), style="bold green")
        position = end
    text.append(str(tokenizer.decode(rendered.input_ids[position:])), style="dim")
    return text


def show_example(rendered: Rendered, tokenizer: PreTrainedTokenizerBase, console: Console) -> None:
    """One example between rules, with its counts."""
    console.rule("one example; bold green is inside the loss")
    console.print(coloured(rendered, tokenizer))
    console.rule(f"{len(rendered.input_ids)} tokens, {rendered.supervised} supervised")


def histogram(values: Sequence[int], title: str, unit: str, bins: int = 10, width: int = 40) -> Table:
    """A bar for each of `bins` equal ranges from 0 to the largest value."""
    step = max(1, -(-(max(values) + 1) // bins))
    counts = [sum(low <= value < low + step for value in values) for low in range(0, max(values) + 1, step)]
    median = statistics.median(values)
    table = Table(title=f"{title}: median {median:g}, max {max(values)} {unit}", title_justify="left", box=None)
    for number, count in enumerate(counts):
        table.add_row(f"{number * step}-{(number + 1) * step - 1}", "█" * round(width * count / max(counts)), str(count))
    return table


def read_some(folder: Path, limit: int) -> list[Transcript]:
    """The first `limit` training transcripts of a built folder."""
    path = folder / "train.jsonl"
    if not path.is_file():
        raise UserError(
            str(path), "no such file", "a folder made by data.build", "python -m data.build --config configs/data/quickstart.yaml --out DIR"
        )
    return [row for row in itertools.islice(read_rows(path), limit) if not isinstance(row, Rejected)]


@reported
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder made by data.build")
    parser.add_argument("-n", type=int, default=2, help="examples to print (default 2)")
    parser.add_argument("--model", default="outputs/quickstart/base", help="folder or Hub id of the tokenizer (default %(default)s)")
    parser.add_argument("--limit", type=int, default=300, help="examples in the histograms (default 300)")
    args = parser.parse_args()
    console = Console()
    tokenizer = load_tokenizer(args.model)
    attach_template(tokenizer, template_path(family_of(tokenizer)))
    transcripts = read_some(args.folder, args.limit)
    rows = [render(transcript, tokenizer) for transcript in transcripts]
    console.print(
        "Each example is one conversation as the model sees it. [dim]Dim text[/dim] is given: headers, tools, requests, tool results. "
        "[bold green]Bold green text[/bold green] is what the model must write itself, and all that the loss counts."
    )
    for transcript, row in zip(transcripts[: args.n], rows, strict=False):
        console.print(f"\n{transcript.id}  kind: {transcript.meta.get('kind', transcript.source)}", markup=False, style="bold")
        show_example(row, tokenizer, console)
    supervised = [row.supervised for row in rows]
    share = sum(supervised) / sum(len(row.input_ids) for row in rows)
    console.print(histogram([len(row.input_ids) for row in rows], f"\nlength of {len(rows)} examples", "tokens"))
    console.print(histogram(supervised, f"\nsupervised: {share:.0%} of all tokens", "tokens"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

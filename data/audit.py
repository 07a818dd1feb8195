"""Can a model be trained on tool calls with this chat template? `python -m data.audit TARGET …`

A target is a tokenizer's folder, a Hub id, a `.jinja` file, or a folder of those. Without a target, the templates of this project are
audited. Prints a row for each template and the first thing to mend; exit status 1 when a property that training needs fails anywhere.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text
from transformers import PreTrainedTokenizerBase

from data.errors import UserError, reported
from data.finding import Finding, Status, Subject
from data.probe import SPECIAL_TOKENS, Probe
from data.properties import PROPERTIES, failures, findings
from data.tokenizer import TEMPLATES, load_tokenizer

MARKS = {Status.YES: "✓", Status.NO: "✗", Status.NOT_APPLICABLE: "·"}
LABELS = "123456789abcdefghijklmnopqrstuvwxyz"  # heads of the marks' columns
STYLES = {Status.YES: "green", Status.NO: "bold red", Status.NOT_APPLICABLE: "dim"}


class Row(NamedTuple):
    """One audited template, or why a target could not be audited."""

    name: str
    findings: dict[str, Finding]
    error: str | None = None

    @property
    def trainable(self) -> bool:
        return self.error is None and not failures(self.findings)

    @property
    def next_step(self) -> str:
        if self.error:
            return self.error
        failed = failures(self.findings)
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        return f"{failed[0].step}: {self.findings[failed[0].key].detail}{more}" if failed else "none: ready for training"

    def as_dict(self) -> dict[str, Any]:
        found = {key: {"status": finding.status.value, "detail": finding.detail} for key, finding in self.findings.items()}
        return {"name": self.name, "trainable": self.trainable, "next_step": self.next_step, "error": self.error, "properties": found}


def of_file(path: Path, name: str) -> Row:
    """A bare template."""
    try:
        return Row(name, findings(Subject(name, Probe(path.read_text(encoding="utf-8"), dict(SPECIAL_TOKENS)))))
    except (OSError, UnicodeDecodeError) as error:
        return Row(name, {}, f"cannot be read: {error}")


def of_tokenizer(tokenizer: PreTrainedTokenizerBase, name: str) -> list[Row]:
    """The template or templates of a tokenizer."""
    held = tokenizer.chat_template
    if not held:
        return [Row(name, {}, "has no chat template: python -m train.base --name MODEL --out DIR attaches one")]
    named = held if isinstance(held, dict) else {"": held}
    return [
        Row(label, findings(Subject(label, Probe(template, dict(tokenizer.special_tokens_map)), tokenizer)))
        for label, template in ((f"{name} {key}".strip(), template) for key, template in named.items())
    ]


def targets(given: Sequence[str]) -> Iterator[tuple[str, Path | str]]:
    """Each target with the name that it gets in the table: files in a folder by their path in it, the rest as given."""
    for target in given:
        path = Path(target)
        if path.is_dir() and not (path / "tokenizer_config.json").is_file() and not (path / "tokenizer.json").is_file():
            files = sorted(path.rglob("*.jinja"))
            if not files:
                raise UserError(
                    target, "neither a tokenizer nor a .jinja file in it", "a tokenizer's folder, or templates", "mend the path"
                )
            yield from ((str(file.relative_to(path)), file) for file in files)
        elif path.suffix in (".jinja", ".jinja2", ".j2") or path.is_file():
            yield target, path
        else:
            yield target, target


def audit(name: str, target: Path | str) -> list[Row]:
    if isinstance(target, Path):
        return [of_file(target, name)]
    try:
        tokenizer = load_tokenizer(target)
    except (OSError, ValueError) as error:
        return [Row(name, {}, f"no tokenizer: {' '.join(str(error).split())[:160]}")]
    return of_tokenizer(tokenizer, name)


def marks(row: Row) -> Text:
    """One mark for each property, in the order of `legend`."""
    text = Text()
    for property_ in PROPERTIES:
        cell = row.findings.get(property_.key)
        text.append(MARKS[cell.status] if cell else " ", style=STYLES[cell.status] if cell else "")
    return text


def table(rows: Sequence[Row]) -> Table:
    """A line for each template: its marks, and what to do next."""
    shown = Table(box=None, pad_edge=False, caption=legend(), caption_justify="left")
    shown.add_column("template", overflow="fold", max_width=44)
    shown.add_column("".join(LABELS[: len(PROPERTIES)]), no_wrap=True)
    shown.add_column("next step", overflow="fold")
    for row in rows:
        shown.add_row(Text(row.name), marks(row), Text(row.next_step))
    return shown


def legend() -> str:
    named = (f"{label} {property_.title}{'*' if property_.needed else ''}" for label, property_ in zip(LABELS, PROPERTIES, strict=False))
    return "✓ holds  ✗ does not  · does not apply  * needed for training\n" + "  ".join(named)


def details(row: Row) -> str:
    """Every finding of one template that has something to say, a line each."""
    width = max(len(property_.title) for property_ in PROPERTIES)
    lines = [
        f"  {MARKS[row.findings[property_.key].status]} {property_.title:{width}}  {row.findings[property_.key].detail}".rstrip()
        for property_ in PROPERTIES
        if property_.key in row.findings
    ]
    return "\n".join([row.name, *lines, f"  next step: {row.next_step}"])


def markdown(rows: Sequence[Row]) -> str:
    """The table for a README."""
    heads = ["template", *(property_.title for property_ in PROPERTIES), "next step"]
    lines = [" | ".join(["", *heads, ""]).strip(), "|" + "---|" * len(heads)]
    for row in rows:
        cells = [row.findings.get(property_.key) for property_ in PROPERTIES]
        texts = [row.name, *(MARKS[cell.status] if cell else "" for cell in cells), row.next_step]
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |")
    return "\n".join(lines) + "\n"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="tokenizer folder, Hub id, .jinja file, or folder of templates")
    parser.add_argument("--json", type=Path, metavar="F", help="write every finding with its detail")
    parser.add_argument("--markdown", type=Path, metavar="F", help="write the table as Markdown")
    parser.add_argument("--details", action="store_true", help="print every finding instead of the table")
    return parser.parse_args()


@reported
def main() -> int:
    args = parse()
    console = Console()
    todo = list(targets(args.targets or [str(TEMPLATES)]))
    rows = [
        row
        for name, target in track(todo, description="audit", console=console, transient=True, disable=len(todo) < 4)
        for row in audit(name, target)
    ]
    if args.json:
        args.json.write_text(json.dumps([row.as_dict() for row in rows], indent=2) + "\n")
    if args.markdown:
        args.markdown.write_text(markdown(rows))
    if args.details or len(rows) == 1:
        console.print("\n\n".join(details(row) for row in rows), markup=False, highlight=False)
    else:
        console.print(table(rows))
    ready = sum(row.trainable for row in rows)
    console.print(f"{ready} of {len(rows)} can be trained on tool calls as they are")
    return 0 if ready == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())

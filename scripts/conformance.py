"""Holds the reader against other projects' parser tests: python scripts/conformance.py DIR [--markdown F]

DIR holds parser_cases/, output_shapes/ and token_id_fixtures/, whichever are there. Each case agrees, differs on purpose or is not
applicable, by a rule with a reason. A difference that no rule explains is printed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from conformance_cases import Case, Reading, Table, load, read
from conformance_rules import NOT_APPLICABLE, ON_PURPOSE, Rule
from rich import table as screen
from rich.console import Console

from data.tokenizer import load_tokenizer

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "smollm3"
VERDICTS = ("agree", "differ on purpose", "not applicable", "unexplained")


class Judged(NamedTuple):
    case: Case
    reading: Reading
    verdict: str
    rule: Rule | None


def main() -> int:
    args = _arguments()
    console, cases = Console(), list(load(args.folder))
    if not cases:
        console.print(f"error: no cases in {args.folder}\n  expected: parser_cases/*.jsonl, output_shapes/*.jsonl, …", markup=False)
        return 1
    tokenizer = load_tokenizer(args.tokenizer)
    table = Table(tokenizer, cases)
    judged = [judge(case, read(case, tokenizer, table)) for case in cases]
    sheets = (_by_file(judged), _by_rule(judged))
    for title, header, rows in sheets:
        console.print(_on_screen(title, header, rows))
    if args.markdown:
        args.markdown.write_text("\n\n".join(_markdown(*sheet) for sheet in sheets) + "\n", encoding="utf-8")
    unexplained = [one for one in judged if one.verdict == "unexplained"]
    for one in unexplained:
        console.print(_difference(one), markup=False)
    return bool(unexplained)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    default = str(BESIDE) if BESIDE.is_dir() else "HuggingFaceTB/SmolLM3-3B"
    parser.add_argument("--tokenizer", default=default, help=f"folder or Hub name; default {default}")
    parser.add_argument("--markdown", type=Path, metavar="F", help="write the tables there too")
    return parser.parse_args()


def judge(case: Case, reading: Reading) -> Judged:
    """What is not applicable is so whether it agrees or not; a difference has the first reason that fits it."""
    for rule in NOT_APPLICABLE:
        if rule.applies(case, reading):
            return Judged(case, reading, "not applicable", rule)
    if not reading.differs:
        return Judged(case, reading, "agree", None)
    rule = next((rule for rule in ON_PURPOSE if rule.applies(case, reading)), None)
    return Judged(case, reading, "differ on purpose" if rule else "unexplained", rule)


Sheet = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def _by_file(judged: list[Judged]) -> Sheet:
    counts = Counter((one.case.file, key) for one in judged for key in ("cases", one.verdict, f"from {one.reading.way}"))
    columns = ("cases", *VERDICTS, "from ids", "from text")
    files = sorted({one.case.file for one in judged})
    rows = [(file, *(str(counts[file, column]) for column in columns)) for file in files]
    total = ("all", *(str(sum(counts[file, column] for file in files)) for column in columns))
    return "Cases by file", ("file", *columns), [*rows, total]


def _by_rule(judged: list[Judged]) -> Sheet:
    counts = Counter((one.verdict, one.rule) for one in judged if one.rule)
    rows = [(verdict, rule.name, str(count), rule.reason) for (verdict, rule), count in sorted(counts.items(), key=lambda item: item[0][0])]
    return "Reasons", ("verdict", "rule", "cases", "reason"), rows


def _on_screen(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> screen.Table:
    shown = screen.Table(*header, title=title)
    for row in rows:
        shown.add_row(*row)
    return shown


def _markdown(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return f"## {title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _difference(one: Judged) -> str:
    case, response = one.case, one.reading.response
    found = [(call.name, call.arguments) for call in response.calls]
    return (
        f"{case.file} {case.id}: {', '.join(one.reading.differs)} differ, and no rule says why\n  output:   {case.text!r}\n"
        f"  expected: calls {case.calls}, content {case.content!r}, reasoning {case.reasoning!r}\n"
        f"  found:    calls {found}, content {response.content!r}, reasoning {response.reasoning!r}, "
        f"malformed {[str(block.defect) for block in response.malformed]}"
    )


if __name__ == "__main__":
    sys.exit(main())

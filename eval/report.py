"""Shows a measurement: a table on the terminal, and one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from rich.table import Table

from data.response import Response
from eval.case import Case
from eval.classify import Judged, Verdict
from eval.generate import Completion

LABELS = {
    "native_emission_rate": "native: emission",
    "native_accuracy": "native: correct calls",
    "code_dump_rate": "native: code dumps",
    "malformed_rate": "native: malformed",
    "false_call_rate": "native: false calls",
    "bfcl_native_emission_rate": "BFCL simple+multiple: emission",
    "bfcl_code_dump_rate": "BFCL simple+multiple: code dumps",
    "bfcl_false_call_rate": "BFCL irrelevance: false calls",
    "bfcl_simple_python_ast": "BFCL simple_python: AST",
    "bfcl_multiple_ast": "BFCL multiple: AST",
    "bfcl_parallel_ast": "BFCL parallel: AST",
}


def rate_text(rate: Mapping[str, Any]) -> str:
    """`93.2% [88, 96] n=120`, or `n/a` when nothing was measured."""
    if rate["value"] is None:
        return "n/a"
    return f"{rate['value']:.1%} [{100 * rate['low']:.0f}, {100 * rate['high']:.0f}] n={rate['n']}"


def metrics_table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """One column for each run, one row for each metric: value, 95 % interval, n."""
    table = Table(title="rates with 95 % Wilson intervals", title_justify="left")
    table.add_column("metric")
    for name in results:
        table.add_column(name, justify="right")
    for key, label in LABELS.items():
        table.add_row(label, *(rate_text(result["metrics"][key]) for result in results.values()))
    return table


def write_report(
    path: Path, title: str, result: Mapping[str, Any], rows: Sequence[tuple[Case, Completion, Response, Judged]], tokenizer: Any
) -> None:
    """One page that opens from disk: rates, ledger, and every case with its completion as text."""
    environment = Environment(loader=PackageLoader("eval", "pages"), autoescape=True)
    cases = [
        {
            "id": case.id,
            "slice": f"{case.suite}/{case.slice}",
            "request": case.messages[-1]["content"],
            "tools": ", ".join(tool["function"]["name"] for tool in case.tools),
            "verdict": judged.verdict.value,
            "reason": judged.reason,
            "tokens": [(tokenizer.decode([token]), token) for token in completion.ids],
        }
        for case, completion, _, judged in rows
    ]
    page = environment.get_template("report.html.jinja").render(
        title=title,
        rates=[(label, rate_text(result["metrics"][key])) for key, label in LABELS.items()],
        ledger=result["ledger"],
        verdicts=[verdict.value for verdict in Verdict],
        cases=cases,
    )
    path.write_text(page)

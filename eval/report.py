"""Shows a measurement: a table on the terminal, and one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from rich.table import Table

from eval.emission import Emission
from eval.rows import Row

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


def write_report(path: Path, title: str, result: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """One page that opens from disk: rates, ledger, and every case with its completion as text."""
    environment = Environment(loader=PackageLoader("eval", "pages"), autoescape=True)
    cases = [
        {
            "id": row.case.id,
            "slice": f"{row.case.suite}/{row.case.slice}",
            "request": row.case.messages[-1]["content"],
            "tools": ", ".join(function["name"] for function in row.case.functions),
            "verdict": f"{row.judged.emission.value} · {row.judged.verdict or 'not counted'}",
            "reason": row.judged.mismatch or row.judged.why,
            "tokens": list(zip(row.tokens, row.completion.ids or [], strict=False)),
        }
        for row in rows
    ]
    page = environment.get_template("report.html.jinja").render(
        title=title,
        rates=[(label, rate_text(result["metrics"][key])) for key, label in LABELS.items()],
        ledger=result["ledger"],
        verdicts=[emission.value for emission in Emission],
        cases=cases,
    )
    path.write_text(page, encoding="utf-8")

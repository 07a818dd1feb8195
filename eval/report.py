"""Show a measurement: `python -m eval.report outputs/eval/adapter --baseline outputs/eval/base`

Writes one self-contained HTML page, `report.html` in the run's folder, that opens from disk without a network, and prints the rates and
the ledger. Reads what the run left, without a model: neither torch nor transformers is imported.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.console import Console
from rich.table import Table

from data.errors import reported
from eval.pages import charts, summary
from eval.pages.browser import browser_data, wire_ids_of
from eval.pages.families import ORDER
from eval.pages.quality import labelled_sets
from eval.pages.summary import Run
from eval.rows import Row, read_rows
from eval.score import metrics_json

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
SCRIPTS = ("model.js", "detail.js", "report.js")


def rate_text(rate: Mapping[str, Any]) -> str:
    """`93.2% [88, 96] n=120`, or `n/a` when nothing was measured."""
    if rate["value"] is None:
        return "n/a"
    return f"{rate['value']:.1%} [{100 * rate['low']:.0f}, {100 * rate['high']:.0f}] n={rate['n']}"


def label_of(metric: str) -> str:
    """A metric's name in words."""
    return LABELS.get(metric, metric.replace("_", " "))


def metrics_of(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The metrics of any of the results: those with a label first, in the labels' order."""
    found = dict.fromkeys(name for result in results for name in result["metrics"])
    return [name for name in LABELS if name in found] + [name for name in found if name not in LABELS]


def in_brief(metric: str, rates: Sequence[Mapping[str, Any] | None]) -> bool:
    """Whether a metric belongs on a terminal: some run measured it, it is no single leniency, and errors only where there are any."""
    if metric in ("error_rate", "unmeasurable_rate"):
        return any(rate and rate["hits"] for rate in rates)
    return any(rate and rate["n"] for rate in rates) and (not metric.startswith("accuracy_with_") or metric == "accuracy_with_all")


def metrics_table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """One column for each run, one row for each metric that tells something: value, 95 % interval, n. `metrics.json` has them all."""
    table = Table(title="rates with 95 % Wilson intervals", title_justify="left")
    table.add_column("metric")
    for name in results:
        table.add_column(name, justify="right")
    for metric in metrics_of(list(results.values())):
        found = [result["metrics"].get(metric) for result in results.values()]
        if not in_brief(metric, found):
            continue
        table.add_row(label_of(metric), *(rate_text(rate) if rate else "–" for rate in found))
    return table


def ledger_table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """One column for each run, one row for each emission class that occurs: completions, and their share of the run."""
    table = Table(title="ledger: what the completions are", title_justify="left")
    table.add_column("emission class")
    totals = []
    for name, result in results.items():
        table.add_column(name, justify="right")
        totals.append(sum((Counter(counts) for counts in result["ledger"].values()), Counter()))
    for emission in ORDER:
        counts = [total[emission.value] for total in totals]
        if any(counts):
            shares = zip(counts, totals, strict=True)
            table.add_row(emission.value, *(f"{count} {count / max(total.total(), 1):6.1%}" for count, total in shares))
    return table


def write_report(
    path: Path,
    title: str,
    result: Mapping[str, Any],
    rows: Sequence[Row],
    baseline: tuple[str, Mapping[str, Any], Sequence[Row]] | None = None,
    detector: Mapping[str, Mapping[str, Any]] | None = None,
    wire_ids: Mapping[int, str] | None = None,
) -> None:
    """One page that opens from disk: headline, ledger, slices, and every case with its completion as tokens.

    `title` names the run and `result` is its `metrics.json`; `baseline` is the same of the run to set beside it. `detector` is
    `{set: {"classes": {class: {"n", "found", "hits"}}}}`, counts of labelled outputs. `wire_ids` maps the ids to colour to their texts;
    without it they are those generated ids whose own text is a wire token.
    """
    run, before = Run(title, result, rows), Run(*baseline, side="then") if baseline else None
    runs = [before, run] if before else [run]
    found = summary.figures(run, before)
    environment = Environment(loader=PackageLoader("eval", "pages"), autoescape=True, trim_blocks=True, undefined=StrictUndefined)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters["percent"] = summary.percent
    style, script = _source(environment, "report.css"), "".join(_source(environment, name) for name in SCRIPTS)
    page = environment.get_template("report.html.jinja").render(
        runs=runs,
        headline=summary.headline(found),
        lede=summary.lede(found, run, before),
        figures=found,
        stacked=list(charts.stacked(runs)),
        legend=charts.legend(runs),
        plots=charts.emission_plots(runs),
        margins=charts.margins(runs),
        slices=list(summary.slices(runs)),
        metrics=[(label_of(name), [each.result["metrics"].get(name) for each in runs]) for name in metrics_of([r.result for r in runs])],
        detector=labelled_sets(detector or {}),
        data=browser_data(runs, wire_ids_of([row for each in runs for row in each.rows]) if wire_ids is None else wire_ids),
        style=style,
        script=script,
        policy=content_security_policy(style, script),
    )
    path.write_text(page, encoding="utf-8", errors="replace")


def content_security_policy(style: str, script: str) -> str:
    """A policy under which the page runs its own script and style, known by their digests, and loads nothing (W3C CSP 3, Trusted Types)."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _load(folder: Path) -> Run:
    rows = read_rows(folder)
    path = folder / "metrics.json"
    return Run(folder.name, json.loads(path.read_text(encoding="utf-8")) if path.is_file() else metrics_json(rows), rows)


@reported
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--baseline", type=Path, help="folder of the run to set beside it")
    parser.add_argument("--out", type=Path, help="page to write (default report.html in the run's folder)")
    args = parser.parse_args()
    run, baseline = _load(args.run), _load(args.baseline) if args.baseline else None
    out = args.out or args.run / "report.html"
    write_report(out, *run[:3], baseline=baseline and baseline[:3], detector=run.result.get("detector"))
    results = {each.name: each.result for each in (baseline, run) if each}
    console = Console()
    console.print(metrics_table(results))
    console.print(ledger_table(results))
    console.print(f"page: {out}", markup=False, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())

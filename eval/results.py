"""Turns completions into a finished run folder: verdicts, metrics, gates, page and, last, the manifest. No model, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from data.errors import UserError
from data.manifest import write_json, write_manifest
from data.transcript import Json
from eval.case import Case
from eval.completion import Completion
from eval.config import EvalConfig
from eval.deployed import with_vllm
from eval.detector import detector_quality
from eval.gate import check, gate_table, read_baseline, write_outcomes
from eval.generate import requests_of, too_many_errors
from eval.readings import with_readings
from eval.report import ledger_table, metrics_table, write_report
from eval.rows import Row, read_rows, rows_of, write_rows
from eval.score import metrics_json


def write_cases(path: Path, cases: Sequence[Case]) -> None:
    """`cases.jsonl`, so that completions can be read again without the suites that asked for them."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(case.to_json(), ensure_ascii=False) + "\n" for case in cases)


def read_cases(path: Path) -> list[Case]:
    if not path.is_file():
        raise UserError(str(path), "no such file", "the cases of a run", "evaluate with eval.run, which writes them")
    return [Case.from_json(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def read_all(
    config: EvalConfig, cases: Sequence[Case], completions: Sequence[Completion], tokenizer: Any, wire: Any, out: Path
) -> list[Row]:
    """Every completion judged on its strict reading, with the other readings of the same ids beside it."""
    rows = with_readings(rows_of(cases, completions, tokenizer, wire))
    if config.deployed is None:
        return rows
    prompts = {request.key: request.prompt for request in requests_of(cases, tokenizer, wire, config.enable_thinking, config.repeats)}
    reasons = "thinking" in (getattr(tokenizer, "response_template", None) or {}).get("fields", {})
    return with_vllm(rows, prompts, config.deployed.vllm_python, out / "tokenizer", config.deployed.parser, reasons)


def with_margins(rows: Sequence[Row], margins: Mapping[str, Json]) -> list[Row]:
    """The rows with the first-token margin of their case."""
    return [replace(row, margin=margins.get(row.case.id)) for row in rows]


def finish(out: Path, title: str, rows: Sequence[Row], config: EvalConfig, place: str, manifest: Json, console: Console) -> int:
    """Write everything that follows from the rows; the exit status, 2 where a gate failed or too many completions are errors."""
    write_rows(out / "verdicts.jsonl", rows)
    result = {**metrics_json(rows), "detector": detector_quality()}
    write_json(out / "metrics.json", result)
    baseline = read_baseline(config.baseline, out)
    outcomes = check(config.parsed_gates(place), result["metrics"], baseline)
    write_outcomes(out / "gates.json", outcomes)
    write_report(out / "report.html", title, result, rows, baseline_run(config.baseline, out), result["detector"])
    write_manifest(out, "evaluation", **manifest)
    console.print(metrics_table({out.name: result}), ledger_table({out.name: result}))
    if outcomes:
        console.print(gate_table(outcomes))
    errors = too_many_errors([row.completion for row in rows], config.max_errors)
    if errors:
        console.print(errors, style="bold red", markup=False)
    return 0 if errors is None and all(outcome.passed for outcome in outcomes) else 2


def baseline_run(name: str | None, out: Path) -> tuple[str, dict[str, Any], list[Row]] | None:
    """The run that the config names as baseline, for the page; None where it names none."""
    if not name:
        return None
    folder = Path(name) if (Path(name) / "metrics.json").is_file() else out.parent / name
    return folder.name, json.loads((folder / "metrics.json").read_text()), read_rows(folder)

"""Measure a model: `python -m eval.run --config configs/eval/quickstart.yaml --model outputs/base/smollm2-135m --out outputs/eval/base`

Generates a completion for every case, reads it strictly on token ids, and leaves `completions.jsonl`, `verdicts.jsonl`, `metrics.json`,
`report.html` and `manifest.json`. Re-running resumes. Exit status 2 when a gate of the config fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from data.errors import UserError, reported
from data.manifest import read_manifest, sha256_text, write_json, write_manifest
from data.precision import compute_dtype
from data.tokenizer import load_tokenizer
from data.wire import WireTokenError, read_ids
from eval.backends.local import TransformersBackend
from eval.backends.protocol import Decoding
from eval.config import EvalConfig, load_cases, load_config
from eval.generate import complete_all, requests_of
from eval.report import metrics_table, write_report
from eval.rows import Row, rows_of, write_rows
from eval.score import metrics, metrics_json


def failed_gates(config: EvalConfig, rows: list[Row]) -> list[str]:
    """One line per gate that fails. A gate on a metric that is missing or could not be measured fails."""
    found = metrics(rows)
    failures = []
    for name, condition in config.gates.items():
        operator, _, limit = condition.partition(" ")
        value = found[name].value if name in found else None
        met = value is not None and (value >= float(limit) if operator == ">=" else operator == "<=" and value <= float(limit))
        if not met:
            failures.append(f"{name} is {'not measured' if value is None else f'{value:.3f}'}, wanted {condition}")
    return failures


def fingerprint(args: argparse.Namespace, config: EvalConfig, tokenizer: Any, backend: dict[str, Any]) -> dict[str, Any]:
    """What decides the numbers; a folder of another fingerprint is not resumed."""
    return {
        "model": args.model,
        "model_manifest": read_manifest(Path(args.model)),
        "template_sha256": sha256_text(tokenizer.chat_template or ""),
        "config": config.model_dump(),
        "fraction": args.fraction,
        "backend": backend,
    }


def claim(out: Path, wanted: dict[str, Any]) -> None:
    """Make `out` this run's folder; refuse a folder that holds another run."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "fingerprint.json"
    if path.is_file():
        held = json.loads(path.read_text())
        different = [key for key in wanted if held.get(key) != wanted[key]]
        if different:
            raise UserError(
                str(out),
                f"completions of another run (differs in {', '.join(different)})",
                "an empty folder or the same run",
                "choose another --out, or remove the folder",
            )
    write_json(path, wanted)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, type=Path, help="YAML of suites and gates; see configs/eval/")
    parser.add_argument("--model", required=True, help="folder or Hub id; its tokenizer must hold each wire token as one id")
    parser.add_argument("--adapter", help="folder of a LoRA adapter")
    parser.add_argument("--out", required=True, type=Path, help="folder to write")
    parser.add_argument("--fraction", type=float, default=1.0, help="evenly spaced part of each slice (default 1)")
    return parser.parse_args()


@reported
def main() -> int:
    args = parse()
    console = Console()
    config = load_config(args.config)
    tokenizer = load_tokenizer(args.adapter or args.model)
    try:
        wire = read_ids(tokenizer)
    except WireTokenError as error:
        raise UserError(args.model, str(error), "each wire token is one id", "python -m train.base prepares a model") from error
    dtype = compute_dtype() if config.dtype == "auto" else getattr(torch, config.dtype)
    cases = load_cases(config, args.fraction)
    began = time.monotonic()
    backend = TransformersBackend.load(args.model, args.adapter, dtype, tokenizer.pad_token_id, wire.turn_close, config.batch_size)
    wanted = fingerprint(args, config, tokenizer, backend.description)
    claim(args.out, wanted)
    requests = requests_of(cases, tokenizer, wire, config.enable_thinking)
    completions = complete_all(requests, backend, Decoding(), args.out / "completions.jsonl")
    rows = rows_of(cases, completions, tokenizer, wire)
    write_rows(args.out / "verdicts.jsonl", rows)
    result = metrics_json(rows)
    write_json(args.out / "metrics.json", result)
    write_report(args.out / "report.html", args.adapter or args.model, result, rows)
    write_manifest(args.out, "evaluation", **wanted, wall_seconds=round(time.monotonic() - began, 1))
    console.print(metrics_table({args.out.name: result}))
    failures = failed_gates(config, rows)
    for failure in failures:
        console.print(f"gate failed: {failure}", style="bold red")
    return 2 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

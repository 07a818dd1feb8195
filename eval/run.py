"""Measure a model: `python -m eval.run --config configs/eval/quickstart.yaml --model outputs/base/smollm2-135m --out outputs/eval/base`

Generates a completion for every case, reads it strictly on token ids, and leaves `completions.jsonl`, `verdicts.jsonl`, `metrics.json`,
`gates.json`, `report.html` and `manifest.json`. Re-running resumes. Exit status 2 when a gate of the config fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from data.config import load_yaml
from data.errors import UserError, reported
from data.manifest import read_manifest, sha256_text, write_json, write_manifest
from data.precision import compute_dtype
from data.tokenizer import load_tokenizer
from data.wire import WireTokenError, read_ids
from eval.backends.local import TransformersBackend
from eval.backends.protocol import Decoding
from eval.case import Case
from eval.gate import check, gate_table, parse_gates, read_baseline, write_outcomes
from eval.generate import complete_all, requests_of
from eval.report import metrics_table, write_report
from eval.rows import rows_of, write_rows
from eval.score import metrics, metrics_json
from eval.suites import bfcl, native


class EvalConfig(BaseModel):
    """One evaluation; unknown keys are fatal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    native: dict[str, int] = {}
    bfcl: dict[str, int] = {}
    seed: int = 0
    bfcl_rows: Literal["all", "even", "odd"] = "all"
    enable_thinking: bool = False
    batch_size: int = Field(default=48, ge=1)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    gates: dict[str, str] = {}
    baseline: str | None = None


def load_config(path: Path) -> EvalConfig:
    config = load_yaml(path, EvalConfig, "configs/eval/")
    parse_gates(config.gates, metrics(()), config.baseline, str(path))
    return config


def load_cases(config: EvalConfig, fraction: float = 1.0) -> list[Case]:
    """The cases of a config; `fraction` keeps an evenly spaced, deterministic part of each slice."""
    cases = [*native.load(config.native, config.seed), *bfcl.load(list(config.bfcl), config.bfcl, config.bfcl_rows)]
    kept: list[Case] = []
    for name in dict.fromkeys((case.suite, case.slice) for case in cases):
        part = [case for case in cases if (case.suite, case.slice) == name]
        count = max(1, round(len(part) * fraction))
        kept += [part[index * len(part) // count] for index in range(count)]
    return kept


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
    gates = parse_gates(config.gates, metrics(()), config.baseline, str(args.config))
    baseline = read_baseline(config.baseline, args.out)
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
    outcomes = check(gates, result["metrics"], baseline)
    write_outcomes(args.out / "gates.json", outcomes)
    write_manifest(args.out, "evaluation", **wanted, wall_seconds=round(time.monotonic() - began, 1))
    console.print(metrics_table({args.out.name: result}))
    if outcomes:
        console.print(gate_table(outcomes))
    return 0 if all(outcome.passed for outcome in outcomes) else 2


if __name__ == "__main__":
    sys.exit(main())

"""Measure a model: `python -m eval.run --config configs/eval/quickstart.yaml --model outputs/base/smollm2-135m --out outputs/eval/base`

Generates a completion for every case, reads it strictly on token ids, and leaves `cases.jsonl`, `completions.jsonl`, `verdicts.jsonl`,
`metrics.json`, `gates.json`, `report.html` and `manifest.json`. Re-running resumes. Exit status 2 when a gate of the config fails, or
more completions are errors than it allows.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from data.errors import reported
from data.manifest import NAME
from data.tokenizer import load_tokenizer
from data.transcript import Json
from data.wire import WireIds, read_ids
from eval.backends.protocol import Backend, Request
from eval.backends.registry import open_backend
from eval.config import load_cases, load_config
from eval.fingerprint import claim, fingerprint
from eval.gate import read_baseline
from eval.generate import complete_all, requests_of
from eval.results import finish, read_all, with_margins, write_cases


def margins_of(backend: Backend, requests: list[Request], wire: WireIds, tokenizer: Any) -> dict[str, Json]:
    """First-token margins by case id, from the model that the transformers backend holds."""
    from eval.backends.local import TransformersBackend
    from eval.margin import margins

    assert isinstance(backend, TransformersBackend)  # load_config allows margins with no other
    return {id_: asdict(margin) for id_, margin in margins(backend.decoder.model, requests, wire, tokenizer).items()}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, type=Path, help="YAML of suites, backend and gates; see configs/eval/")
    parser.add_argument("--model", required=True, help="folder or Hub id; its tokenizer must hold each wire token as one id")
    parser.add_argument("--adapter", help="folder of a LoRA adapter")
    parser.add_argument("--out", required=True, type=Path, help="folder to write")
    parser.add_argument("--fraction", type=float, default=1.0, help="evenly spaced part of each slice (default 1)")
    return parser.parse_args()


@reported
def main() -> int:
    args = parse()
    began = time.monotonic()

    # 1. What is asked for
    config = load_config(args.config)
    read_baseline(config.baseline, args.out)  # a missing one is told before hours of generating
    tokenizer = load_tokenizer(args.adapter or args.model)
    wire = read_ids(tokenizer)
    cases = load_cases(config, args.fraction)
    requests = requests_of(cases, tokenizer, wire, config.enable_thinking, config.repeats)

    # 2. The model, and a folder that is this run's alone
    backend = open_backend(config.backend, args.model, args.adapter, tokenizer, wire)
    try:
        wanted = fingerprint(
            args.model, args.adapter, tokenizer, wire, cases, config.decoding, config.repeats, config.enable_thinking, backend.description
        )
        claim(args.out, wanted)
        (args.out / NAME).unlink(missing_ok=True)
        write_cases(args.out / "cases.jsonl", cases)
        tokenizer.save_pretrained(args.out / "tokenizer")

        # 3. Generate
        margins = margins_of(backend, requests, wire, tokenizer) if config.margin else {}
        completions = complete_all(requests, backend, config.decoding, args.out / "completions.jsonl")
    finally:
        backend.close()

    # 4. Read, judge, count
    rows = with_margins(read_all(config, cases, completions, tokenizer, wire, args.out), margins)
    manifest = {**wanted, "config": config.model_dump(mode="json"), "wall_seconds": round(time.monotonic() - began, 1)}
    return finish(args.out, args.adapter or args.model, rows, config, str(args.config), manifest, Console())


if __name__ == "__main__":
    sys.exit(main())

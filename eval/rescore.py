"""Read a run's completions again, without a model: `python -m eval.rescore outputs/eval/adapter`

For a changed reader, classifier, matcher or set of gates: judges what `completions.jsonl` holds against `cases.jsonl` and writes verdicts,
metrics, gates and page anew, into the same folder or into `--out`. Exit status 2 when a gate fails.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from rich.console import Console

from data.errors import UserError, reported
from data.manifest import read_manifest
from data.tokenizer import load_tokenizer
from data.wire import read_ids
from eval.completion import read_completions
from eval.config import EvalConfig, load_config
from eval.results import finish, read_all, read_cases, with_margins
from eval.rows import read_rows

CARRIED = ("cases.jsonl", "completions.jsonl", "fingerprint.json")


@reported
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--config", type=Path, help="another evaluation YAML, for its gates, baseline, errors and deployed parser")
    parser.add_argument("--out", type=Path, help="folder to write instead of RUN")
    args = parser.parse_args()
    manifest = read_manifest(args.run)
    if manifest is None or "config" not in manifest:
        raise UserError(str(args.run), "no finished evaluation", "a folder left by eval.run", "run or resume eval.run")
    config = load_config(args.config) if args.config else EvalConfig(**manifest["config"])
    tokenizer = load_tokenizer(str(args.run / "tokenizer"))
    cases, completions = read_cases(args.run / "cases.jsonl"), read_completions(args.run / "completions.jsonl")
    margins = {row.case.id: row.margin for row in read_rows(args.run) if row.margin}
    out = args.out or args.run
    if out != args.run:
        out.mkdir(parents=True, exist_ok=True)
        for name in CARRIED:
            shutil.copy(args.run / name, out / name)
        shutil.copytree(args.run / "tokenizer", out / "tokenizer", dirs_exist_ok=True)
    rows = with_margins(read_all(config, cases, completions, tokenizer, read_ids(tokenizer), out), margins)
    fields = {name: value for name, value in manifest.items() if name not in ("kind", "config")}
    fields |= {"config": config.model_dump(mode="json"), "rescored": True}
    return finish(out, manifest.get("adapter") or manifest["model"], rows, config, str(args.config or args.run), fields, Console())


if __name__ == "__main__":
    sys.exit(main())

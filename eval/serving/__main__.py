"""Test a running server: `python -m eval.serving --base-url http://127.0.0.1:8000 --model NAME [--tokenizer DIR] [--out DIR]`

Compares the server's prompts and readings with our own rendering and with the strict reading of the ids that it generated, and leaves
`serving.json`. `--situations` measures whole files and nested settings as arguments instead; `--matrix --model DIR --vllm-python P`
starts a vLLM of its own with each pair of parsers. Exit status 2 when anything fails.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from data.errors import UserError, reported
from eval.serving.bench import Bench, Sizes
from eval.serving.cells import pair_of
from eval.serving.checks import CHECKS, SITUATIONS, Check, bench_for, failed, run, write
from eval.serving.matrix import PAIRS, run_matrix
from eval.serving.page import outcomes_table, show_failures


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="eval.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", help="where the server answers, with or without /v1")
    parser.add_argument("--model", required=True, help="the model's name on the server; with --matrix its folder")
    parser.add_argument("--tokenizer", help="local folder of the model (default: --model, else the folder that the server names)")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for serving.json, situations.json or matrix.json (default .)")
    parser.add_argument("--situations", action="store_true", help="write_file with 200 lines and save_config six deep instead")
    parser.add_argument("--matrix", action="store_true", help="start vLLM with each pair of parsers instead")
    parser.add_argument("--vllm-python", help="with --matrix: the Python of the environment that has vLLM")
    parser.add_argument("--driven-only", action="store_true", help="with --matrix: drive the parsers without starting a server")
    parser.add_argument("--pair", action="append", default=[], help="with --matrix: only this pair, as hf+hf or hermes+none; repeatable")
    parser.add_argument("--only", action="append", default=[], help="only checks whose name begins so, such as save_config; repeatable")
    for name, value in vars(Sizes()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help="(default %(default)s)")
    return parser.parse_args()


def chosen(known: Mapping[str, Check], only: Sequence[str]) -> Mapping[str, Check]:
    """The checks whose name begins with one of `only`; all of them where there is none."""
    for start in only:
        if not any(name.startswith(start) for name in known):
            raise UserError("--only", repr(start), f"the beginning of one of {', '.join(known)}", "leave it out to run all")
    return {name: check for name, check in known.items() if not only or name.startswith(tuple(only))}


def measure(bench: Bench, situations: bool, only: Sequence[str], out: Path) -> int:
    """Run the checks, or the situations, whose name begins with one of `only`; write and show what was found."""
    checks = chosen(SITUATIONS if situations else CHECKS, only)
    engine = bench.client.engine  # asked while the server is there
    path = out / ("situations.json" if situations else "serving.json")
    outcomes = run(bench, checks, path)
    write(path, bench, outcomes)
    bench.console.print(outcomes_table(f"{bench.client.model} at {bench.client.root}, {engine.name} {engine.version}", outcomes))
    show_failures(bench.console, outcomes)
    return 2 if failed(outcomes) else 0


@reported
def main() -> int:
    args, console = parse(), Console()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.matrix:
        if not args.vllm_python:
            raise UserError("--matrix", "no --vllm-python", "the Python of an environment that has vLLM", "scripts/serve_vllm.sh makes one")
        pairs = [pair_of(text) for text in args.pair] or PAIRS
        return run_matrix(Path(args.model), args.vllm_python, args.tokenizer, args.out, console, not args.driven_only, pairs)
    if not args.base_url:
        raise UserError("arguments", "no --base-url", "the address of a running server", "scripts/serve_vllm.sh starts one and prints it")
    sizes = Sizes(**{name: getattr(args, name) for name in vars(Sizes())})
    bench = bench_for(args.base_url, args.model, args.tokenizer, sizes, console)
    try:
        return measure(bench, args.situations, args.only, args.out)
    finally:
        bench.client.close()


if __name__ == "__main__":
    sys.exit(main())

"""Speed of the evaluation's backends, beside a plain loop of `model.generate` per case in the same run: `python scripts/bench_eval.py`

All decode greedily, from the same weights and prompts, until the end of turn or the case's budget. Loading is not counted. Each batch of
the backend goes through the backend and then through the loop, so that a machine whose speed drifts is unfair to neither. With
`--vllm-python`, vLLM's offline engine is timed too, after them. Rows `{name, value, unit, peer, peer_value, ratio, n}` go to `--json F`.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers import AutoModelForCausalLM

from data.precision import compute_dtype
from data.tokenizer import load_tokenizer
from data.wire import WireIds, read_ids
from eval.backends.config import VllmConfig
from eval.backends.local import TransformersBackend, batches
from eval.backends.protocol import Backend, Decoding, Request
from eval.backends.vllm_offline import VllmBackend
from eval.config import load_cases, load_config
from eval.generate import requests_of

Outputs = dict[str, list[int]]
Run = Callable[[Sequence[Request]], Iterator[tuple[str, list[int]]]]


def plain_loop(model: Any, wire: WireIds, requests: Sequence[Request]) -> Iterator[tuple[str, list[int]]]:
    """One `model.generate` for each case."""
    for request in requests:
        prompt = torch.tensor([request.prompt], device=model.device)
        output = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=request.max_new_tokens,
            do_sample=False,
            eos_token_id=wire.turn_close,
            pad_token_id=wire.turn_close,
        )
        yield request.key.case_id, output[0, len(request.prompt) :].tolist()


def through(backend: Backend, requests: Sequence[Request]) -> Iterator[tuple[str, list[int]]]:
    for completion in backend.complete(requests, Decoding()):
        yield completion.case_id, completion.ids or []


def timed(run: Callable[[], Iterator[tuple[str, list[int]]]], name: str, total: int, console: Console) -> tuple[Outputs, float]:
    """The ids of each case, and seconds."""
    began = time.monotonic()
    outputs = dict(track(run(), description=name, total=total, console=console))
    return outputs, time.monotonic() - began


def in_turn(runs: Sequence[tuple[str, Run]], parts: Sequence[Sequence[Request]], console: Console) -> list[tuple[Outputs, float]]:
    """Each run's ids and seconds over all parts; every part goes through all runs before the next does."""
    found: list[tuple[Outputs, float]] = [({}, 0.0) for _ in runs]
    for number, part in enumerate(parts, 1):
        for index, (name, run) in enumerate(runs):
            outputs, seconds = timed(partial(run, part), f"{name}, part {number} of {len(parts)}", len(part), console)
            found[index] = (found[index][0] | outputs, found[index][1] + seconds)
    return found


def row(name: str, ours: tuple[Outputs, float], peer: tuple[Outputs, float]) -> dict[str, Any]:
    """Cases a second of both, and how many cases got the same ids from both."""
    outputs, seconds = ours
    n = len(outputs)
    return {
        "name": name,
        "value": n / seconds,
        "unit": "cases/s",
        "peer": "loop of model.generate",
        "peer_value": n / peer[1],
        "ratio": peer[1] / seconds,
        "n": n,
        "same_ids": sum(peer[0][case] == ids for case, ids in outputs.items()),
        "tokens": sum(map(len, outputs.values())),
    }


def shown(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="speed of the evaluation", title_justify="left")
    for head in ("backend", "cases/s", "peer", "peer's", "times", "cases", "same ids"):
        table.add_column(head, justify="left" if head in ("backend", "peer") else "right")
    for one in rows:
        figures = (f"{one['peer_value']:.3f}", f"{one['ratio']:.2f}", str(one["n"]), str(one["same_ids"]))
        table.add_row(one["name"], f"{one['value']:.3f}", one["peer"], *figures)
    return table


def write(rows: list[dict[str, Any]], path: Path | None) -> None:
    if path:
        path.write_text(json.dumps(rows, indent=2) + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="outputs/quickstart/merged", help="folder or Hub id (default %(default)s)")
    parser.add_argument("--config", type=Path, default=Path("configs/eval/quickstart.yaml"), help="suites (default %(default)s)")
    parser.add_argument("--cases", type=int, help="evenly spaced part of the suites' cases (default all)")
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16", "float16"])
    parser.add_argument("--batch-size", type=int, default=48)
    parser.add_argument("--vllm-python", type=Path, help="a Python that has vLLM")
    parser.add_argument("--json", type=Path, metavar="F", help="write the rows")
    return parser.parse_args()


def main() -> int:
    args = parse()
    console = Console()
    tokenizer = load_tokenizer(args.model)
    wire = read_ids(tokenizer)
    cases = load_cases(load_config(args.config))
    count = min(args.cases or len(cases), len(cases))
    requests = requests_of([cases[at * len(cases) // count] for at in range(count)], tokenizer, wire)
    dtype = compute_dtype() if args.dtype == "auto" else getattr(torch, args.dtype)

    backend = TransformersBackend.load(args.model, None, dtype, tokenizer.pad_token_id, wire.turn_close, args.batch_size)
    model: Any = AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype)
    model = model.to(backend.decoder.model.device).eval()
    runs = [("transformers backend", partial(through, backend)), ("plain loop", partial(plain_loop, model, wire))]
    ours, peer = in_turn(runs, list(batches(requests, args.batch_size)), console)
    rows = [row("transformers", ours, peer)]
    write(rows, args.json)  # before vLLM, which may fail
    if args.vllm_python:
        del backend, model, runs  # vLLM on a CPU looks for free memory
        gc.collect()
        engine = {"max_model_len": max(len(one.prompt) + one.max_new_tokens for one in requests)}
        config = VllmConfig(type="vllm", vllm_python=args.vllm_python, dtype=str(dtype).removeprefix("torch."), engine=engine)
        vllm = VllmBackend(config, args.model, None, wire.turn_close)
        outputs, seconds = timed(partial(through, vllm, requests), "vLLM", count, console)
        rows.append(row("vllm", (outputs, seconds - (vllm.load_seconds or 0)), peer))
        write(rows, args.json)
    console.print(shown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())

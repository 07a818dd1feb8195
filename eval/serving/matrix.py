"""Which pair of vLLM's parsers reads which situation right: `--matrix --model DIR --vllm-python P`.

Two kinds of rows, told apart: *driven* rows hand scripted ids to the parser classes as the server builds them, so that no situation
depends on what a model happens to emit; *live* rows come from a server that was started with the pair.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.markdown import Markdown

from data.errors import UserError
from data.manifest import write_json
from data.response import Response
from data.tokenizer import load_tokenizer
from data.transcript import Json
from data.wire import read_ids
from eval.serving import reading, turns
from eval.serving.agreement import disagreement
from eval.serving.bench import Sizes
from eval.serving.checks import bench_for, run
from eval.serving.local_vllm import ENVIRONMENT, NotStarted, flags, serving
from eval.serving.reply import Reply, ServedCall
from eval.serving.scripted import Scripted, scripted

Pair = tuple[str, str | None]
PAIRS: tuple[Pair, ...] = (
    ("hf", "hf"),
    ("hf", None),
    ("hermes", None),
    ("hermes", "qwen3"),
    ("hermes", "deepseek_r1"),
    ("qwen3_coder", None),
)
READER = Path(__file__).with_name("vllm_reader.py")
LIVE = {"readings": reading.readings, "tool_choice": turns.choices}
LIVE_SIZES = Sizes(prompts=12, max_tokens=160)


class Cell(NamedTuple):
    """Whether one pair read one situation right: at once, and streamed in chunks of any size; `why` names what it did wrong."""

    whole: bool
    streamed: bool
    why: str

    def __str__(self) -> str:
        names = {(True, True): "✓", (True, False): "whole only", (False, True): "streamed only", (False, False): "✗"}
        return names[self.whole, self.streamed]


def label(pair: Pair) -> str:
    return f"{pair[0]} + {pair[1] or 'none'}"


def drive(python: str, folder: str, pairs: Sequence[Pair], cases: Sequence[Scripted]) -> list[Json]:
    """What vLLM's parser classes make of the cases, for each pair."""
    given = json.dumps({"tokenizer": folder, "pairs": pairs, "cases": [case.to_json() for case in cases], "streamed": True})
    environment = {**os.environ, **ENVIRONMENT, "VLLM_LOGGING_LEVEL": "ERROR", "PYTHONPATH": ""}
    done = subprocess.run([python, "-I", str(READER)], input=given, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise UserError(python, done.stderr[-600:], "a Python that has vLLM 0.32", "scripts/serve_vllm.sh sets one up")
    return json.loads(done.stdout.splitlines()[-1])


def cell(readings: Sequence[Json], case: Scripted) -> Cell:
    """Judge one pair's readings of one case: at once, id by id, in chunks."""
    whole, *pieces = [_wrong(one, case.strict, case.output) for one in readings]
    return Cell(not whole, not any(pieces), next((why for why in (whole, *pieces) if why), ""))


def _wrong(one: Json, strict: Response, ids: list[int]) -> str:
    if "error" in one:
        return f"raised {one['error'][:120]}"
    reply = Reply(one["content"], one["reasoning"], [ServedCall(*call) for call in one["calls"]], ids, None, None, None)
    return str(disagreement(reply, strict) or "")


def driven_rows(results: Sequence[Json], cases: Sequence[Scripted]) -> list[Json]:
    """For each case its cell under each pair; a pair that a server refuses has None."""
    return [
        {
            "situation": case.situation,
            "mode": case.mode,
            "cells": [None if "refused" in result else cell(result["readings"][number], case) for result in results],
        }
        for number, case in enumerate(cases)
    ]


def live_row(python: str, model: Path, pair: Pair, out: Path, console: Console) -> Json:
    """One server with the pair: whether it starts, and how it does in `LIVE`."""
    log = out / f"vllm-{pair[0]}-{pair[1] or 'none'}.log"
    try:
        with serving(python, model, flags(pair), log, console) as url:
            bench = bench_for(url, str(model), str(model), LIVE_SIZES, console)
            outcomes = run(bench, LIVE)
            bench.client.close()
    except NotStarted as error:
        return {"pair": label(pair), "refused": error.found, "checks": []}
    return {"pair": label(pair), "refused": None, "checks": [outcome.to_json() for outcome in outcomes]}


def markdown(rows: Sequence[Json], results: Sequence[Json], live: Sequence[Json], folder: str) -> str:
    """The tables, for a README."""
    head = ["situation", "prompt", *(label(pair) for pair in PAIRS)]
    table = [[row["situation"], row["mode"], *("refused" if one is None else str(one) for one in row["cells"])] for row in rows]
    totals = ["**right, whole / streamed**", f"of {len(rows)}", *(_total(rows, index) for index in range(len(PAIRS)))]
    parts = [f"Driven: vLLM's parser classes on scripted ids, tokenizer {Path(folder).name}.", "", *_table(head, [*table, totals])]
    refused = [f"{label(pair)}: {result['refused']}" for pair, result in zip(PAIRS, results, strict=True) if "refused" in result]
    parts += ["", *(f"Refused: {line}" for line in refused)]
    if live:
        names = list(LIVE)
        body = [[row["pair"], row["refused"] or "starts", *_live_cells(row, names)] for row in live]
        parts += ["", "Live: a server started with the pair; right of all requests.", "", *_table(["pair", "start", *names], body)]
    return "\n".join(parts) + "\n"


def _total(rows: Sequence[Json], index: int) -> str:
    cells = [row["cells"][index] for row in rows]
    if None in cells:
        return "refused"
    return f"**{sum(one.whole for one in cells)} / {sum(one.streamed for one in cells)}**"


def _live_cells(row: Json, names: Sequence[str]) -> list[str]:
    held = {check["check"]: f"{check['right']}/{check['total']}; {check['note']}" for check in row["checks"]}
    return [held.get(name, "") for name in names]


def _table(head: list[str], body: list[list[str]]) -> list[str]:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in cells) + " |"

    return [line(head), line(["---"] * len(head)), *map(line, body)]


def run_matrix(model: Path, python: str, tokenizer_folder: str | None, out: Path, console: Console, live: bool = True) -> int:
    """Fill both tables; leave `matrix.md` and `matrix.json`."""
    folder = tokenizer_folder or str(model)
    tokenizer: Any = load_tokenizer(folder)
    cases = scripted(tokenizer, read_ids(tokenizer))
    with console.status(f"driving {len(PAIRS)} pairs of parsers on {len(cases)} scripted completions"):
        results = drive(python, folder, PAIRS, cases)
    rows = driven_rows(results, cases)
    served = [live_row(python, model, pair, out, console) for pair in PAIRS] if live else []
    text = markdown(rows, results, served, folder)
    (out / "matrix.md").write_text(text)
    cells = [{**row, "cells": [one and one._asdict() for one in row["cells"]]} for row in rows]
    write_json(out / "matrix.json", {"pairs": [label(pair) for pair in PAIRS], "driven": cells, "live": served})
    console.print(Markdown(text))
    return 0

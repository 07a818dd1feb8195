"""Which pair of vLLM's parsers reads which situation right: `--matrix --model DIR --vllm-python P`.

Two kinds of rows, told apart: *driven* rows hand scripted ids to the parser classes as the server builds them; *live* rows come from a
server that was started with the pair and is made to say the same ids (`eval.serving.forced`), and then what its own model emits.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from data.errors import UserError
from data.manifest import write_json
from data.response import Response
from data.tokenizer import load_tokenizer
from data.transcript import Json
from data.wire import read_ids
from eval.serving import forced, reading, turns
from eval.serving.agreement import disagreement
from eval.serving.bench import Bench, Sizes
from eval.serving.cells import Cell, Pair, cell, cell_table, label, plain, table
from eval.serving.checks import bench_for, run
from eval.serving.client import ServerFault
from eval.serving.local_vllm import ENVIRONMENT, NotStarted, ended_by_sigterm, flags, serving
from eval.serving.outcome import Outcome
from eval.serving.reply import Reply, ServedCall
from eval.serving.scripted import Scripted, scripted

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


@dataclass(frozen=True)
class Live:
    """One server: how long its start and its requests took, why it refused the pair or broke, and what it read how."""

    pair: Pair
    refused: str = ""
    start_seconds: float = 0.0
    seconds: float = 0.0
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    outcomes: Sequence[Outcome] = ()

    def to_json(self) -> Json:
        times = {"start_seconds": round(self.start_seconds, 1), "seconds": round(self.seconds, 1)}
        return {"pair": label(self.pair), "refused": self.refused or None, **times, "checks": [one.to_json() for one in self.outcomes]}


def drive(python: str, folder: str, pairs: Sequence[Pair], cases: Sequence[Scripted]) -> list[Json]:
    """What vLLM's parser classes make of the cases, for each pair."""
    given = json.dumps({"tokenizer": folder, "pairs": pairs, "cases": [case.to_json() for case in cases], "streamed": True})
    environment = {**os.environ, **ENVIRONMENT, "VLLM_LOGGING_LEVEL": "ERROR", "PYTHONPATH": ""}
    done = subprocess.run([python, "-I", str(READER)], input=given, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise UserError(python, done.stderr[-600:], "a Python that has vLLM 0.32", "scripts/serve_vllm.sh sets one up")
    return json.loads(done.stdout.splitlines()[-1])


def driven_cell(readings: Sequence[Json], case: Scripted) -> Cell:
    """Judge one pair's readings of one case: at once, id by id, in chunks."""
    return cell(*(_wrong(one, case.strict, case.output) for one in readings))


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
            "cells": [None if "refused" in result else driven_cell(result["readings"][number], case) for result in results],
        }
        for number, case in enumerate(cases)
    ]


def ask_live(python: str, model: Path, folder: str, pair: Pair, cases: Sequence[Scripted], out: Path, console: Console) -> Live:
    """One server with the pair: whether it starts, how it reads what it is made to say, and how it does in `LIVE`."""
    log, began = out / f"vllm-{pair[0]}-{pair[1] or 'none'}.log", time.monotonic()
    try:
        with serving(python, model, [*flags(pair), *forced.FLAGS], log, console, forced.PLUGIN) as url:
            started = time.monotonic()
            bench = bench_for(url, str(model), folder, LIVE_SIZES, console)
            cells, outcomes = _answers(bench, cases)
    except NotStarted as error:
        return Live(pair, error.found, time.monotonic() - began)
    except ServerFault as error:
        return Live(pair, f"started, then broke: {error.found}", time.monotonic() - began)
    return Live(pair, "", started - began, time.monotonic() - started, cells, outcomes)


def _answers(bench: Bench, cases: Sequence[Scripted]) -> tuple[dict[tuple[str, str], Cell], list[Outcome]]:
    try:
        asked, scripted_ids = forced.sayable(bench, cases), Outcome("scripted ids")
        cells = forced.spoken(bench, asked, scripted_ids)
        return {(case.situation, case.mode): one for case, one in zip(asked, cells, strict=True)}, [scripted_ids, *run(bench, LIVE)]
    finally:
        bench.client.close()


def live_rows(driven: Sequence[Json], live: Sequence[Live]) -> list[Json]:
    """The driven rows that a server could be asked, with the cells that it earned."""
    asked = set().union(*(one.cells for one in live))
    rows = [row for row in driven if (row["situation"], row["mode"]) in asked]
    return [{**row, "cells": [one.cells.get((row["situation"], row["mode"])) for one in live]} for row in rows]


def agreeing(driven: Sequence[Json], live: Live, index: int) -> int:
    """How many of a server's cells are as the driven parser's of the pair at `index`."""
    held = {(row["situation"], row["mode"]): row["cells"][index] for row in driven}
    return sum(held[key] is not None and held[key][:2] == one[:2] for key, one in live.cells.items())


def markdown(rows: Sequence[Json], results: Sequence[Json], live: Sequence[Live], pairs: Sequence[Pair], folder: str) -> str:
    """The tables, for a README."""
    parts = [f"Driven: vLLM's parser classes on scripted ids, tokenizer {Path(folder).name}.", "", *cell_table(rows, pairs)]
    refused = [f"{label(pair)}: {result['refused']}" for pair, result in zip(pairs, results, strict=True) if "refused" in result]
    parts += ["", *(f"Refused: {line}" for line in refused)]
    if live:
        parts += ["", "Live: a server started with the pair and made to say the same ids.", ""]
        parts += cell_table(live_rows(rows, live), [one.pair for one in live])
        parts += ["", "Live: the server's own model; right of all requests.", "", *_live_table(rows, live)]
    return "\n".join(parts) + "\n"


def _live_table(rows: Sequence[Json], live: Sequence[Live]) -> list[str]:
    head = ["pair", "start", "cells as driven", *LIVE]
    return table(head, [_live_line(rows, one, index) for index, one in enumerate(live)])


def _live_line(rows: Sequence[Json], one: Live, index: int) -> list[str]:
    held = {outcome.name: f"{outcome.right}/{outcome.total}; {outcome.note}" for outcome in one.outcomes}
    start = one.refused or f"{one.start_seconds:.0f} s"
    as_driven = f"{agreeing(rows, one, index)} of {len(one.cells)}" if one.cells else ""
    return [label(one.pair), start, as_driven, *(held.get(name, "") for name in LIVE)]


def run_matrix(
    model: Path, python: str, tokenizer_folder: str | None, out: Path, console: Console, live: bool = True, pairs: Sequence[Pair] = PAIRS
) -> int:
    """Fill both tables; `matrix.md` and `matrix.json` are written anew after each server, so that no break loses what was found."""
    folder = tokenizer_folder or str(model)
    tokenizer: Any = load_tokenizer(folder)
    cases = scripted(tokenizer, read_ids(tokenizer))
    with console.status(f"driving {len(pairs)} pairs of parsers on {len(cases)} scripted completions"):
        results = drive(python, folder, pairs, cases)
    rows, served = driven_rows(results, cases), list[Live]()
    text = _write(out, rows, results, served, pairs, folder)
    with ended_by_sigterm():
        for pair in pairs if live else ():
            served.append(ask_live(python, model, folder, pair, cases, out, console))
            text = _write(out, rows, results, served, pairs, folder)
    console.print(Markdown(text))
    return 0


def _write(out: Path, rows: Sequence[Json], results: Sequence[Json], live: Sequence[Live], pairs: Sequence[Pair], folder: str) -> str:
    text = markdown(rows, results, live, pairs, folder)
    (out / "matrix.md").write_text(text)
    refused = [result.get("refused") for result in results]
    spoken = {"live_scripted": plain(live_rows(rows, live)), "live": [one.to_json() for one in live]}
    names = [label(pair) for pair in pairs]
    write_json(out / "matrix.json", {"pairs": names, "refused_driven": refused, "driven": plain(rows), **spoken})
    return text

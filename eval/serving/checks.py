"""The checks in their order, and how they are run: one that cannot go on does not hide the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from data.errors import UserError
from data.manifest import write_json
from data.tokenizer import load_tokenizer
from data.wire import read_ids
from eval.serving import reading, rendering, situations, turns
from eval.serving.bench import Bench, Sizes
from eval.serving.client import Client, Gone, ServerFault, Unsupported
from eval.serving.outcome import Failure, Outcome, Status

Check = Callable[[Bench, Outcome], None]
CHECKS: Mapping[str, Check] = {
    "prompt ids": rendering.prompts,
    "typed wire tokens": rendering.typed_wire_tokens,
    "wire tokens are one id": rendering.wire_tokens,
    "template and tokenizer": rendering.drift,
    "readings": reading.readings,
    "tool loop": turns.loop,
    "repeats": reading.repeated,
    "at once": reading.concurrent,
    "tool_choice": turns.choices,
}
SITUATIONS: Mapping[str, Check] = situations.CHECKS


def bench_for(base_url: str, model: str, folder: str | None, sizes: Sizes, console: Console) -> Bench:
    """Connect, and load the tokenizer of `folder`, of `model` if that is a folder, or of the folder that the server names."""
    client = Client(base_url, model)
    card = client.card()
    chosen = folder or next((name for name in (model, str(card.get("root") or "")) if Path(name).is_dir()), None)
    if chosen is None:
        raise UserError("--tokenizer", f"{model} is no folder here", "a local folder of the model", "give --tokenizer DIR")
    tokenizer = load_tokenizer(chosen)
    return Bench(client, tokenizer, read_ids(tokenizer), chosen, sizes, console)


def run(bench: Bench, checks: Mapping[str, Check], out: Path | None = None) -> list[Outcome]:
    """An outcome for each check. Where the server is gone for good, those that are left are not run, and say so.

    `out` is written after every thing that was looked at, so that an interrupted run leaves what it found.
    """
    outcomes: list[Outcome] = []
    if out is not None:
        bench = replace(bench, keep=lambda: write(out, bench, outcomes, finished=False))
    for name, check in checks.items():
        outcome = Outcome(name)
        outcomes.append(outcome)
        try:
            check(bench, outcome)
        except Unsupported as error:
            outcome.stated, outcome.note = Status.UNSUPPORTED, error.found
        except ServerFault as error:
            outcome.count(Failure.of(error))
            if isinstance(error, Gone) and not _answers(bench.client):
                break
    left = list(checks)[len(outcomes) :]
    return [*outcomes, *(Outcome(name, stated=Status.FAILED, note="not run: the server is gone") for name in left)]


def _answers(client: Client) -> bool:
    try:
        client.card()
    except ServerFault:
        return False
    return True


def failed(outcomes: Sequence[Outcome]) -> bool:
    return any(outcome.status is Status.FAILED for outcome in outcomes)


def write(path: Path, bench: Bench, outcomes: Sequence[Outcome], finished: bool = True) -> None:
    """Leave the whole of what was found; nothing has passed before it is finished."""
    engine = bench.client.engine
    server = {"base_url": bench.client.root, "model": bench.client.model, "engine": engine.name, "version": engine.version}
    checks = [outcome.to_json() for outcome in outcomes]
    passed = finished and not failed(outcomes)
    about = {"passed": passed, "finished": finished, "server": server, "folder": bench.folder, "sizes": vars(bench.sizes)}
    write_json(path, {**about, "checks": checks})

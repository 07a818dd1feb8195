"""Build a data set: `python -m data.build --config configs/data/quickstart.yaml --out outputs/data/quickstart`

Reads the config's sources, validates every row, and leaves `train.jsonl`, `validation.jsonl`, `rejected.jsonl` and `manifest.json`.
The files are put in place together at the end, so a folder with a manifest is complete.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.progress import track

from data.config import load_yaml
from data.contamination import bfcl_folder, bfcl_protected, overlaps
from data.errors import UserError, reported
from data.manifest import sha256_file, write_manifest
from data.sources.dialogue import KINDS, generate
from data.sources.jsonl import Rejected, read_rows
from data.split import Split, split_of
from data.transcript import Transcript, UserMessage
from data.validate import problems, wire_literals


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JsonlSource(_Strict):
    """Canonical rows of a file; `split` puts all of them in one split, by default each goes by its tool names."""

    type: Literal["jsonl"]
    path: Path
    split: Split | None = None
    limit: int | None = None


class SyntheticSource(_Strict):
    """Transcripts of the tool catalogue; `mix` gives each kind its share."""

    type: Literal["synthetic"]
    train: int
    validation: int
    mix: dict[str, float]
    max_tools: int = 3


class BuildConfig(_Strict):
    seed: int = 0
    sources: list[Annotated[JsonlSource | SyntheticSource, Field(discriminator="type")]]


Row = tuple[Split, Transcript] | Rejected


def load_config(path: Path) -> BuildConfig:
    config = load_yaml(path, BuildConfig, "configs/data/")
    for source in config.sources:
        unknown = sorted(set(source.mix) - set(KINDS)) if isinstance(source, SyntheticSource) else []
        if unknown:
            raise UserError(str(path), f"mix names {', '.join(unknown)}", f"kinds {', '.join(KINDS)}", "mend or remove the kind")
    return config


def split_by_tools(transcript: Transcript) -> Split:
    """The split of a row by its tools: held out as soon as one of its tools is."""
    splits = {split_of(tool.function.name) for tool in transcript.tools} or {split_of(transcript.id)}
    return "validation" if "validation" in splits else "train"


def rows_of(source: JsonlSource | SyntheticSource, seed: int) -> Iterator[Row]:
    if isinstance(source, JsonlSource):
        yield from _file_rows(source)
        return
    counts: dict[Split, int] = {"train": source.train, "validation": source.validation}
    for split, count in counts.items():
        for transcript in generate(split, seed, count, source.mix, source.max_tools):
            reason = next(iter(problems(transcript)), None)
            yield Rejected(transcript.id, *reason) if reason else (split, transcript)


def _file_rows(source: JsonlSource) -> Iterator[Row]:
    if not source.path.is_file():
        raise UserError(str(source.path), "no such file", "a JSONL file of transcripts, plain or .gz", "mend `path` in the config")
    for index, row in enumerate(read_rows(source.path)):
        if source.limit is not None and index >= source.limit:
            return
        yield row if isinstance(row, Rejected) else (source.split or split_by_tools(row), row)


def contamination(transcript: Transcript) -> str | None:
    """What the row shares with BFCL, when `bfcl-eval` is installed."""
    folder = bfcl_folder()
    if folder is None:
        return None
    requests = [message.content for message in transcript.messages if isinstance(message, UserMessage)]
    return next(iter(overlaps([tool.function.name for tool in transcript.tools], requests, bfcl_protected(folder))), None)


def build(config: BuildConfig, console: Console) -> tuple[dict[Split, list[Transcript]], list[Rejected]]:
    """All rows by split, and those set aside; ids are unique over the build, and no training row shares a request with BFCL."""
    splits: dict[Split, list[Transcript]] = {"train": [], "validation": []}
    rejected: list[Rejected] = []
    seen: set[str] = set()
    for source in config.sources:
        for row in track(rows_of(source, config.seed), description=f"{source.type} source", console=console):
            if isinstance(row, Rejected):
                rejected.append(row)
                continue
            split, transcript = row
            shared = contamination(transcript) if split == "train" else None
            if transcript.id in seen:
                rejected.append(Rejected(transcript.id, "duplicate_id", f"id {transcript.id} occurs twice"))
            elif shared:
                rejected.append(Rejected(transcript.id, "shared_with_bfcl", shared))
            else:
                seen.add(transcript.id)
                splits[split].append(transcript)
    return splits, rejected


def with_literals(splits: dict[Split, list[Transcript]]) -> dict[Split, int]:
    """How many rows of each split spell a wire token out."""
    return {split: sum(bool(wire_literals(row)) for row in rows) for split, rows in splits.items()}


def write(out: Path, splits: dict[Split, list[Transcript]], rejected: list[Rejected], fields: dict[str, Any]) -> None:
    """Write into a temporary folder beside `out`, then move the files in and write the manifest."""
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as folder:
        part = Path(folder)
        for split, transcripts in splits.items():
            (part / f"{split}.jsonl").write_text("".join(row.model_dump_json(exclude_none=True) + "\n" for row in transcripts))
        (part / "rejected.jsonl").write_text("".join(json.dumps(row._asdict()) + "\n" for row in rejected))
        for path in part.iterdir():
            path.replace(out / path.name)
    files = {path.name: sha256_file(path) for path in sorted(out.glob("*.jsonl"))}
    write_manifest(out, "dataset", **fields, sha256=files)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, type=Path, help="YAML of sources; see configs/data/")
    parser.add_argument("--out", required=True, type=Path, help="folder to write")
    return parser.parse_args()


@reported
def main() -> int:
    args = parse()
    console = Console()
    config = load_config(args.config)
    splits, rejected = build(config, console)
    spelled = with_literals(splits)
    fields = {
        "config": config.model_dump(mode="json"),
        "rows": {split: len(rows) for split, rows in splits.items()},
        "kinds": {split: dict(Counter(str(row.meta.get("kind", row.source)) for row in rows)) for split, rows in splits.items()},
        "rejected": dict(Counter(row.rule for row in rejected)),
        "wire_literals": spelled,
        "checked_against_bfcl": bfcl_folder() is not None,
    }
    write(args.out, splits, rejected, fields)
    for row in rejected[:5]:
        console.print(f"rejected {row.place}: {row.message}", style="yellow", markup=False)
    if any(spelled.values()):
        console.print(f"rows that spell a wire token out: {spelled}; trained as text, real ids on a server", style="yellow", markup=False)
    clean = "training rows share no tool name and no run of seven words with BFCL"
    against = clean if fields["checked_against_bfcl"] else "bfcl-eval is absent: not compared with it"
    console.print(f"{args.out}: {fields['rows']}, {len(rejected)} rejected; {against}", markup=False)
    if not splits["train"]:
        raise UserError(str(args.config), "no training row", "at least one valid row", f"see {args.out / 'rejected.jsonl'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What an export says of its origin: licences, sources of the training data, and measured rates, each from the file that records it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, try_to_load_from_cache

from data.errors import UserError
from data.manifest import read_manifest

EMBEDDED_LICENCE = "apache-2.0"  # of SmolLM2-135M-Instruct, the base that train.base embeds
SCHEMA_VERSION = 2


def base_licence(base: str) -> str | None:
    """The licence that the base's own model card names; of a base that train.base prepared, that of what it was made from."""
    if base.startswith("embedded:"):
        return EMBEDDED_LICENCE
    manifest = read_manifest(Path(base))
    if manifest and manifest["kind"] == "base":
        return base_licence(manifest["base"])
    card = Path(base) / "README.md"
    if not Path(base).is_dir():
        cached = try_to_load_from_cache(base, "README.md")
        card = Path(cached) if isinstance(cached, str) else card
    return ModelCard.load(card, ignore_metadata_errors=True).data.license if card.is_file() else None


def origin(base: str) -> str:
    """What a base that train.base prepared was made from; any other base itself."""
    manifest = read_manifest(Path(base))
    return manifest["base"] if manifest and manifest["kind"] == "base" else base


def data_sources(dataset: dict[str, Any] | None, folder: Path | None) -> list[dict[str, Any]]:
    """Source, licence and rows of the training split: counted in the split itself where its folder is there, else as its config says."""
    path = folder / "train.jsonl" if folder else None
    if path and path.is_file():
        with path.open() as lines:  # which data.build has validated
            rows = map(json.loads, lines)
            counts = Counter((row["source"] or "not named", row["license"] or "not named") for row in rows)
        return [{"source": source, "licence": licence, "rows": count} for (source, licence), count in counts.most_common()]
    sources = (dataset or {}).get("config", {}).get("sources", [])
    return [
        {"source": source.get("path", source["type"]), "licence": "see the data set", "rows": source.get("train", "")} for source in sources
    ]


def contamination(dataset: dict[str, Any] | None) -> str:
    """Whether the training rows were compared with the benchmark."""
    if not dataset:
        return ""
    clean = "Training rows share no tool name and no run of seven words with BFCL."
    return clean if dataset.get("checked_against_bfcl") else "Training rows were not compared with BFCL."


def recorded(folder: Path, key: str) -> str | None:
    """The first value of `key` in a run folder's fingerprint or manifest, at any depth."""
    for name in ("fingerprint.json", "manifest.json"):
        if (folder / name).is_file() and (found := _find(json.loads((folder / name).read_text()), key)):
            return found
    return None


def _find(value: Any, key: str) -> str | None:
    if not isinstance(value, dict):
        return None
    return value.get(key) or next((found for inner in value.values() if (found := _find(inner, key))), None)


def measured(folder: Path, adapter_sha256: str) -> tuple[list[dict[str, Any]], str]:
    """The rates of an evaluation run, for a table, and a sentence that says what was measured; another adapter's run is an error."""
    path = folder / "metrics.json"
    if not path.is_file():
        raise UserError(str(folder), "no metrics.json", "a finished run of eval.run", "mend --metrics, or leave it out")
    held = json.loads(path.read_text())
    if held.get("schema_version") != SCHEMA_VERSION:
        raise UserError(
            str(path), f"schema_version {held.get('schema_version')}", str(SCHEMA_VERSION), "score the run again: python -m eval.rescore"
        )
    found = recorded(folder, "adapter_sha256")
    if found and found != adapter_sha256:
        raise UserError(str(folder), f"a run of another adapter, sha256 {found}", adapter_sha256, "give a run of this adapter")
    note = f"With this adapter, sha256 {found}." if found else "The run does not record which adapter it measured."
    return [_row(name, rate) for name, rate in held["metrics"].items()], note


def _row(name: str, rate: dict[str, Any]) -> dict[str, Any]:
    if rate["value"] is None:
        return {"name": name, "value": "n/a", "interval": "", "n": rate["n"]}
    return {
        "name": name,
        "value": f"{rate['value']:.1%}",
        "interval": f"{100 * rate['low']:.1f} to {100 * rate['high']:.1f} %",
        "n": rate["n"],
    }

"""What decides a run's numbers: kept in `fingerprint.json`, so that a run resumes only itself and comparing knows what differs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.manifest import read_manifest, sha256_text, versions, write_json
from data.transcript import Json
from data.wire import WireIds
from eval.backends.protocol import Decoding
from eval.case import Case


def fingerprint(
    model: str,
    adapter: str | None,
    tokenizer: Any,
    wire: WireIds,
    cases: Sequence[Case],
    decoding: Decoding,
    repeats: int,
    enable_thinking: bool,
    backend: Json,
) -> Json:
    """A JSON object; `eval.comparable` says which of its keys may differ between two runs that are compared."""
    return {
        "model": model,
        "model_manifest": read_manifest(Path(model)),
        "adapter": adapter,
        "template_sha256": sha256_text(tokenizer.chat_template or ""),
        "tokenizer_sha256": sha256_text(tokenizer.backend_tokenizer.to_str()),
        "wire": wire.as_dict(),
        "suite_sha256": suite_sha256(cases),
        "cases": len(cases),
        "decoding": {**asdict(decoding), "repeats": repeats},
        "enable_thinking": enable_thinking,
        "backend": backend,
        "versions": versions(),
    }


def suite_sha256(cases: Sequence[Case]) -> str:
    """Of every case with all of its fields, in order."""
    return sha256_text("\n".join(json.dumps(case.to_json(), sort_keys=True) for case in cases))


def claim(out: Path, wanted: Json) -> None:
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

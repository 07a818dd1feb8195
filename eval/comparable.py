"""Whether two runs may be compared: where their fingerprints, or cases of one id, differ though they must not, it is refused by name."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.transcript import Json
from eval.case import Case
from eval.completion import Key
from eval.rows import Row

# What must not differ, by the name for --allow. Model, adapter, tokenizer, backend and versions may; a part of the same suite too.
FIXED = {"decoding": "decoding", "template": "template_sha256", "wire": "wire", "thinking": "enable_thinking"}
ALLOWABLE = (*FIXED, "cases")


def read_fingerprint(folder: Path) -> Json | None:
    """The fingerprint of a run, or None where it has none."""
    path = folder / "fingerprint.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def differing(base: Json, candidate: Json) -> dict[str, list[Any]]:
    """Every key in which two fingerprints differ, with both values."""
    return {key: [base.get(key), candidate.get(key)] for key in sorted({*base, *candidate}) if base.get(key) != candidate.get(key)}


def check_fingerprints(base: Json, candidate: Json, allowed: Collection[str] = ()) -> None:
    """Raise `UserError` that names what differs though it must not."""
    different = differing(base, candidate)
    for name, key in FIXED.items():
        if key in different and name not in allowed:
            first, second = different[key]
            raise UserError(
                f"comparison: {key}",
                f"{first!r} and {second!r}",
                "runs that differ in the model only",
                f"evaluate both with one config, or say --allow {name} if this difference is what you want to measure",
            )


def content(case: Case) -> Json:
    """What of a case decides its answer and its verdict."""
    return {key: value for key, value in case.to_json().items() if key != "meta"}


def shared_keys(base: Mapping[Key, Row], candidate: Mapping[Key, Row], allowed: Collection[str] = ()) -> list[str]:
    """Ids of the cases that count and have a verdict in both runs.

    One id with two contents is a `UserError`, unless `cases` is allowed: then it is left out.
    """
    first, second = ({row.case.id: row.case for row in rows.values() if row.counted and row.judged.verdict} for rows in (base, candidate))
    both = [case_id for case_id in second if case_id in first]
    changed = [case_id for case_id in both if content(first[case_id]) != content(second[case_id])]
    if changed and "cases" not in allowed:
        keys = [key for key, value in content(first[changed[0]]).items() if value != content(second[changed[0]])[key]]
        raise UserError(
            f"comparison: case {changed[0]}",
            f"other {', '.join(keys)} in each run ({len(changed)} such cases)",
            "the same case in both runs",
            "evaluate both with one config, or say --allow cases to leave these cases out",
        )
    return [case_id for case_id in both if case_id not in set(changed)]

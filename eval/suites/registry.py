"""Every suite by the key of the evaluation config that asks for it. A new suite is a field of `SuitesConfig` and a line of `LOADERS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from eval.case import Case
from eval.suites import bfcl, native, payload, payload_rows, traffic, transcripts
from eval.suites.bfcl import Rows
from eval.suites.files import FileSection
from eval.suites.payload import PayloadSection


class SuitesConfig(BaseModel):
    """What is measured. `native` maps kinds to transcripts, `bfcl` categories to a number of rows or "all"; files are `{path, limit}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    native: dict[str, int] = {}
    bfcl: dict[str, int | Literal["all"]] = {}
    bfcl_rows: Rows = "all"
    payload: PayloadSection | None = None
    transcripts: list[FileSection] = []
    traffic: list[FileSection] = []
    seed: int = 0


def _bfcl(config: SuitesConfig) -> list[Case]:
    limits = {category: limit for category, limit in config.bfcl.items() if isinstance(limit, int)}
    return bfcl.load(list(config.bfcl), limits, config.bfcl_rows) if config.bfcl else []


def _payload(config: SuitesConfig) -> list[Case]:
    if config.payload is None:
        return []
    return [*payload.grid(config.payload, config.seed), *payload_rows.cases(config.payload, config.seed)]


LOADERS: dict[str, Callable[[SuitesConfig], list[Case]]] = {
    "native": lambda config: native.load(config.native, config.seed),
    "bfcl": _bfcl,
    "payload": _payload,
    "transcripts": lambda config: transcripts.load(config.transcripts),
    "traffic": lambda config: traffic.load(config.traffic),
}

"""What a completion is worth against its case. Pure; no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from eval.emission import Emission


class Verdict(StrEnum):
    """Exhaustive and exclusive for completions that count; an error or an unmeasurable completion has none."""

    RIGHT_CALL = "right call"
    WRONG_TOOL = "wrong tool"
    INVALID_ARGUMENTS = "invalid arguments"  # against the tool's JSON Schema
    WRONG_ARGUMENTS = "wrong arguments"  # valid, but not those that were asked for
    WRONG_NUMBER = "wrong number"  # of calls
    MISSED = "missed"
    FALSE_CALL = "false call"
    RIGHT_ABSTENTION = "right abstention"
    RIGHT_QUESTION = "right question"


RIGHT = frozenset({Verdict.RIGHT_CALL, Verdict.RIGHT_ABSTENTION, Verdict.RIGHT_QUESTION})


@dataclass(frozen=True)
class Judged:
    """An emission class and a verdict, each with the reason for it in words."""

    emission: Emission
    verdict: Verdict | None
    why: str
    mismatch: str = ""

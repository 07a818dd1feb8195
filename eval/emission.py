"""What a completion is, whatever was expected of it: the ledger's classes. Pure; no torch."""

from __future__ import annotations

from enum import StrEnum


class Emission(StrEnum):
    """Exhaustive and exclusive: each completion has exactly one, decided on ids first."""

    NATIVE_CALL = "native call"
    NATIVE_MALFORMED = "native, malformed JSON"
    NATIVE_PYTHON = "native, Python literal"
    NATIVE_UNCLOSED = "native, unclosed"
    NATIVE_TRUNCATED = "native, truncated"
    TYPED_CALL = "typed call"
    JSON_IN_TEXT = "JSON in text"
    JSON_IN_FENCE = "JSON in a fence"
    PYTHON_CALL = "Python call"
    CODE_DUMP = "code dump"
    CODE_MODE = "<code> mode"
    SHELL_DUMP = "shell dump"
    PROMISE = "promise"
    QUESTION = "question"
    REFUSAL = "refusal"
    ANSWER = "answer"
    REASONING_ONLY = "reasoning only"
    EMPTY = "empty"
    ERROR = "error"
    UNMEASURABLE = "unmeasurable"


NATIVE_BROKEN = frozenset({Emission.NATIVE_MALFORMED, Emission.NATIVE_PYTHON, Emission.NATIVE_UNCLOSED, Emission.NATIVE_TRUNCATED})
ATTEMPTS = NATIVE_BROKEN | {
    Emission.NATIVE_CALL,
    Emission.TYPED_CALL,
    Emission.JSON_IN_TEXT,
    Emission.JSON_IN_FENCE,
    Emission.PYTHON_CALL,
    Emission.CODE_MODE,
}
CODE = frozenset({Emission.CODE_DUMP, Emission.SHELL_DUMP, Emission.PYTHON_CALL, Emission.CODE_MODE})
UNCOUNTED = frozenset({Emission.ERROR, Emission.UNMEASURABLE})  # outside every denominator

"""What a completion's text is read against: the offered tools, and what an answer in text would hold. Pure; no torch."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eval.case import Case

SHORTEST_CONTENT = 40  # characters of a one-line argument that a text can be recognised by
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True)
class Asked:
    """`names` are the offered tools; `contents` the long texts and nested values that the expected calls carry as arguments."""

    names: frozenset[str]
    wants_call: bool = True
    contents: tuple[Any, ...] = ()

    @functools.cached_property
    def spelled(self) -> str:
        """A pattern for any offered name, longest first; it matches nothing without tools."""
        return "|".join(re.escape(name) for name in sorted(self.names, key=len, reverse=True)) or r"(?!)"

    @functools.cached_property
    def keys(self) -> frozenset[str]:
        """The names' last parts as `key_of` spells them, so that `getWeather` names `weather.get_weather`."""
        return frozenset(key_of(name) for name in self.names)

    @functools.cached_property
    def words(self) -> frozenset[str]:
        """The words of all names, in lower case."""
        return frozenset(word.lower() for name in self.names for word in WORD.findall(name))


def asked_of(case: Case) -> Asked:
    """The context of a case."""
    arguments = [value for call in case.expected for value in call.example().values()]
    return Asked(frozenset(function["name"] for function in case.functions), case.expects_call, contents_of(arguments))


def contents_of(values: Iterable[Any]) -> tuple[Any, ...]:
    """Those values that are long enough to be recognised when they stand in a text."""
    return tuple(value for value in values if _is_content(value))


def _is_content(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) >= SHORTEST_CONTENT or "\n" in value.strip()
    return isinstance(value, dict) and len(value) > 1


def key_of(name: str) -> str:
    """A name without name space, case and underscores: `home.setTimer` and `set_timer` are both `settimer`."""
    return name.rsplit(".", 1)[-1].replace("_", "").lower()

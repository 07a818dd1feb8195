"""A comparison in words that need no statistics. Pure; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = {"right": "right answers", "native_emission": "native calls", "false_calls": "false calls"}
CONCLUSIONS = {"worse": "WORSE in", "better": "better in", "unclear": "not shown to differ in"}


def percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1%}"


def points(value: float | None) -> str:
    """A difference of rates in percentage points."""
    return "n/a" if value is None else f"{100 * value:+.1f}"


def interval_text(one: Mapping[str, Any]) -> str:
    return "n/a" if one["low"] is None else f"{points(one['low'])} … {points(one['high'])}"


def sentence(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The conclusion first, then each outcome that was measured, then what could have gone unnoticed."""
    measured = {name: one for name, one in found.items() if one["n"]}
    groups = {words: [NAMES[name] for name, one in measured.items() if one["conclusion"] == kind] for kind, words in CONCLUSIONS.items()}
    overall = ", ".join(f"{words} {' and '.join(names)}" for words, names in groups.items() if names)
    right = found["right"]
    turned = f"{right['gained']} became right and {right['lost']} became wrong"
    told = "No case changed between right and wrong" if not right["gained"] + right["lost"] else turned
    parts = ". ".join(_part(NAMES[name], one) for name, one in measured.items())
    return f"The new run is {overall}. {told}. {parts}.{_unnoticed(right)}"


def _part(name: str, one: Mapping[str, Any]) -> str:
    rates = f"{name[0].upper()}{name[1:]}: from {one['base']:.0%} to {one['candidate']:.0%} of {one['n']} cases"
    if one["low"] is None:
        return rates
    return f"{rates}, a change of {points(one['difference'])} points, likely between {points(one['low'])} and {points(one['high'])}"


def _unnoticed(right: Mapping[str, Any]) -> str:
    if right["conclusion"] != "unclear":
        return ""
    effect = right["minimum_detectable_effect"]
    if effect is None:
        return " With so few cases hardly any difference in right answers would have been found."
    return f" A true change in right answers of less than {100 * effect:.1f} points would probably have gone unnoticed."

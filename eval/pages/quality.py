"""How well the classes are told apart, as the page shows it. Pure; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from eval.score import Rate, rate


class LabelledSet(NamedTuple):
    """One set of labelled outputs: how many got their class, and (class, precision, recall) of each."""

    name: str
    accuracy: Rate
    classes: list[tuple[str, Rate, Rate]]


def labelled_sets(detector: Mapping[str, Mapping[str, Any]]) -> list[LabelledSet]:
    """From `{set: {"classes": {class: {"n", "found", "hits"}}}}`: outputs labelled with the class, given the class, and both."""
    return [_labelled_set(name, found["classes"]) for name, found in detector.items()]


def _labelled_set(name: str, classes: Mapping[str, Mapping[str, int]]) -> LabelledSet:
    accuracy = rate(sum(each["hits"] for each in classes.values()), sum(each["n"] for each in classes.values()))
    lines = [(kind, rate(each["hits"], each["found"]), rate(each["hits"], each["n"])) for kind, each in classes.items()]
    return LabelledSet(name, accuracy, lines)

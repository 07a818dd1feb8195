"""Each leniency of argument equality apart: how many calls would be right if this one kind of difference were forgiven. Pure; no torch.

A leniency is a function from `Matching` to `Matching`: it changes the calls found, the calls wanted, or both alike. `LENIENCIES` names
them in the order in which `with_all` applies them, one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce
from typing import Any

from data.call_body import Defect
from data.transcript import Json
from eval.match import equal, standard
from eval.matching import Accepted, Matching, fits, matching_of
from eval.repair import body_of, call_in, json_value, python_literal
from eval.rows import Row

PUNCTUATION = re.compile(r"[^\w\s]")
DATES = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d %B %Y", "%B %d %Y", "%d %b %Y", "%b %d %Y")  # none that two countries read differently
LONGEST_DATE = 24

Leniency = Callable[[Matching], Matching]


def python_body(matching: Matching) -> Matching:
    """A native block whose body is a Python literal is the call that it spells."""
    calls = [_python_call(block) for block in matching.malformed]
    found = tuple((call["name"], call["arguments"]) for call in calls if call)
    left = tuple(block for block, call in zip(matching.malformed, calls, strict=True) if not call)
    return replace(matching, found=(*matching.found, *found), malformed=left)


def extra_optional(matching: Matching) -> Matching:
    """Optional arguments that nobody asked for are not looked at; those that the schema does not know still count."""
    return _without_unasked(matching, lambda name, key, value: matching.optional(name, key) is not None)


def dropped_defaults(matching: Matching) -> Matching:
    """An optional argument may lack, or be there unasked, where its value is the schema's default."""

    def is_default(name: str, key: str, values: Sequence[Any]) -> bool:
        schema = matching.optional(name, key) or {}
        return "default" in schema and any(equal(value, schema["default"]) for value in values)

    def wanted(name: str, arguments: dict[str, Accepted]) -> dict[str, Accepted]:
        return {key: item._replace(may_lack=item.may_lack or is_default(name, key, item.options)) for key, item in arguments.items()}

    lenient = replace(matching, wanted=tuple((name, wanted(name, arguments)) for name, arguments in matching.wanted))
    return _without_unasked(lenient, lambda name, key, value: is_default(name, key, [value]))


def numeric_strings(matching: Matching) -> Matching:
    """A string that spells a number or a boolean in JSON is that value: "3" for 3."""
    return _on_strings(matching, _number)


def dates(matching: Matching) -> Matching:
    """A date in any format that cannot be misread is the same day in ISO 8601."""
    return _on_strings(matching, lambda text: _iso_date(text) if len(text) <= LONGEST_DATE else text)


def letter_case(matching: Matching) -> Matching:
    """Strings without regard to case."""
    return _on_strings(matching, str.casefold)


def white_space(matching: Matching) -> Matching:
    """Runs of white space in strings are one space, and none stands at either end."""
    return _on_strings(matching, lambda text: " ".join(text.split()))


def punctuation(matching: Matching) -> Matching:
    """Strings without what is neither letter, digit, underscore nor white space."""
    return _on_strings(matching, lambda text: PUNCTUATION.sub("", text))


def bfcl_standard(matching: Matching) -> Matching:
    """Strings as BFCL standardises them: without spaces and ,./-_*^, in lower case, with double quotes."""
    return _on_strings(matching, standard)


def unordered_lists(matching: Matching) -> Matching:
    """Lists of plain values without regard to order."""
    return _on_values(matching, lambda value: sorted(value, key=repr) if isinstance(value, list) and _plain(value) else value)


LENIENCIES: dict[str, Leniency] = {
    "python_body": python_body,
    "extra_optional": extra_optional,
    "dropped_defaults": dropped_defaults,
    "numeric_strings": numeric_strings,
    "dates": dates,
    "letter_case": letter_case,
    "white_space": white_space,
    "punctuation": punctuation,
    "bfcl_standard": bfcl_standard,
    "unordered_lists": unordered_lists,
}
COLUMNS = ("strict", *(f"with_{name}" for name in LENIENCIES), "with_all")


def columns(row: Row) -> dict[str, bool]:
    """Whether the row's calls are right: `strict`, `with_NAME` for each leniency alone, and `with_all`."""
    matching = matching_of(row)
    found = {"strict": fits(matching)}
    found |= {f"with_{name}": fits(leniency(matching)) for name, leniency in LENIENCIES.items()}
    return found | {"with_all": fits(reduce(lambda lenient, leniency: leniency(lenient), LENIENCIES.values(), matching))}


def _without_unasked(matching: Matching, droppable: Callable[[str, str, Any], bool]) -> Matching:
    """Leave out arguments that no wanted call of that name lists, where `droppable(name, key, value)`."""
    asked = {(name, key) for name, arguments in matching.wanted for key in arguments}
    found = tuple(
        (name, {key: value for key, value in arguments.items() if (name, key) in asked or not droppable(name, key, value)})
        for name, arguments in matching.found
    )
    return replace(matching, found=found)


def _on_strings(matching: Matching, change: Callable[[str], Any]) -> Matching:
    return _on_values(matching, lambda value: change(value) if isinstance(value, str) else value)


def _on_values(matching: Matching, change: Callable[[Any], Any]) -> Matching:
    """Apply `change` to every value of both sides, inner ones first; names and keys stay."""

    def walk(value: Any) -> Any:
        if isinstance(value, Accepted):
            return value._replace(options=tuple(map(walk, value.options)))
        if isinstance(value, dict):
            return {key: walk(inner) for key, inner in value.items()}
        return change([walk(item) for item in value] if isinstance(value, list) else value)

    return replace(
        matching,
        found=tuple((name, walk(arguments)) for name, arguments in matching.found),
        wanted=tuple((name, walk(arguments)) for name, arguments in matching.wanted),
    )


def _plain(values: list[Any]) -> bool:
    return not any(isinstance(value, dict | list) for value in values)


def _number(text: str) -> Any:
    value = json_value(text.strip())
    return value if isinstance(value, int | float) else text


def _iso_date(text: str) -> str:
    spaced = " ".join(text.replace(",", " ").split())
    for form in DATES:
        try:
            return datetime.strptime(spaced, form).date().isoformat()
        except ValueError:
            continue
    return text


def _python_call(block: Json) -> Json | None:
    return call_in(python_literal(body_of(block["text"]))) if block["defect"] == Defect.PYTHON_LITERAL else None

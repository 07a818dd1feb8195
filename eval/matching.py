"""Argument equality, strict: what `eval.leniency` starts from. Pure; no torch.

The same number of calls, in any order, each with the name and exactly the arguments expected. JSON values are equal in type and value
(1 equals 1.0, as in JSON Schema; True does not equal 1). Where a case lists several acceptable values, one of them is met exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from data.transcript import Json
from eval.case import ExpectedCall
from eval.match import equal
from eval.rows import Row


class Accepted(NamedTuple):
    """What one parameter may be: one of `options`, or absent if `may_lack`."""

    options: tuple[Any, ...]
    may_lack: bool = False


@dataclass(frozen=True)
class Matching:
    """Calls found and wanted, by name and arguments; `malformed` are blocks that are no calls, `schemas` the tools' parameters by name."""

    found: tuple[tuple[str, Json], ...]
    wanted: tuple[tuple[str, dict[str, Accepted]], ...]
    malformed: tuple[Json, ...] = ()
    schemas: Mapping[str, Json] = field(default_factory=dict)

    def optional(self, name: str, key: str) -> Json | None:
        """The schema of an optional parameter; None for one that is required or unknown."""
        schema = self.schemas.get(name, {})
        return None if key in schema.get("required", ()) else schema.get("properties", {}).get(key)


def matching_of(row: Row) -> Matching:
    """What is compared in one row."""
    return Matching(
        found=tuple((call["name"], call["arguments"]) for call in row.calls),
        wanted=tuple((call.name, _accepted(call)) for call in row.case.expected),
        malformed=tuple(row.malformed),
        schemas={function["name"]: function.get("parameters") or {} for function in row.case.functions},
    )


def fits(matching: Matching) -> bool:
    """Strict equality: each wanted call takes the first call left that meets it; none is left over, and no block is malformed."""
    left = list(matching.found)
    for name, wanted in matching.wanted:
        at = next((i for i, (found, arguments) in enumerate(left) if found == name and _meets(arguments, wanted)), None)
        if at is None:
            return False
        del left[at]
    return not left and not matching.malformed


def _accepted(call: ExpectedCall) -> dict[str, Accepted]:
    if call.exact:
        return {name: Accepted((value,)) for name, value in call.arguments.items()}
    return {name: _alternatives(values) for name, values in call.arguments.items()}


def _alternatives(values: Sequence[Any]) -> Accepted:
    """BFCL's list of acceptable values, in which "" stands for a parameter that may lack; an outermost dict holds such lists itself."""
    return Accepted(tuple(_option(value) for value in values if value != ""), "" in values)


def _option(value: Any) -> Any:
    if isinstance(value, list):
        return [_option(item) if isinstance(item, dict) else item for item in value]
    return {key: _alternatives(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def _meets(arguments: Json, wanted: Mapping[str, Accepted]) -> bool:
    known = all(key in wanted and any(_same(value, option) for option in wanted[key].options) for key, value in arguments.items())
    return known and all(key in arguments or accepted.may_lack for key, accepted in wanted.items())


def _same(value: Any, option: Any) -> bool:
    if isinstance(option, dict) and any(isinstance(inner, Accepted) for inner in option.values()):
        return isinstance(value, dict) and _meets(value, option)
    if isinstance(option, list) and isinstance(value, list):
        return len(value) == len(option) and all(map(_same, value, option))
    return equal(value, option)

"""Whether a call is the expected one, by the rules of BFCL v4's AST check for Python categories.

The rules are those of `bfcl_eval/eval_checker/ast_eval/ast_checker.py` in `bfcl-eval` 2026.3.23, which `tests/test_match.py` runs
beside this module. Functions may state types in BFCL's words or as JSON Schema, where a tuple is an array and "any" is no type.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from itertools import chain
from typing import Any

from data.transcript import Json
from eval.case import ExpectedCall

IGNORED = re.compile(r"[ ,./\-_*^]")
KINDS: dict[str, type] = {
    "string": str,
    "integer": int,
    "number": float,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "object": dict,
    "dict": dict,
    "null": type(None),
}


def calls_mismatch(
    calls: Sequence[tuple[str, Json]], expected: Sequence[ExpectedCall], functions: Sequence[Json], ordered: bool = False
) -> str | None:
    """Why `calls` are not the `expected` ones, or None when they are.

    `functions` holds a dict of name and parameters for each expected name (`Case.functions`). Without `ordered`, each expected
    call in turn takes the first call left that fits, as BFCL does; it does not look for the best assignment.
    """
    if len(calls) != len(expected):
        return f"wrong count: {len(calls)} call(s), expected {len(expected)}"
    offered = {function["name"]: function for function in functions}
    if ordered or len(expected) == 1:
        pairs = zip(calls, expected, strict=True)
        return next(filter(None, (call_mismatch(*call, gold, offered[gold.name]) for call, gold in pairs)), None)
    left = list(calls)
    for gold in expected:
        reasons = [call_mismatch(*call, gold, offered[gold.name]) for call in left]
        if None not in reasons:
            return f"no call fits {gold.name}({reprlib.repr(gold.example())}): {'; '.join(map(str, dict.fromkeys(reasons)))}"
        del left[reasons.index(None)]
    return None


def call_mismatch(call_name: str, arguments: Json, expected: ExpectedCall, function: Json) -> str | None:
    """Why one call is not the `expected` one, or None when it is; `function` is the dict of name and parameters it was offered as."""
    if call_name != expected.name:
        return f"wrong name: {call_name!r}, expected {expected.name!r}"
    if expected.exact:
        return _difference(arguments, expected.arguments)
    accepted, schema = expected.arguments, function["parameters"]
    missing = (f"missing required parameter {name!r}" for name in schema.get("required", ()) if name not in arguments)
    wrong = (_argument_mismatch(name, value, accepted, schema.get("properties", {})) for name, value in arguments.items())
    demanded = (f"missing parameter {name!r}" for name, values in accepted.items() if name not in arguments and "" not in values)
    return next(filter(None, chain(missing, wrong, demanded)), None)


def _argument_mismatch(name: str, value: Any, accepted: Json, properties: Json) -> str | None:
    """The reason against one argument. A parameter that the expected call does not list is refused even if the schema has it."""
    if name not in properties or name not in accepted:
        return f"unexpected parameter {name!r}"
    kind = _kind(properties[name])
    inner = _kind(properties[name]["items"]) if kind is list and "items" in properties[name] else None
    if not _type_fits(value, kind, inner, accepted[name]):
        return f"wrong type for {name!r}: {reprlib.repr(value)}, expected {kind.__name__}{f' of {inner.__name__}' if inner else ''}"
    if not _value_fits(value, kind, inner, accepted[name]):
        return f"wrong value for {name!r}: {reprlib.repr(value)}, expected one of {reprlib.repr(accepted[name])}"
    return None


def _kind(schema: Json) -> type:
    """The Python type of a schema. No type is BFCL's "any", which its checker takes for a string."""
    named = schema.get("type")
    return KINDS.get(named, str) if isinstance(named, str) else str


def _gold_kind(accepted: list[Any]) -> type | None:
    return next((type(value) for value in accepted if value != ""), None)


def _given_kind(value: Any, kind: type) -> type:
    """The type of a value, exactly (a bool is no integer). An integer counts as a float, but not inside an array."""
    return float if kind is float and type(value) is int else type(value)


def _type_fits(value: Any, kind: type, inner: type | None, accepted: list[Any]) -> bool:
    """The type that the schema states, or else that of the first accepted value; for an array also the type of its items."""
    if _given_kind(value, kind) is not kind:
        return type(value) is _gold_kind(accepted)
    return inner is None or any(_items_fit(value, inner, option) for option in accepted)


def _items_fit(items: list[Any], inner: type, option: Any) -> bool:
    return not isinstance(option, list) or all(type(item) in (inner, _gold_kind(option)) for item in items)


def _value_fits(value: Any, kind: type, inner: type | None, accepted: list[Any]) -> bool:
    """Equal to an accepted value. Standardised comparison only where value, schema and accepted values are of one type."""
    gold = _gold_kind(accepted)
    if _given_kind(value, kind) is not kind or gold not in (kind, None):
        return value in accepted
    if kind is dict:
        return any(_dict_fits(value, option) for option in accepted)
    if kind is list and inner is dict:
        return any(_dicts_fit(value, option) for option in accepted)
    if kind is list:
        return _standard_items(value) in [_standard_items(option) for option in accepted if isinstance(option, list | str)]
    return standard(value) in _standard_items(accepted)


def standard(value: Any) -> Any:
    """A string without spaces and ,./-_*^, in lower case and with double quotes; any other value as it is."""
    return IGNORED.sub("", value).lower().replace("'", '"') if isinstance(value, str) else value


def _standard_items(values: Sequence[Any]) -> list[Any]:
    """Each item standardised, one level deep. Of "", the mark of a parameter that may be left out, this makes an empty list."""
    return [standard(value) for value in values]


def _dict_fits(value: Any, option: Any) -> bool:
    """Each key among those of `option` with one of its accepted values, whatever their types; only a key that accepts "" may lack."""
    if not isinstance(value, dict) or not isinstance(option, dict) or not value.keys() <= option.keys():
        return False
    present = all(standard(item) in _standard_items(option[key]) for key, item in value.items())
    return present and all(key in value or "" in accepted for key, accepted in option.items())


def _dicts_fit(values: list[Any], option: Any) -> bool:
    return len(values) == len(option) and all(map(_dict_fits, values, option))


def _difference(arguments: Json, wanted: Json) -> str | None:
    """The first way in which `arguments` do not equal `wanted`, or None."""
    for name in [*wanted, *arguments]:
        if name not in arguments:
            return f"missing parameter {name!r}"
        if name not in wanted:
            return f"unexpected parameter {name!r}"
        if not equal(arguments[name], wanted[name]):
            return f"wrong value for {name!r}: {reprlib.repr(arguments[name])}, expected {reprlib.repr(wanted[name])}"
    return None


def equal(left: Any, right: Any) -> bool:
    """Deep equality of JSON values: 1 equals 1.0, but True does not equal 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)

"""BFCL v4 cases of the single-turn Python categories, live ones too, from the data of the installed `bfcl-eval` package (Apache-2.0).

Format: https://github.com/ShishirPatil/gorilla/tree/main/berkeley-function-call-leaderboard; a question file and, except for
irrelevance and relevance, a `possible_answer` file of the same name, joined by id. A row of relevance is right when anything is called.

simple_java and simple_javascript are left out: a right argument there is source text of those languages, not a JSON value.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from data.contamination import bfcl_folder
from data.errors import UserError
from data.transcript import Json
from eval.case import Case, ExpectedCall

CATEGORIES = (
    "simple_python",
    "multiple",
    "parallel",
    "parallel_multiple",
    "irrelevance",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "live_irrelevance",
    "live_relevance",
)
NO_CALL = frozenset({"irrelevance", "live_irrelevance"})
ANY_CALL = frozenset({"live_relevance"})
JSON_SCHEMA_TYPES = {"dict": "object", "float": "number", "tuple": "array"}

TOKENS_WITHOUT_GOLD = 64
TOKENS_PER_CALL = 80
TOKENS_AROUND_ONE, TOKENS_AROUND_MANY = 16, 32
TOKENS_ANY_CALL = 256  # relevance has no gold to measure; its tools take up to a dozen arguments

Rows = Literal["all", "even", "odd"]
FIRST_AND_STEP = {"all": (0, 1), "even": (0, 2), "odd": (1, 2)}


def load(categories: list[str], limit: dict[str, int] | None = None, rows: Rows = "all") -> list[Case]:
    """The cases of `categories`, at most `limit[category]` of each; `UserError` if the package or a category is not there.

    With `rows`, only those of even or of odd index, so that a recipe can be chosen on one half and reported on the other.
    """
    limit = limit or {}
    folder = data_folder(bfcl_folder())
    for category in [*categories, *limit]:
        if category not in CATEGORIES:
            raise UserError("BFCL category", category, f"one of {', '.join(CATEGORIES)}", "correct the name in the evaluation config")
    return [case for category in categories for case in _category(folder, category, limit.get(category), rows)]


def data_folder(found: Path | None) -> Path:
    """The folder, or `UserError` if the package is not installed."""
    if found is None:
        raise UserError("BFCL data", "bfcl-eval is not installed", "the package with its data folder", "scripts/setup.sh")
    return found


def spaced(total: int, limit: int | None, rows: Rows = "all") -> list[int]:
    """At most `limit` of the indexes below `total`, evenly spaced: BFCL's files go through one topic after another."""
    first, step = FIRST_AND_STEP[rows]
    indexes = range(first, total, step)
    count = len(indexes) if limit is None else min(limit, len(indexes))
    return [indexes[at * len(indexes) // count] for at in range(count)]


def json_schema(schema: Json) -> Json:
    """BFCL's schema as JSON Schema. "any" becomes no type; a tuple becomes an array, which is what BFCL's checker compares too."""
    fields = {key: value for key, value in schema.items() if (key, value) != ("type", "any")}
    if "type" in fields:
        fields["type"] = JSON_SCHEMA_TYPES.get(fields["type"], fields["type"])
    if "properties" in fields:
        fields["properties"] = {name: json_schema(property_) for name, property_ in fields["properties"].items()}
    if "items" in fields:
        fields["items"] = json_schema(fields["items"])
    return fields


def max_new_tokens(expected: tuple[ExpectedCall, ...]) -> int:
    """Room for the calls in tokens: 80 for one, more where its JSON is long (two characters a token is the dense end of BFCL)."""
    if not expected:
        return TOKENS_WITHOUT_GOLD
    sizes = [len(json.dumps({"name": call.name, "arguments": call.example()})) for call in expected]
    around = TOKENS_AROUND_ONE if len(expected) == 1 else TOKENS_AROUND_MANY
    return around + sum(max(TOKENS_PER_CALL, TOKENS_AROUND_ONE + size // 2) for size in sizes)


def _category(folder: Path, category: str, limit: int | None, kept: Rows) -> list[Case]:
    name = f"BFCL_v4_{category}.json"
    rows = _rows(folder / name)
    chosen = [rows[index] for index in spaced(len(rows), limit, kept)]
    if category in NO_CALL | ANY_CALL:
        return [_case(row, category, []) for row in chosen]
    gold = {row["id"]: row["ground_truth"] for row in _rows(folder / "possible_answer" / name)}
    return [_case(row, category, gold[row["id"]]) for row in chosen]


def _case(row: Json, category: str, gold: list[Json]) -> Case:
    """One row: a question of one exchange, its functions, and gold calls of one `{name: {parameter: accepted}}` each."""
    (messages,) = row["question"]
    functions = [{**function, "parameters": json_schema(function["parameters"])} for function in row["function"]]
    expected = tuple(ExpectedCall(name, accepted) for call in gold for name, accepted in call.items())
    return Case(
        id=row["id"],
        suite="bfcl",
        slice=category,
        messages=messages,
        tools=[{"type": "function", "function": function} for function in functions],
        expected=expected,
        max_new_tokens=TOKENS_ANY_CALL if category in ANY_CALL else max_new_tokens(expected),
        meta={"benchmark": "BFCL v4"},
        any_call=category in ANY_CALL,
    )


def _rows(path: Path) -> list[Json]:
    if not path.is_file():
        raise UserError(str(path), "no such file", "a data file of bfcl-eval with BFCL v4", "scripts/setup.sh")
    return [json.loads(line) for line in path.read_text().splitlines()]

"""The matcher's rules one by one, then beside the checker that the `bfcl-eval` package ships."""

import json
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from data.contamination import bfcl_folder
from eval.case import ExpectedCall
from eval.match import call_mismatch, calls_mismatch
from eval.suites.bfcl import json_schema, load

TRIP = {
    "name": "book_trip",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "nights": {"type": "integer"},
            "budget": {"type": "number"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "weights": {"type": "array", "items": {"type": "number"}},
            "guest": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}},
            "stops": {"type": "array", "items": {"type": "object", "properties": {"at": {"type": "string"}}}},
            "note": {"description": "of any type"},
            "insured": {"type": "boolean"},
        },
        "required": ["city"],
    },
}
CITY = {"city": ["New York, NY"]}


def reason(arguments: dict[str, Any], **accepted: list[Any]) -> str:
    """The mismatch of `arguments`, with the required city filled in, or "match"."""
    expected = ExpectedCall("book_trip", {**CITY, **accepted})
    return call_mismatch("book_trip", {"city": "New York, NY", **arguments}, expected, TRIP) or "match"


def exact(arguments: dict[str, Any], wanted: dict[str, Any]) -> str:
    return call_mismatch("f", arguments, ExpectedCall("f", wanted, exact=True), {"name": "f", "parameters": {}}) or "match"


def test_another_name_is_a_wrong_name() -> None:
    mismatch = call_mismatch("book", {"city": "New York, NY"}, ExpectedCall("book_trip", CITY), TRIP)
    assert mismatch == "wrong name: 'book', expected 'book_trip'"


def test_a_required_parameter_may_not_lack_even_if_gold_lets_it() -> None:
    expected = ExpectedCall("book_trip", {"city": ["Rome", ""]})
    assert call_mismatch("book_trip", {}, expected, TRIP) == "missing required parameter 'city'"


def test_a_parameter_that_the_schema_lacks_is_unexpected() -> None:
    assert reason({"pets": 1}, pets=[1]) == "unexpected parameter 'pets'"


def test_a_parameter_that_gold_does_not_list_is_unexpected_though_the_schema_has_it() -> None:
    assert reason({"nights": 3}) == "unexpected parameter 'nights'"


def test_an_optional_parameter_that_gold_demands_may_not_lack() -> None:
    assert reason({}, nights=[3]) == "missing parameter 'nights'"


def test_an_optional_parameter_may_lack_where_gold_holds_the_empty_string() -> None:
    assert reason({}, nights=["", 3]) == "match"


@pytest.mark.parametrize("city", ["new york NY", "NEW-YORK/NY", "N.e_w*Y^ork,,NY"])
def test_strings_are_compared_without_case_spaces_and_punctuation(city: str) -> None:
    assert reason({"city": city}) == "match"


@pytest.mark.parametrize("city", ["New York", "New\tYork, NY", "New York; NY", "New York (NY)"])
def test_other_differences_of_strings_count(city: str) -> None:
    assert reason({"city": city}).startswith("wrong value for 'city'")


def test_single_and_double_quotes_are_the_same() -> None:
    assert reason({"note": "the 'best'"}, note=['the "best"']) == "match"


def test_no_type_means_a_string_or_the_type_of_gold() -> None:
    assert reason({"note": 5}, note=["5"]).startswith("wrong type for 'note'")
    assert reason({"note": 5}, note=[5]) == "match"


def test_an_integer_is_accepted_for_a_float_but_a_float_not_for_an_integer() -> None:
    assert reason({"budget": 5}, budget=[5.0]) == "match"
    assert reason({"nights": 3.0}, nights=[3]).startswith("wrong type for 'nights'")


def test_an_integer_is_not_accepted_for_a_float_inside_an_array() -> None:
    assert reason({"weights": [1.0, 2.5]}, weights=[[1.0, 2.5]]) == "match"
    assert reason({"weights": [1, 2.5]}, weights=[[1.0, 2.5]]).startswith("wrong type for 'weights'")


@pytest.mark.parametrize(("name", "gold"), [("nights", 1), ("budget", 1.0)])
def test_true_is_no_number(name: str, gold: float) -> None:
    assert reason({name: True}, **{name: [gold]}).startswith(f"wrong type for '{name}'")


def test_one_is_not_true() -> None:
    assert reason({"insured": 1}, insured=[True]).startswith("wrong type for 'insured'")


def test_a_number_as_text_is_a_wrong_type() -> None:
    assert reason({"nights": "3"}, nights=[3]).startswith("wrong type for 'nights'")


def test_a_value_of_golds_own_type_is_right_though_the_schema_says_otherwise() -> None:
    assert reason({"nights": "next_week"}, nights=["next_week"]) == "match"
    assert reason({"nights": "Next Week"}, nights=["next_week"]).startswith("wrong value for 'nights'")


def test_strings_are_compared_as_they_are_where_golds_first_value_is_none() -> None:
    assert reason({"note": "red"}, note=[True, "red"]) == "match"
    assert reason({"note": "Red"}, note=[True, "red"]).startswith("wrong value for 'note'")


def test_strings_in_a_list_are_standardised_and_their_order_counts() -> None:
    assert reason({"tags": ["Sea-Side", "old town"]}, tags=[["seaside", "Old Town"]]) == "match"
    assert reason({"tags": ["old town", "seaside"]}, tags=[["seaside", "Old Town"]]).startswith("wrong value for 'tags'")


def test_an_empty_list_stands_for_a_list_that_may_be_left_out() -> None:
    assert reason({"tags": []}, tags=["", ["sea"]]) == "match"
    assert reason({"tags": []}, tags=[["sea"]]).startswith("wrong value for 'tags'")


def test_a_dict_takes_one_accepted_value_for_each_key() -> None:
    gold = [{"name": ["Ann Lee", "A. Lee"], "age": [30, ""]}]
    assert reason({"guest": {"name": "ann lee"}}, guest=gold) == "match"
    assert reason({"guest": {"name": "A Lee", "age": 30}}, guest=gold) == "match"


@pytest.mark.parametrize("guest", [{"name": "Bob", "age": 30}, {"age": 30}, {"name": "Ann", "age": 30, "sex": "f"}, {}])
def test_a_dict_with_a_wrong_a_missing_or_a_further_key_is_wrong(guest: dict[str, Any]) -> None:
    assert reason({"guest": guest}, guest=[{"name": ["Ann"], "age": [30, ""]}]).startswith("wrong value for 'guest'")


def test_a_list_of_dicts_matches_item_by_item_in_order() -> None:
    gold = [[{"at": ["Rome"]}, {"at": ["Bari", "Lecce"]}]]
    assert reason({"stops": [{"at": "rome"}, {"at": "Lecce"}]}, stops=gold) == "match"
    assert reason({"stops": [{"at": "Lecce"}, {"at": "Rome"}]}, stops=gold).startswith("wrong value for 'stops'")
    assert reason({"stops": [{"at": "Rome"}]}, stops=gold).startswith("wrong value for 'stops'")


def test_exact_arguments_compare_strings_as_they_are() -> None:
    assert exact({"path": "a.py"}, {"path": "a.py"}) == "match"
    assert exact({"path": "A.py"}, {"path": "a.py"}) == "wrong value for 'path': 'A.py', expected 'a.py'"


def test_exact_arguments_may_neither_lack_nor_add_one() -> None:
    assert exact({}, {"path": "a"}) == "missing parameter 'path'"
    assert exact({"path": "a", "mode": "w"}, {"path": "a"}) == "unexpected parameter 'mode'"


@pytest.mark.parametrize(("value", "same"), [([{"n": 1.0}], True), ([{"n": True}], False), ([{"n": 1}, 2], False), ({"n": 1}, False)])
def test_exact_equality_is_deep_and_keeps_true_apart_from_one(value: Any, same: bool) -> None:
    assert (exact({"x": value}, {"x": [{"n": 1}]}) == "match") is same


def trip(city: str) -> tuple[str, dict[str, Any]]:
    return "book_trip", {"city": city}


def expect(*cities: str) -> list[ExpectedCall]:
    return [ExpectedCall("book_trip", {"city": [city]}) for city in cities]


def test_the_number_of_calls_must_agree() -> None:
    assert calls_mismatch([trip("Rome")], [], []) == "wrong count: 1 call(s), expected 0"
    assert calls_mismatch([], [], []) is None


def test_parallel_calls_match_in_any_order_unless_order_is_asked_for() -> None:
    calls, expected = [trip("Bari"), trip("Rome")], expect("Rome", "Bari")
    assert calls_mismatch(calls, expected, [TRIP]) is None
    assert calls_mismatch(calls, expected, [TRIP], ordered=True) == "wrong value for 'city': 'Bari', expected one of ['Rome']"


def test_one_call_cannot_answer_two_expected_ones() -> None:
    mismatch = calls_mismatch([trip("Rome"), trip("Pisa")], expect("Rome", "Rome"), [TRIP])
    assert mismatch == "no call fits book_trip({'city': 'Rome'}): wrong value for 'city': 'Pisa', expected one of ['Rome']"


def test_an_expected_call_takes_the_first_call_that_fits_as_bfcl_does() -> None:
    loose = [ExpectedCall("book_trip", {"city": ["Rome", "Bari"]}), *expect("Rome")]
    assert calls_mismatch([trip("Rome"), trip("Bari")], loose, [TRIP]) is not None
    assert calls_mismatch([trip("Bari"), trip("Rome")], loose, [TRIP]) is None


def test_matcher_and_suite_import_without_torch() -> None:
    program = "import sys, eval.match, eval.suites.bfcl; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.fixture(scope="module")
def package() -> Iterator[ModuleType]:
    """The package's checker.

    It looks up one flag of a model in `model_config`, which imports the client library of every provider; a small module that
    holds only that flag stands in for it.
    """
    if bfcl_folder() is None:
        pytest.skip("bfcl-eval is not installed: scripts/setup.sh")
    config = ModuleType("bfcl_eval.constants.model_config")
    config.MODEL_CONFIG_MAPPING = {"any": SimpleNamespace(underscore_to_dot=False)}  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, config.__name__, config)
        checker = pytest.importorskip("bfcl_eval.eval_checker.ast_eval.ast_checker", exc_type=ImportError)
        yield checker
        del sys.modules[checker.__name__]


def package_accepts(package: ModuleType, function: dict[str, Any], arguments: dict[str, Any], accepted: dict[str, Any]) -> bool:
    """The package's verdict on one call. It falls over a list of other things where it expects dicts: no match."""
    name = function["name"]
    try:
        return bool(package.simple_function_checker(function, {name: arguments}, {name: accepted}, package.Language.PYTHON, "any")["valid"])
    except (AttributeError, TypeError):
        return False


def variants(value: Any) -> list[Any]:
    """Values near a right one: other case, spacing, type, length, nesting."""
    near: list[Any] = [value, str(value), [value], {"x": value}, None, True, 0, 1, 1.5, "", [], {}, [[]], [{}]]
    if isinstance(value, str):
        near += [value.upper(), f" {value}.", f"{value}x", value.replace(" ", "\n"), value.replace("'", '"')]
    if isinstance(value, int | float):
        near += [float(value), int(value), value + 1, -value]
    if isinstance(value, list):
        near += [value[::-1], value[:-1], [*value, *value[:1]], list(map(str, value)), [v + 0.0 if type(v) is int else v for v in value]]
        near += [[v.title() if isinstance(v, str) else v for v in value], [variants(v)[-1] for v in value]]
    if isinstance(value, dict):
        near += [{key: item for key, item in value.items() if key != left_out} for left_out in value]
        near += [{**value, key: other} for key, item in value.items() for other in (str(item), [item], True, f"{item} ")]
    return near


def near_calls(arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Calls that differ from a right one in one parameter."""
    yield arguments
    yield {**arguments, "not_a_parameter": 1}
    for name, value in arguments.items():
        yield {key: item for key, item in arguments.items() if key != name}
        yield from ({**arguments, name: other} for other in variants(value))


# A schema in which BFCL's own types meet every form of accepted value, also those that its data hold in a few rows only.
TYPES = ["string", "integer", "float", "boolean", "any", "dict"]
SCHEMAS = [{"type": name} for name in TYPES] + [{"type": outer, "items": {"type": name}} for outer in ("array", "tuple") for name in TYPES]
ACCEPTED: list[list[Any]] = [
    ["red Car", "blue"], ["", "red"], [""], [3, ""], [1], [2.5, 1.0], ["", None], [True], ["", True], [True, "a B"], ["x_y"],
    [[1, 2]], [["", "a B"], ["c"]], ["", [1.5, 2]], [[]], [[], ""], [["a"], ["a", "b"]], [[[1, 2], ["A b"]]],
    [{"k": ["V 1", 2], "m": ["", 5]}], ["", {"k": [1]}], [{"k": [["A", "b"]]}], [[{"k": ["v"]}, {"k": [1, ""]}]], ["", [{"k": [1.0]}]],
]  # fmt: skip


def test_verdicts_are_those_of_the_package_on_made_up_schemas(package: ModuleType) -> None:
    near = [value for gold in ACCEPTED for value in variants(ExpectedCall("f", {"p": gold}).example().get("p", ""))]
    calls = [{}, *({"p": json.loads(text)} for text in sorted(set(map(json.dumps, near))))]
    for schema in SCHEMAS:
        function = {"name": "f", "parameters": {"type": "dict", "properties": {"p": schema}, "required": []}}
        ours = {"name": "f", "parameters": json_schema(function["parameters"])}  # type: ignore[arg-type]
        for accepted in ACCEPTED:
            for arguments in calls:
                mismatch = call_mismatch("f", arguments, ExpectedCall("f", {"p": accepted}), ours)
                theirs = package_accepts(package, function, arguments, {"p": accepted})
                assert (mismatch is None) == theirs, (schema, accepted, arguments, mismatch)


@pytest.mark.parametrize("category", ["simple_python", "multiple", "parallel", "parallel_multiple"])
def test_verdicts_are_those_of_the_package_around_every_gold_call(category: str, package: ModuleType) -> None:
    functions = package_functions(category)
    verdicts = {True: 0, False: 0}
    for case in load([category]):
        ours = {function["name"]: function for function in case.functions}
        for expected in case.expected:
            theirs = functions[case.id, expected.name]
            for arguments in near_calls(expected.example()):
                mismatch = call_mismatch(expected.name, arguments, expected, ours[expected.name])
                accepted = package_accepts(package, theirs, arguments, expected.arguments)
                assert (mismatch is None) == accepted, (case.id, arguments, expected, mismatch)
                verdicts[accepted] += 1
    assert verdicts[True] > 1000
    assert verdicts[False] > 1000


@pytest.mark.parametrize("category", ["parallel", "parallel_multiple"])
def test_verdicts_on_several_calls_are_those_of_the_package(category: str, package: ModuleType) -> None:
    functions = package_functions(category)
    for case in load([category]):
        right = [(call.name, call.example()) for call in case.expected]
        gold = [{call.name: call.arguments} for call in case.expected]
        descriptions = [functions[case.id, function["name"]] for function in case.functions]
        for calls in (right, right[::-1], right[1:], [*right, right[0]], [right[0], *right[:-1]]):
            found = [{name: arguments} for name, arguments in calls]
            theirs = package.parallel_function_checker_no_order(descriptions, found, gold, package.Language.PYTHON, "any")["valid"]
            assert (calls_mismatch(calls, case.expected, case.functions) is None) == theirs, (case.id, calls)


def package_functions(category: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Functions as the package states them, by row id and name."""
    folder = bfcl_folder()
    assert folder is not None
    rows = map(json.loads, (folder / f"BFCL_v4_{category}.json").read_text().splitlines())
    return {(row["id"], function["name"]): function for row in rows for function in row["function"]}

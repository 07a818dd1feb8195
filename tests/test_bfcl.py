"""The BFCL suite: cases as the package's data state them, in our form."""

import json
from pathlib import Path

import jsonschema
import pytest

from data.contamination import bfcl_folder
from data.errors import UserError
from data.transcript import Tool
from eval.case import Case, ExpectedCall
from eval.match import calls_mismatch
from eval.suites.bfcl import ANY_CALL, CATEGORIES, NO_CALL, data_folder, json_schema, load, max_new_tokens, spaced

installed = pytest.mark.skipif(bfcl_folder() is None, reason="bfcl-eval is not installed: scripts/setup.sh")
CALLING = [category for category in CATEGORIES if category not in NO_CALL | ANY_CALL]
# Their gold accepts nothing for a parameter that must be given, so no call is right
UNANSWERABLE = {
    "live_simple_106-63-0",
    "live_simple_112-68-0",
    "live_multiple_507-149-4",
    "live_multiple_862-181-3",
    "live_multiple_964-207-0",
}
COUNTS = {
    "simple_python": 400,
    "multiple": 200,
    "parallel": 200,
    "parallel_multiple": 200,
    "irrelevance": 240,
    "live_simple": 258,
    "live_multiple": 1053,
    "live_parallel": 16,
    "live_parallel_multiple": 24,
    "live_irrelevance": 884,
    "live_relevance": 16,
}


def right_calls(case: Case) -> list[tuple[str, dict]]:
    """A call for each expected one, of first acceptable values. Two gold calls accept a parameter that their schema lacks."""
    known = {function["name"]: function["parameters"]["properties"] for function in case.functions}
    return [(call.name, {k: v for k, v in call.example().items() if k in known[call.name]}) for call in case.expected]


@installed
@pytest.mark.parametrize(("category", "count"), COUNTS.items())
def test_every_row_becomes_a_case_of_its_slice(category: str, count: int) -> None:
    cases = load([category])
    assert len({case.id for case in cases}) == count
    assert {(case.suite, case.slice) for case in cases} == {("bfcl", category)}


@installed
@pytest.mark.parametrize("category", CALLING)
def test_every_gold_answer_that_can_be_given_matches_itself(category: str) -> None:
    for case in load([category]):
        unmatched = case.id in UNANSWERABLE
        assert (calls_mismatch(right_calls(case), case.expected, case.functions, ordered=True) is not None) == unmatched, case.id
        assert (calls_mismatch(right_calls(case), case.expected, case.functions) is not None) == unmatched, case.id


@installed
def test_gold_answers_match_in_reverse_order_but_for_the_row_whose_gold_calls_overlap() -> None:
    """The first gold call of parallel_178 accepts Apple too and takes the call that a later one needs; the package does the same."""
    cases = load(["parallel", "parallel_multiple"])
    wrong = [case.id for case in cases if calls_mismatch(right_calls(case)[::-1], case.expected, case.functions)]
    assert wrong == ["parallel_178"]


@installed
@pytest.mark.parametrize("category", CALLING)
def test_a_gold_answer_with_a_call_too_few_or_too_many_does_not_match(category: str) -> None:
    for case in load([category], {category: 40}):
        calls = right_calls(case)
        assert calls_mismatch(calls[1:], case.expected, case.functions) is not None
        assert calls_mismatch([*calls, calls[0]], case.expected, case.functions) is not None


@installed
def test_irrelevance_expects_no_call_relevance_any_and_the_others_their_own() -> None:
    assert all(case.expects_no_call for case in load(sorted(NO_CALL)))
    assert all(case.any_call and case.expects_call and not case.expected for case in load(sorted(ANY_CALL)))
    assert all(case.expected for case in load(CALLING))


@installed
def test_tools_are_tools_of_ours_with_a_valid_json_schema() -> None:
    for case in load(list(CATEGORIES), dict.fromkeys(CATEGORIES, 40)):
        for tool in case.tools:
            jsonschema.Draft202012Validator.check_schema(Tool.model_validate(tool).function.parameters)


@installed
def test_a_gold_answer_of_the_declared_types_satisfies_the_converted_schema() -> None:
    """All but the few whose gold has another type than the function declares; live rows have more of those."""
    curated = [category for category in CALLING if not category.startswith("live_")]
    pairs = [(call, case) for case in load(curated) for call in right_calls(case)]
    good = [is_valid(arguments, next(f for f in case.functions if f["name"] == name)) for (name, arguments), case in pairs]
    assert sum(good) / len(good) > 0.97


def is_valid(arguments: dict, function: dict) -> bool:
    return jsonschema.Draft202012Validator(function["parameters"]).is_valid(arguments)


@installed
def test_a_limit_takes_the_same_rows_from_all_over_the_file() -> None:
    everything = [case.id for case in load(["simple_python"])]
    some = [case.id for case in load(["simple_python"], {"simple_python": 40})]
    assert some == [case.id for case in load(["simple_python"], {"simple_python": 40})]
    assert [everything.index(name) // 10 for name in some] == list(range(40))


@installed
def test_a_case_survives_json() -> None:
    for case in load(list(CATEGORIES), dict.fromkeys(CATEGORIES, 20)):
        assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case


@pytest.mark.parametrize(("total", "limit", "indexes"), [(10, 3, [0, 3, 6]), (3, 9, [0, 1, 2]), (2, None, [0, 1]), (5, 0, []), (0, 2, [])])
def test_spaced_indexes(total: int, limit: int | None, indexes: list[int]) -> None:
    assert spaced(total, limit) == indexes


def test_types_are_converted_at_every_depth_and_a_parameter_called_type_is_none_of_them() -> None:
    point = {"type": "tuple", "items": {"type": "float"}}
    schema = {"type": "dict", "properties": {"type": {"type": "any"}, "at": point, "in": {"type": "dict", "properties": {"x": point}}}}
    converted = {"type": "array", "items": {"type": "number"}}
    assert json_schema(schema) == {
        "type": "object",
        "properties": {"type": {}, "at": converted, "in": {"type": "object", "properties": {"x": converted}}},
    }


def test_conversion_leaves_its_argument_and_other_keywords_alone() -> None:
    schema = {"type": "float", "description": "m", "default": 1.0, "enum": [1.0, 2.0]}
    assert json_schema(schema) == {**schema, "type": "number"}
    assert schema["type"] == "float"


def test_room_for_tokens_grows_with_the_calls_and_with_a_long_call() -> None:
    short, long = ExpectedCall("f", {"x": [1]}), ExpectedCall("f", {"x": ["y" * 400]})
    assert [max_new_tokens((short,) * n) for n in (0, 1, 2, 4)] == [64, 96, 192, 352]
    assert max_new_tokens((long,)) > 200


def test_an_example_takes_first_values_and_leaves_out_what_has_none() -> None:
    gold = {"a": ["", 2, 3], "b": [""], "c": [{"k": ["", "v"], "m": [""]}], "d": [[{"k": [1, 2]}]], "e": [["x", "y"]]}
    assert ExpectedCall("f", gold).example() == {"a": 2, "c": {"k": "v"}, "d": [{"k": 1}], "e": ["x", "y"]}


def test_a_case_that_expects_a_tool_it_does_not_offer_is_refused() -> None:
    with pytest.raises(ValueError, match="expects a call of f; its tools are none"):
        Case("1", "native", "x", [], [], (ExpectedCall("f", {}),), 8)


@pytest.mark.parametrize(("categories", "limit"), [(["simple"], {}), ([], {"simple": 3})])
@installed
def test_an_unknown_category_names_the_known_ones(categories: list[str], limit: dict[str, int]) -> None:
    with pytest.raises(UserError, match="one of simple_python, multiple"):
        load(categories, limit)


def test_without_the_package_the_remedy_is_named(tmp_path: Path) -> None:
    assert data_folder(tmp_path) == tmp_path
    with pytest.raises(UserError, match=r"scripts/setup\.sh"):
        data_folder(None)

"""An evaluation item: what the model is asked, with which tools, and which calls are right."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from data.transcript import Json


@dataclass(frozen=True)
class ExpectedCall:
    """One call that is right.

    `arguments` maps each parameter to the list of its acceptable values, as BFCL's `possible_answer` files do: "" in the list
    means that the parameter may be left out, and a dict among the values holds such lists itself. With `exact`, `arguments` is
    instead the one dict that a call must equal.
    """

    name: str
    arguments: Json
    exact: bool = False

    def example(self) -> Json:
        """Arguments that are right: the first acceptable value of each parameter that has one."""
        if self.exact:
            return self.arguments
        return {name: _plain(value) for name, value in _first_values(self.arguments).items()}


def _first_values(accepted: Json) -> Json:
    given = {name: [value for value in values if value != ""] for name, values in accepted.items()}
    return {name: values[0] for name, values in given.items() if values}


def _plain(value: Any) -> Any:
    """An acceptable value as a model would write it. Only its outermost dicts hold lists of acceptable values, as BFCL reads them."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _first_values(value) if isinstance(value, dict) else value


@dataclass(frozen=True)
class Case:
    """One request with its tools (OpenAI form, `{"type": "function", "function": {…}}`) and the calls that answer it.

    `suite` says where the case is from, `slice` what is counted apart within the suite. An empty `expected` means that the right
    answer calls nothing. Raises `ValueError` where an expected call names a tool that is not offered.
    """

    id: str
    suite: str
    slice: str
    messages: list[Json]
    tools: list[Json]
    expected: tuple[ExpectedCall, ...]
    max_new_tokens: int
    meta: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        offered = [function["name"] for function in self.functions]
        for call in self.expected:
            if call.name not in offered:
                raise ValueError(f"case {self.id} expects a call of {call.name}; its tools are {', '.join(offered) or 'none'}")

    @property
    def expects_call(self) -> bool:
        return bool(self.expected)

    @property
    def functions(self) -> list[Json]:
        """The tools without their wrapping: dicts of name, description and parameters."""
        return [tool["function"] for tool in self.tools]

    def to_json(self) -> Json:
        """The case as one JSON object."""
        return {**asdict(self), "expected": [asdict(call) for call in self.expected]}

    @classmethod
    def from_json(cls, row: Json) -> Case:
        """The inverse of `to_json`; an unknown or missing field raises `TypeError`."""
        return cls(**{**row, "expected": tuple(ExpectedCall(**call) for call in row["expected"])})

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
    """An acceptable value as a model writes it. Only its outermost dicts hold lists of acceptable values; BFCL reads inner ones as is."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _first_values(value) if isinstance(value, dict) else value


@dataclass(frozen=True)
class Case:
    """One request with its tools (OpenAI form, `{"type": "function", "function": {…}}`) and what is known of the right answer.

    `suite` says where the case is from, `slice` what is counted apart within the suite. What is right is one of four things:

    * the calls in `expected`;
    * `any_call`: some call of an offered tool, whichever (BFCL's relevance);
    * `unjudged`: nobody said what is right, so that only the emission counts (traffic that no one vouched for);
    * none of them: to call nothing, and with `asks` to ask for what the request lacks.

    Raises `ValueError` where two of them are claimed, or a call is wanted of a tool that is not offered.
    """

    id: str
    suite: str
    slice: str
    messages: list[Json]
    tools: list[Json]
    expected: tuple[ExpectedCall, ...]
    max_new_tokens: int
    meta: Json = field(default_factory=dict)
    any_call: bool = False
    asks: bool = False
    unjudged: bool = False

    def __post_init__(self) -> None:
        offered = [function["name"] for function in self.functions]
        for call in self.expected:
            if call.name not in offered:
                raise ValueError(f"case {self.id} expects a call of {call.name}; its tools are {', '.join(offered) or 'none'}")
        if self.any_call and not offered:
            raise ValueError(f"case {self.id} expects some call; it offers no tool")
        if sum((bool(self.expected), self.any_call, self.asks, self.unjudged)) > 1:
            raise ValueError(f"case {self.id} claims more than one of expected calls, any_call, asks and unjudged")

    @property
    def expects_call(self) -> bool:
        """Whether the right answer calls, these calls or any."""
        return bool(self.expected) or self.any_call

    @property
    def expects_no_call(self) -> bool:
        """Whether the right answer calls nothing. Not the opposite of `expects_call`: of an unjudged case neither is known."""
        return not self.expects_call and not self.unjudged

    @property
    def functions(self) -> list[Json]:
        """The tools without their wrapping: dicts of name, description and parameters."""
        return [tool["function"] for tool in self.tools]

    @property
    def cluster(self) -> str:
        """What cases have in common that are no independent draws: the tools expected, or else those offered, or else nothing."""
        names = {call.name for call in self.expected} or {function["name"] for function in self.functions}
        return ",".join(sorted(names)) or self.id

    def to_json(self) -> Json:
        """The case as one JSON object."""
        return {**asdict(self), "expected": [asdict(call) for call in self.expected]}

    @classmethod
    def from_json(cls, row: Json) -> Case:
        """The inverse of `to_json`, also of rows that lack the fields with a default; an unknown field raises `TypeError`."""
        return cls(**{**row, "expected": tuple(ExpectedCall(**call) for call in row["expected"])})

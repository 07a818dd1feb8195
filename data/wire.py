"""How a call looks as tokens, and the ids of those tokens in a given tokenizer.

This module and `templates/` are the only places that spell a wire token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from data.errors import UserError


class WireTokenError(UserError):
    """A wire token that is not exactly one id."""


@dataclass(frozen=True)
class WireFormat:
    """The texts that frame turns, calls, results and reasoning, and how a call's body is spelled; see `data/templates/README.md`.

    `signature` holds texts of which a chat template that writes this format contains every one.
    """

    name: str
    signature: tuple[str, ...]
    turn_open: str
    turn_close: str
    call_open: str
    call_close: str
    result_open: str
    result_close: str
    think_open: str
    think_close: str
    body: Literal["json", "tagged"] = "json"

    @property
    def required(self) -> tuple[str, ...]:
        """Texts that must each be one id before a model can be trained or measured: those that a model emits, and the turn's opening."""
        return (self.turn_open, self.turn_close, self.call_open, self.call_close)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every wire token."""
        return (*self.required, self.result_open, self.result_close, self.think_open, self.think_close)


HERMES = WireFormat(
    name="hermes_json",
    signature=("<|im_start|>", "<tool_call>"),
    turn_open="<|im_start|>",
    turn_close="<|im_end|>",
    call_open="<tool_call>",
    call_close="</tool_call>",
    result_open="<tool_response>",
    result_close="</tool_response>",
    think_open="<think>",
    think_close="</think>",
)

# Qwen3-Coder, Qwen3.5: <function=…> and <parameter=…> between the same tokens
TAGGED = replace(HERMES, name="tagged_parameters", signature=(*HERMES.signature, "<function=", "<parameter="), body="tagged")

ESCAPES = {r"\n": "\n", r"\"": '"', r"\\": "\\"}  # in a JSON call's body, those that copied text needs most: what each stands for
BRACKETS = ("{", " {", "}", "[", " [", "]")  # there too: how many close at an end is told one by one

FORMATS = (TAGGED, HERMES)  # a format whose signature contains another's stands before it


def detect(template: str) -> WireFormat | None:
    """The wire format that a chat template writes, by its signature; None for a template of another family, or without calls."""
    return next((form for form in FORMATS if all(text in template for text in form.signature)), None)


@dataclass(frozen=True)
class WireIds:
    """Token ids of a wire format in one tokenizer; `result_*` and `think_*` are None where the tokenizer has no such token."""

    form: WireFormat
    turn_open: int
    turn_close: int
    call_open: int
    call_close: int
    result_open: int | None
    result_close: int | None
    think_open: int | None
    think_close: int | None

    def as_dict(self) -> dict[str, Any]:
        """The format's name and the ids, for a manifest."""
        return {**vars(self), "form": self.form.name}


def single_id(tokenizer: Any, text: str) -> int | None:
    """The id of `text` if the tokenizer encodes it as exactly one token, else None."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    return ids[0] if len(ids) == 1 and tokenizer.decode(ids) == text else None


def missing_tokens(tokenizer: Any, wire: WireFormat = HERMES) -> list[str]:
    """Required wire tokens that the tokenizer does not hold as one id."""
    return [text for text in wire.required if single_id(tokenizer, text) is None]


def form_of(tokenizer: Any) -> WireFormat:
    """The wire format of a tokenizer's chat template; Hermes JSON where the template shows none."""
    template = getattr(tokenizer, "chat_template", None)
    return (detect(template) if isinstance(template, str) else None) or HERMES


def read_ids(tokenizer: Any, wire: WireFormat | None = None) -> WireIds:
    """Read the ids of `wire`, or of the format of the tokenizer's template; raise `WireTokenError` naming tokenizer, token and remedy."""
    wire = wire or form_of(tokenizer)
    for text in missing_tokens(tokenizer, wire):
        ids = tokenizer.encode(text, add_special_tokens=False)
        raise WireTokenError(
            str(tokenizer.name_or_path),
            f"wire token {text!r} of {wire.name} is {len(ids)} ids: {ids}",
            "each wire token is one id",
            "python -m train.base --name MODEL --out DIR adds the tokens to a model; use DIR",
        )

    def required(text: str) -> int:
        return tokenizer.encode(text, add_special_tokens=False)[0]

    return WireIds(
        form=wire,
        turn_open=required(wire.turn_open),
        turn_close=required(wire.turn_close),
        call_open=required(wire.call_open),
        call_close=required(wire.call_close),
        result_open=single_id(tokenizer, wire.result_open),
        result_close=single_id(tokenizer, wire.result_close),
        think_open=single_id(tokenizer, wire.think_open),
        think_close=single_id(tokenizer, wire.think_close),
    )

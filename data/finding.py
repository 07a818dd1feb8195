"""What an audit says of one property of a template, and what it is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from data.probe import TOKEN, Probe


class Status(StrEnum):
    YES = "yes"
    NO = "no"
    NOT_APPLICABLE = "n/a"


class Finding(NamedTuple):
    status: Status
    detail: str = ""


@dataclass(frozen=True)
class Subject:
    """A template, and the tokenizer that it came with, if it did not come alone."""

    name: str
    probe: Probe
    tokenizer: PreTrainedTokenizerBase | None = None

    @property
    def template(self) -> str:
        return self.probe.template


def yes(detail: str = "") -> Finding:
    return Finding(Status.YES, detail)


def no(detail: str) -> Finding:
    return Finding(Status.NO, detail)


def not_applicable(detail: str) -> Finding:
    return Finding(Status.NOT_APPLICABLE, detail)


def after(text: str, mark: str) -> str:
    return text.split(mark, 1)[1] if mark in text else ""


def first_token(text: str) -> str | None:
    found = TOKEN.search(text)
    return found[0] if found else None

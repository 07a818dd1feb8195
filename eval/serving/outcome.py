"""What a check of a server found. Pure; no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from data.errors import UserError


class Status(StrEnum):
    OK = "ok"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"  # the server says that it does not do this
    STATED = "stated"  # a figure of the model or a known limit: nothing of the server fails by it


@dataclass(frozen=True)
class Failure:
    """One thing that is wrong: where, what was found, what was expected, and what to do about it.

    `by_model`: the model's output is at fault. It is shown and not counted as right, but the server does not fail by it.
    """

    place: str
    found: str
    expected: str
    remedy: str
    by_model: bool = False

    @classmethod
    def of(cls, error: UserError) -> Failure:
        return cls(error.place, error.found, error.expected, error.remedy)


@dataclass
class Outcome:
    """One check: `right` of `total` things were as expected. `note` says in words what was run, or why it was not."""

    name: str
    right: int = 0
    total: int = 0
    failures: list[Failure] = field(default_factory=list)
    note: str = ""
    stated: Status | None = None

    @property
    def status(self) -> Status:
        """A check that looked at nothing has failed, unless it states why."""
        if self.failures:
            return Status.STATED if all(failure.by_model for failure in self.failures) else Status.FAILED
        return self.stated or (Status.OK if self.total else Status.FAILED)

    def count(self, failure: Failure | None) -> None:
        """Add one thing that was looked at."""
        self.total += 1
        if failure is None:
            self.right += 1
        else:
            self.failures.append(failure)

    def to_json(self) -> dict[str, Any]:
        """The outcome as `serving.json` holds it."""
        return {
            "check": self.name,
            "status": self.status.value,
            "right": self.right,
            "total": self.total,
            "note": self.note,
            "failures": [vars(failure) for failure in self.failures],
        }

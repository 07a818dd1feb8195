"""Errors a user can act on: place, found, expected, remedy, on one screen, with exit status 1."""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can put right."""

    def __init__(self, place: str, found: str, expected: str, remedy: str) -> None:
        self.place, self.found, self.expected, self.remedy = place, found, expected, remedy
        super().__init__(f"{place}\n  found:    {found}\n  expected: {expected}\n  remedy:   {remedy}")


def disk_is_full(error: Exception) -> bool:
    """Whether a write failed for want of space; safetensors and torch say so in words of their own, not with an `OSError`.

    torch's archive writer says that a write failed, or that the file is shorter than what it wrote; its reader never says either.
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC
    return any(words in str(error) for words in ("No space left on device", "PytorchStreamWriter failed writing", ". unexpected pos "))


def reported(main: Callable[[], int]) -> Callable[[], int]:
    """Run a command's `main`; print a `UserError`, a full disk or Ctrl-C as a short message instead of a traceback."""

    @functools.wraps(main)
    def run() -> int:
        try:
            return main()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\ninterrupted; run the same command again to resume", file=sys.stderr)
            return 130
        except Exception as error:  # the one boundary of the commands
            if not disk_is_full(error):
                raise
            place = str(getattr(error, "filename", None) or "output folder")
            told = UserError(place, "no space left on device", "room for what the command writes", "free some space, then run it again")
            print(f"error: {told}", file=sys.stderr)
            return 1

    return run

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


def reported(main: Callable[[], int]) -> Callable[[], int]:
    """Run a command's `main`; print a `UserError`, a full disk or Ctrl-C as a short message instead of a traceback."""

    @functools.wraps(main)
    def run() -> int:
        try:
            return main()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            print(
                f"error: {error.filename or 'output folder'}\n  found:    no space left on device\n  remedy:   free some and run again",
                file=sys.stderr,
            )
            return 1
        except KeyboardInterrupt:
            print("\ninterrupted; run the same command again to resume", file=sys.stderr)
            return 130

    return run

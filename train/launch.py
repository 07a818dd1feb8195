"""`accelerate launch` for several processes without the launcher's own traceback: `python -m train.launch [OPTIONS] train/sft.py …`

A trainer that fails or is interrupted says why. With several, torch's launcher follows it with a page of its own, which pushes that off
the screen; here only the exit status is passed on.
"""

from __future__ import annotations

import sys

from accelerate.commands import launch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main() -> int:
    try:
        launch.main()
    except SignalException as interrupted:
        return 128 + int(interrupted.sigval)
    except ChildFailedError as failed:
        _, failure = failed.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode  # negative: killed by that signal
    return 0


if __name__ == "__main__":
    sys.exit(main())

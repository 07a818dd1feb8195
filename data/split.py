"""Who is held out. A name is in the validation split by its hash alone, so the split is the same in every build and every suite."""

from __future__ import annotations

import hashlib
from typing import Literal

Split = Literal["train", "validation"]
HELD_OUT_PERCENT = 15


def split_of(identity: str) -> Split:
    """The split of a tool, request template or file, by its name or text."""
    bucket = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:4], "big") % 100
    return "validation" if bucket < HELD_OUT_PERCENT else "train"

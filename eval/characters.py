"""A vocabulary of one id per character and one per wire token: labelled text becomes ids without a tokenizer. Pure; no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence

from data.wire import HERMES, WireIds

TOKENS = ("turn_open", "turn_close", "call_open", "call_close", "result_open", "result_close", "think_open", "think_close")
FIRST = 0x110000  # the first number that is no character
IDS = {name: FIRST + index for index, name in enumerate(TOKENS)}
TEXTS = {number: getattr(HERMES, name) for name, number in IDS.items()}
WIRE = WireIds(form=HERMES, **IDS)
MARK = re.compile(rf"\{{(typed:)?({'|'.join(TOKENS)})\}}")


class Characters:
    """What `data.response` needs of a tokenizer."""

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return "".join(TEXTS.get(token) or chr(token) for token in ids)


def ids_of(marked: str) -> list[int]:
    """Ids of a text in which `{call_open}` stands for the wire token's own id, and `{typed:call_open}` for its text in other ids."""
    ids: list[int] = []
    at = 0
    for mark in MARK.finditer(marked):
        ids += map(ord, marked[at : mark.start()])
        ids += map(ord, getattr(HERMES, mark[2])) if mark[1] else [IDS[mark[2]]]
        at = mark.end()
    return ids + [ord(char) for char in marked[at:]]

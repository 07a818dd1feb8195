"""Splits a text into prose and fenced blocks, as CommonMark fences them (https://spec.commonmark.org/0.31.2/#fenced-code-blocks).

Unlike there, a fence may stand at any indentation, because models fence within lists; a block that is never closed ends with the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

OPENING = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([^\s`]*)[^`\n]*$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: the language of its opening line in lower case ("" for none), its text, and the prose right before it."""

    language: str
    body: str
    lead: str


class Layout(NamedTuple):
    """The text outside fences, one line break in the place of each block, and the blocks that are not blank."""

    prose: str
    blocks: tuple[Block, ...]


def layout(text: str) -> Layout:
    """Split `text`; linear in its length."""
    prose: list[str] = []
    blocks: list[Block] = []
    at = 0
    while opening := OPENING.search(text, at):
        prose.append(text[at : opening.start()])
        fence = opening[1]
        closing = _closing(fence).search(text, opening.end())
        body = text[opening.end() : closing.start() if closing else len(text)].strip("\n")
        if body.strip():
            blocks.append(Block(opening[2].lower(), body, prose[-1]))
        at = closing.end() if closing else len(text)
    prose.append(text[at:])
    return Layout("\n".join(prose), tuple(blocks))


def _closing(fence: str) -> re.Pattern[str]:
    """A line that closes `fence`: as many of its marks or more, and whatever a model puts after them, `<end_code>` for one."""
    return re.compile(rf"^[ \t]*{fence[0]}{{{len(fence)},}}[ \t]*(?:<\w+>)?[ \t]*$", re.MULTILINE)

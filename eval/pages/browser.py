"""What the page's browser of cases embeds: every case with its completions, token texts and tools stored once. Pure; no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from data.transcript import Json
from data.wire import FORMATS
from eval.completion import Key
from eval.emission import CODE
from eval.pages.families import FAMILY_OF
from eval.pages.summary import Run, slice_of
from eval.rows import Row
from eval.verdict import RIGHT, Verdict

CALL_TEXTS = sorted({text for form in FORMATS for text in (form.call_open, form.call_close)})
WIRE_TEXTS = sorted({text for form in FORMATS for text in form.texts})


def wire_ids_of(rows: Sequence[Row]) -> dict[int, str]:
    """Ids that are wire tokens: those whose own text is one. A typed look-alike is made of several ids, none of which has that text."""
    found, wire_texts = {}, frozenset(WIRE_TEXTS)
    for row in rows:
        found.update({token: text for token, text in zip(row.completion.ids or [], row.tokens, strict=False) if text in wire_texts})
    return found


class Interned:
    """Values stored once, each known by its index."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._index: dict[Any, int] = {}

    def __call__(self, value: Any) -> int:
        if value not in self._index:
            self._index[value] = len(self.values)
            self.values.append(value)
        return self._index[value]


def browser_data(runs: Sequence[Run], wire_ids: Mapping[int, str]) -> Json:
    """The embedded JSON: `items` in the last run's order, then those that only the first holds; `sides` in the order of `runs`."""
    vocabulary, tools = Interned(), Interned()
    by_key = [{row.completion.key: row for row in run.rows} for run in runs]
    keys = list(dict.fromkeys(key for rows in reversed(by_key) for key in rows))
    return {
        "runs": [run.name for run in runs],
        "items": [_item([rows.get(key) for rows in by_key], vocabulary, tools) for key in keys],
        "vocabulary": vocabulary.values,
        "tools": tools.values,
        "families": {emission.value: family for emission, family in FAMILY_OF.items()},
        "wire": {str(token): text for token, text in wire_ids.items()},
        "wire_texts": WIRE_TEXTS,
        "call_texts": CALL_TEXTS,
        "first": _telling(by_key, keys),
    }


def _item(sides: Sequence[Row | None], vocabulary: Interned, tools: Interned) -> Json:
    row = next(row for row in reversed(sides) if row is not None)
    case = row.case
    return {
        "id": case.id,
        "repeat": row.completion.repeat,
        "slice": slice_of(row),
        "messages": [[str(message.get("role", "")), _content(message)] for message in case.messages],
        "names": [function["name"] for function in case.functions],
        "tools": tools(pretty(case.functions)),
        "needs_call": case.expects_call,
        "expected": "\n".join(pretty({"name": call.name, "arguments": call.example()}) for call in case.expected),
        "sides": [side and _side(side, vocabulary) for side in sides],
    }


def _side(row: Row, vocabulary: Interned) -> Json:
    completion = row.completion
    return {
        "emission": row.judged.emission.value,
        "verdict": row.judged.verdict.value if row.judged.verdict else "not judged" if row.counted else "not counted",
        "right": row.judged.verdict in RIGHT,
        "why": "; ".join(filter(None, (row.judged.why, row.judged.mismatch))),
        "tokens": [vocabulary(pair) for pair in zip(completion.ids or [], row.tokens, strict=False)],
        "logprobs": [round(value, 3) if math.isfinite(value) else None for value in completion.logprobs or []],
        "text": row.content if not row.tokens or any("\ufffd" in token for token in row.tokens) else "",
        "calls": "\n".join(map(pretty, row.calls)),
        "malformed": [[block["defect"], block["text"]] for block in row.malformed],
        "readings": pretty(row.readings) if row.readings else "",
        "finish": completion.finish,
        "seconds": round(completion.seconds, 2),
        "prompt_tokens": completion.prompt_tokens,
    }


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _content(message: Json) -> str:
    """A message's text; what is not plain text (content parts, calls) as JSON."""
    content = message.get("content")
    if isinstance(content, str) and not message.get("tool_calls"):
        return content
    return pretty({name: value for name, value in message.items() if name != "role"})


def _telling(by_key: Sequence[Mapping[Key, Row]], keys: Sequence[Key]) -> int:
    """Which item the browser opens with: the shortest request that went from a code dump to the right call, else the first item."""
    before, after = by_key[0], by_key[-1]
    turned = [
        (len(str(row.case.messages[-1].get("content"))), index)
        for index, key in enumerate(keys)
        if (row := after.get(key)) and row.judged.verdict is Verdict.RIGHT_CALL and key in before and before[key].judged.emission in CODE
    ]
    return min(turned, default=(0, 0))[1]

"""One completion, read strictly, against its case: its emission class and its verdict. Pure; no torch.

Ids decide first: a wire id that was generated makes a native class, whatever text stands around it, a code fence included. Only where none
was is the text looked at, in this order: typed call, `<code>` mode, JSON call, Python call and program text, and prose by its sentences.
"""

from __future__ import annotations

from data.response import Defect, Response
from eval.asked import Asked, asked_of
from eval.case import Case
from eval.code import code_mode, code_of
from eval.completion import Completion
from eval.contents import holds_content
from eval.emission import UNCOUNTED, Emission
from eval.fences import Layout, layout
from eval.sentences import judge_prose
from eval.spelled_call import explains_format, json_call, shows_call, typed_call
from eval.verdict import Judged, verdict_of

HEAD, TAIL = 12_000, 4_000  # characters
BROKEN = {
    Defect.PYTHON_LITERAL: Emission.NATIVE_PYTHON,
    Defect.UNCLOSED: Emission.NATIVE_UNCLOSED,
    Defect.TRUNCATED: Emission.NATIVE_TRUNCATED,
}


def judge(case: Case, completion: Completion, response: Response) -> Judged:
    """Classify one completion, given its strict reading."""
    emission, why = emission_of(completion, response, asked_of(case))
    if emission in UNCOUNTED:
        return Judged(emission, None, why)
    if case.unjudged:
        return Judged(emission, None, why, "nobody said what is right")
    verdict, mismatch = verdict_of(case, emission, response)
    return Judged(emission, verdict, why, mismatch)


def emission_of(completion: Completion, response: Response, asked: Asked) -> tuple[Emission, str]:
    """What the completion is, and why, by ids first and by text only where no wire id was generated."""
    if completion.finish == "error":
        return Emission.ERROR, completion.error or "no completion"
    if completion.ids is None:
        return Emission.UNMEASURABLE, "the server gave no token ids"
    if response.calls:
        return Emission.NATIVE_CALL, "a well-formed call between the wire format's own ids"
    if response.malformed:
        defect = response.malformed[0].defect
        return BROKEN.get(defect, Emission.NATIVE_MALFORMED), f"native ids around a block that is {defect}"
    return emission_of_text(response.content, response.reasoning, asked)


def emission_of_text(text: str, reasoning: str | None, asked: Asked) -> tuple[Emission, str]:
    """What a completion without any native block is. Never raises.

    Of a text over `HEAD + TAIL` characters only both ends are read, but typed tags are looked for everywhere.
    """
    if reason := typed_call(text, asked):
        return Emission.TYPED_CALL, reason
    text = text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"
    parts = without_examples(layout(text), asked)
    if not parts.prose.strip() and not parts.blocks:
        return (Emission.REASONING_ONLY, "nothing after the reasoning") if reasoning else (Emission.EMPTY, "nothing but white space")
    return json_or_content(text, parts, asked) or code_of(text, parts, asked) or judge_prose(parts.prose, asked)


def without_examples(parts: Layout, asked: Asked) -> Layout:
    """Leave out the blocks that show a call in a text about its format."""
    kept = (block for block in parts.blocks if not (explains_format(block.lead) and shows_call(block.body, asked)))
    return Layout(parts.prose, tuple(kept))


def json_or_content(text: str, parts: Layout, asked: Asked) -> tuple[Emission, str] | None:
    """A call as JSON, or an argument of one written out, in text that is no `<code>` mode; None for any other text."""
    if code_mode(text, parts, asked):
        return None
    for block in parts.blocks:
        if reason := json_call(block.body, asked):
            return Emission.JSON_IN_FENCE, reason
    if reason := json_call(parts.prose, asked):
        return Emission.JSON_IN_TEXT, reason
    reason = holds_content(parts, asked)
    return (Emission.CODE_DUMP, reason) if reason else None

"""Whether a server read a completion as its ids say. Pure; no torch."""

from __future__ import annotations

import json
from enum import StrEnum

from data.response import Call, Response
from data.wire import HERMES
from eval.serving.outcome import Failure
from eval.serving.reply import Reply, ServedCall


class Disagreement(StrEnum):
    """What a server's parser did to a completion."""

    LOST = "lost a call"
    CUT = "cut a call at a closing token inside a string"
    REPAIRED = "made a call of a malformed one"
    SALVAGED = "gave a call that the model did not emit"
    NOT_JSON = "gave arguments that are not JSON"
    CHANGED = "changed a call"
    CONTENT = "moved or changed the content"
    REASONING = "moved or changed the reasoning"
    NO_IDS = "gave no ids, or not all"


REMEDIES = {
    Disagreement.LOST: "start the server with the flags of the model's serve.json (--tool-call-parser hf); other parsers lose this call",
    Disagreement.CUT: "no flag changes it: vLLM's parsers end a call at the first closing token; train the model further, or ask again",
    Disagreement.REPAIRED: "no flag changes it: the parser takes JSON that strict readers refuse; train the model further",
    Disagreement.SALVAGED: "use a parser that reads the wire tokens (--tool-call-parser hf): this one builds calls from text",
    Disagreement.NOT_JSON: "start the server with --tool-call-parser hf: this parser streams what it cannot parse",
    Disagreement.CHANGED: "start the server with --tool-call-parser hf, and the model's own chat template",
    Disagreement.CONTENT: "start the server with the reasoning parser of the model's serve.json, or none if it names none",
    Disagreement.REASONING: "start the server with the reasoning parser of the model's serve.json, or none if it names none",
    Disagreement.NO_IDS: "use a server that gives token ids (vLLM: return_token_ids), and no proxy that drops them",
}


def spelled(name: str, arguments: object) -> str:
    """A call as one text, equal for equal calls: 1, 1.0 and true differ, the order of keys counts."""
    return f"{name}({json.dumps(arguments, ensure_ascii=False)})"


def served(call: ServedCall) -> str | None:
    """A served call as such a text; None where its arguments are not JSON."""
    try:
        return spelled(call.name, json.loads(call.arguments))
    except ValueError:
        return None


def disagreement(reply: Reply, strict: Response) -> Disagreement | None:
    """How the server's reading differs from the strict reading of the same ids, the worst first; None where both agree.

    Where a block is malformed, content is not compared: each server shows it in its own way, and the strict reading shows it apart.
    """
    ours, theirs = [spelled(call.name, call.arguments) for call in strict.calls], [served(call) for call in reply.calls]
    if not reply.measurable:
        return Disagreement.NO_IDS
    if len(theirs) < len(ours):
        return Disagreement.CUT if any(HERMES.call_close in call for call in ours) else Disagreement.LOST
    if len(theirs) > len(ours):
        return Disagreement.REPAIRED if _repaired(ours, theirs, len(strict.malformed)) else Disagreement.SALVAGED
    if None in theirs:
        return Disagreement.NOT_JSON
    if theirs != ours:
        return Disagreement.CHANGED
    if (strict.reasoning or "").strip() != reply.reasoning.strip():
        return Disagreement.REASONING
    if not strict.malformed and strict.content.strip() != reply.content.strip():
        return Disagreement.CONTENT
    return None


def _repaired(ours: list[str], theirs: list[str | None], malformed: int) -> bool:
    """Whether the server's calls are ours in their order and, between them, no more than there are malformed blocks in wire ids."""
    left = iter(theirs)
    return None not in theirs and len(theirs) <= len(ours) + malformed and all(call in left for call in ours)


def failure_of(place: str, reply: Reply, strict: Response) -> Failure | None:
    """The disagreement in words, or None."""
    found = disagreement(reply, strict)
    if found is None:
        return None
    by_model = found is Disagreement.REPAIRED
    return Failure(place, f"the server {found}: {told(reply)}", _wanted(found, reply, strict), REMEDIES[found], by_model)


def told(reply: Reply) -> str:
    """A reply on one line."""
    calls = " ".join(f"{call.name}({call.arguments})" for call in reply.calls) or "none"
    return f"calls {_cut(calls)}; content {_cut(repr(reply.content))}; reasoning {_cut(repr(reply.reasoning))}"


def _wanted(found: Disagreement, reply: Reply, strict: Response) -> str:
    if found is Disagreement.NO_IDS:
        given = "none" if reply.ids is None else str(len(reply.ids))
        return f"as many ids as completion tokens ({reply.completion_tokens}); given: {given}"
    calls = " ".join(_call_text(call) for call in strict.calls) or "none"
    return (
        f"what the generated ids say: calls {_cut(calls)}; content {_cut(repr(strict.content))}; "
        f"reasoning {_cut(repr(strict.reasoning or ''))}" + "".join(f"; malformed ({block.defect})" for block in strict.malformed)
    )


def _call_text(call: Call) -> str:
    return spelled(call.name, call.arguments)


def _cut(text: str, most: int = 160) -> str:
    return text if len(text) <= most else f"{text[: most - 20]}… ({len(text)} characters)"

"""The native suite: requests over tools, phrasings and files that training never saw, from the synthetic source's held-out split.

A case is the conversation up to the assistant's first turn; what the transcript's assistant does there is the expectation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from data.sources.dialogue import generate
from data.transcript import AssistantMessage, Transcript
from eval.case import Case, ExpectedCall

# Generation budget: a call's JSON at under 3 characters a token, times a margin for a model that is wordier than the expectation.
CHARACTERS_PER_TOKEN = 2.4
ROOM = 48


def load(kinds: Mapping[str, int], seed: int) -> list[Case]:
    """`kinds` maps a kind of transcript (`call`, `write_file`, `unserved`, …) to its number of cases."""
    transcripts = generate("validation", seed, sum(kinds.values()), kinds)
    return [case_of(transcript) for transcript in transcripts]


def case_of(transcript: Transcript) -> Case:
    """The first assistant turn of a transcript as a case."""
    turn = next(i for i, message in enumerate(transcript.messages) if isinstance(message, AssistantMessage))
    message = transcript.messages[turn]
    assert isinstance(message, AssistantMessage)
    calls = [call.function for call in message.tool_calls]
    size = len(json.dumps([call.arguments for call in calls])) + len(message.content or "")
    return Case(
        id=transcript.id,
        suite="native",
        slice=str(transcript.meta["kind"]),
        messages=transcript.chat()[:turn],
        tools=transcript.tool_dicts() or [],
        expected=tuple(ExpectedCall(call.name, call.arguments, exact=True) for call in calls),
        max_new_tokens=ROOM + int(size / CHARACTERS_PER_TOKEN),
        meta={"tools": transcript.meta["catalog"]},
    )

"""Assistant turns as cases: the history is what the transcript holds (teacher-forced), the turn itself is the expectation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum

from data.transcript import AssistantMessage, Message, ToolMessage, Transcript, UserMessage
from eval.case import Case, ExpectedCall

# Generation budget: a call's JSON at under 3 characters a token, times a margin for a model that is wordier than the expectation.
CHARACTERS_PER_TOKEN = 2.4
ROOM = 48


class TurnKind(StrEnum):
    """What an assistant turn does, and after what."""

    FIRST_CALL = "first_call"
    LATER_CALL = "later_call"  # the user asks again, after calls that are done
    NEXT_CALL = "next_call_after_result"
    RESULT_ANSWER = "answer_after_result"
    ANSWER = "answer"


def assistant_turns(transcript: Transcript) -> list[int]:
    """Indexes of the assistant messages that answer something: those with a user's message before them."""
    asked = next((i for i, message in enumerate(transcript.messages) if isinstance(message, UserMessage)), len(transcript.messages))
    return [i for i, message in enumerate(transcript.messages) if isinstance(message, AssistantMessage) and i > asked]


def kind_of(messages: Sequence[Message], turn: int) -> TurnKind:
    """The kind of the assistant message at index `turn`."""
    message, after_result = messages[turn], isinstance(messages[turn - 1], ToolMessage)
    if not isinstance(message, AssistantMessage) or not message.tool_calls:
        return TurnKind.RESULT_ANSWER if after_result else TurnKind.ANSWER
    if after_result:
        return TurnKind.NEXT_CALL
    called_before = any(isinstance(earlier, AssistantMessage) and earlier.tool_calls for earlier in messages[:turn])
    return TurnKind.LATER_CALL if called_before else TurnKind.FIRST_CALL


def turn_case(transcript: Transcript, turn: int, suite: str, slice_: str, id_: str, asks: bool = False) -> Case:
    """The assistant message at index `turn` as a case: its calls are expected exactly; without calls, that nothing is called."""
    message = transcript.messages[turn]
    assert isinstance(message, AssistantMessage)
    calls = [call.function for call in message.tool_calls]
    size = len(json.dumps([call.arguments for call in calls])) + len(message.content or "")
    return Case(
        id=id_,
        suite=suite,
        slice=slice_,
        messages=transcript.chat()[:turn],
        tools=transcript.tool_dicts() or [],
        expected=tuple(ExpectedCall(call.name, call.arguments, exact=True) for call in calls),
        max_new_tokens=ROOM + int(size / CHARACTERS_PER_TOKEN),
        meta={"turn": kind_of(transcript.messages, turn).value},
        asks=asks,
    )


def turn_cases(transcript: Transcript, suite: str, name: str, prefix: str = "") -> list[Case]:
    """Each assistant turn as a case of the slice `name:kind`, with ids `transcript:index` after `prefix`."""
    return [
        turn_case(transcript, turn, suite, f"{name}:{kind_of(transcript.messages, turn)}", f"{prefix}{transcript.id}:{turn}")
        for turn in assistant_turns(transcript)
    ]

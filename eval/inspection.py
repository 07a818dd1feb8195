"""One completion with all that is made of it: our strict reading, a server's reading, and what became of the call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import Any

from data.errors import UserError
from data.response import Response, opens_reasoning, read_response
from data.transcript import Json
from data.wire import WireIds
from eval.asked import Asked
from eval.classify import emission_of
from eval.completion import Completion, Finish
from eval.emission import Emission
from eval.serving.reply import Reply


class Fate(StrEnum):
    """What became of the call."""

    NATIVE = "native"  # emitted with the wire format's ids, and given to the client where a server was asked
    TYPED = "typed"  # spelled with other ids
    SALVAGED = "salvaged"  # given to the client although it was not emitted
    LOST = "lost"  # emitted, and not given to the client
    NONE = "none"


@dataclass(frozen=True)
class Inspection:
    """`prompt` (n,) and `ids` (m,) with `logprobs` (m,) where they are known; `served` is a server's reading, None for a local model."""

    prompt: list[int]
    ids: list[int]
    logprobs: list[float] | None
    strict: Response
    served: Reply | None
    emission: Emission
    why: str

    @property
    def fate(self) -> Fate:
        emitted = len(self.strict.calls)
        given = emitted if self.served is None else len(self.served.calls)
        if given != emitted:
            return Fate.LOST if given < emitted else Fate.SALVAGED
        if emitted:
            return Fate.NATIVE
        return Fate.TYPED if self.emission is Emission.TYPED_CALL else Fate.NONE

    def to_json(self, tokenizer: Any) -> Json:
        """All of it, for a program."""
        strict = self.strict
        return {
            "prompt": _tokens(self.prompt, None, tokenizer),
            "completion": _tokens(self.ids, self.logprobs, tokenizer),
            "strict": {
                "calls": [vars(call) for call in strict.calls],
                "malformed": [{"text": block.text, "defect": block.defect.value} for block in strict.malformed],
                "content": strict.content,
                "reasoning": strict.reasoning,
            },
            "server": self.served and {
                "calls": [call._asdict() for call in self.served.calls],
                "content": self.served.content,
                "reasoning": self.served.reasoning,
            },
            "emission": self.emission.value,
            "why": self.why,
            "verdict": self.fate.value,
        }  # fmt: skip


def _tokens(ids: Sequence[int], logprobs: Sequence[float] | None, tokenizer: Any) -> list[Json]:
    pairs = zip_longest(ids, logprobs or [])
    return [{"id": token, "text": tokenizer.decode([token]), "logprob": logprob} for token, logprob in pairs]


def inspect_reply(prompt: list[int], reply: Reply, tools: list[Json], tokenizer: Any, wire: WireIds, served: bool) -> Inspection:
    """Read a reply to a prompt; `served` tells whether its calls are a server's reading. Raises `UserError` where it has no ids."""
    if reply.ids is None:
        remedy = "use vLLM with return_token_ids, and no proxy that drops them"
        raise UserError("completion", "no token ids", "the ids that the model generated", remedy)
    schemas = tools if wire.form.body == "tagged" else None
    strict = read_response(reply.ids, tokenizer, wire, opens_reasoning(prompt, wire), schemas)
    finish: Finish = "length" if reply.finish == "length" else "stop"
    completion = Completion("inspect", reply.ids, finish, len(prompt), 0.0)
    emission, why = emission_of(completion, strict, Asked(frozenset(one["function"]["name"] for one in tools), True, ()))
    return Inspection(prompt, reply.ids, reply.logprobs, strict, reply if served else None, emission, why)

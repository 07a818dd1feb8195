"""The native suite: requests over tools, phrasings and files that training never saw, from the synthetic source's held-out split.

Of a kind with one request a case is the conversation up to the assistant's first turn; what the transcript's assistant does there is the
expectation. Of `dialogue`, `file_dialogue` and `chain` each assistant turn is a case: the call, and once the result is given the answer or
the next call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from data.errors import UserError
from data.sources import dialogue
from data.transcript import Transcript
from eval.case import Case
from eval.suites import chain
from eval.suites.turns import assistant_turns, turn_case, turn_cases

MULTI_TURN = frozenset({"dialogue", "file_dialogue", chain.KIND})
KINDS = (*dialogue.KINDS, chain.KIND)


def load(kinds: Mapping[str, int], seed: int) -> list[Case]:
    """`kinds` maps a kind of transcript (`call`, `write_file`, `unserved`, …) to a number of transcripts; `UserError` if unknown."""
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise UserError("native suite", ", ".join(unknown), f"kinds {', '.join(KINDS)}", "mend or remove the kind in the evaluation config")
    composed = {kind: count for kind, count in kinds.items() if kind != chain.KIND and count}
    transcripts = [*dialogue.generate("validation", seed, sum(composed.values()), composed), *chain.chains(kinds.get(chain.KIND, 0), seed)]
    return [case for transcript in transcripts for case in cases_of(transcript)]


def cases_of(transcript: Transcript) -> list[Case]:
    """The first assistant turn, or of a kind with several requests each."""
    kind = str(transcript.meta["kind"])
    if kind in MULTI_TURN:
        return turn_cases(transcript, "native", kind)
    first = turn_case(transcript, assistant_turns(transcript)[0], "native", kind, transcript.id, asks=kind == "missing")
    return [replace(first, meta={"tools": transcript.meta["catalog"]})]

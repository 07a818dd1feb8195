"""Judges prose by its sentences: question back, refusal, promise, or answer. English only.

The grammar is small, its words are in `prose.yaml`, and its limits are part of the figures that `eval.detector` prints:

* a question asks the user for something that is missing: it ends in "?" and no answer follows it, or asks with "please tell me …". An offer
  ("Would you like me to …?", "Anything else?") is a question only where nothing else is said;
* a refusal says in its first sentences that the speaker or its tools cannot or will not. "You can't divide by zero" is none;
* a promise announces an act of the speaker ("I'll", "let me", "I need to", "Calling …") after which nothing is said but "one moment".
  Acts of speech ("let me explain") are none.

Another language, irony, and a claim that something was done ("I have sent it") are answers.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from eval.asked import Asked
from eval.emission import Emission

SAMPLE = 1500  # characters at each end of a text that are read
LONGEST = 400  # characters of a sentence
SENTENCE = re.compile(r"(?<=[.!?…])[\"')\]*]*\s+|\n+")
QUOTED = re.compile(r"\"[^\"\n]{0,120}\"|“[^”\n]{0,120}”|`[^`\n]{0,200}`")
NOISE = re.compile(r"^(?:[\s\-*>#\[(]|\d+[.)])+")
APOSTROPHE = str.maketrans({"’": "'"})

FILLER = re.compile(
    r"^(?:one moment|just a (?:moment|second|minute)|a moment|please wait|hold on|stand by|please stand by|hang on|wait|thanks?|thank you"
    r"|after that|afterwards|once (?:i|that|it|you|this)|this (?:will|may|should) (?:take|only)|be right back"
    r"|(?:i'll|i will|i can) (?:then |also )?(?:tell|summari[sz]e|explain|give|show|report|let you know|get back|answer))\b",
    re.IGNORECASE,
)
OFFER = re.compile(
    r"\b(?:anything|something) else\b"
    r"|(?<!what )(?<!which )(?<!how )(?<!when )\bwould you like (?:me|that|this|to|it|help|more)\b"
    r"|\bdo you want me to\b|\bis there anything\b"
    r"|^(?:shall|may|can) i (?:help|assist)\b|\bhow can i (?:help|assist)\b",
    re.IGNORECASE,
)
ASK = r"(?:tell|provide|specify|give|name|share|let me know|clarify|confirm|enter|choose|indicate|supply|state)\b"
REQUEST = re.compile(
    rf"^(?:please|kindly)\s+(?:also )?{ASK}|^(?:could|can|would|will) you (?:please |kindly )?{ASK}"
    r"|\b(?:and|then|just|simply) (?:tell|give|send|show) me (?:the|which|what|when|where|who|how|your|whether|a|an)\b"
    r"|^let me know (?:the|which|what|when|where|who|how|your|whether)\b",
    re.IGNORECASE,
)
NEEDS = re.compile(
    r"^(?:please|once you|when you|if you|as soon as|i can then|then i|i need|for example|e\.g\.|that way|with that|thank|name)\b",
    re.IGNORECASE,
)
IDIOM = re.compile(r"\bI can(?:'t|not) (?:wait|believe|thank|agree|stress|recommend .* enough)\b", re.IGNORECASE)
STATES = re.compile(r"\b(?:is|are|was|were|can|makes?|helps?|improves?|requires?|means|has|have)\b", re.IGNORECASE)


def _alternatives() -> dict[str, str]:
    """Each list of `prose.yaml` as one group, with the lists that it names put in."""
    lists: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("prose.yaml").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for name, fragments in lists.items():
        whole = "(?:" + "|".join(fragments) + ")"
        found[name] = re.sub(r"\{([a-z_]+)\}", lambda match: found[match[1]], whole)
    return found


KNOWN = _alternatives()
CANNOT = re.compile(f"{KNOWN['cannot']}|{KNOWN['impossible']}", re.IGNORECASE)
ANNOUNCES = re.compile(KNOWN["announces"], re.IGNORECASE)
ACKNOWLEDGEMENT = re.compile(rf"^(?:{KNOWN['acknowledgement']}\b[\s,.!:;-]*(?:but |and )?)+", re.IGNORECASE)
NO_ACT = re.compile(KNOWN["no_act"], re.IGNORECASE)
BEGINS = re.compile(KNOWN["begins"], re.IGNORECASE)


def sentences(text: str) -> list[str]:
    """The sentences at both ends of `text`, quoted text replaced by a word, list marks and acknowledgements left out."""
    sample = text if len(text) <= 2 * SAMPLE else f"{text[:SAMPLE]}\n{text[-SAMPLE:]}"
    plain = QUOTED.sub("it", sample.translate(APOSTROPHE))
    found = (ACKNOWLEDGEMENT.sub("", NOISE.sub("", piece.strip())) for piece in SENTENCE.split(plain))
    return [piece.strip()[:LONGEST] for piece in found if any(char.isalnum() for char in piece)]


def judge_prose(text: str, asked: Asked) -> tuple[Emission, str]:
    """Question, refusal, promise or answer, and the sentence that decides."""
    said = sentences(text)
    if asks := _question(said):
        return Emission.QUESTION, f"asks back: {asks}"
    if refuses := _refusal(said):
        return Emission.REFUSAL, f"refuses: {refuses}"
    if promises := _promise(said, asked):
        return Emission.PROMISE, f"announces and does not do: {promises}"
    return Emission.ANSWER, "text without call, code, question, refusal or promise"


def _question(said: list[str]) -> str | None:
    """The last question or request that no answer follows."""
    after: list[str] = []
    for sentence in reversed(said):
        asks = sentence.endswith("?") or bool(REQUEST.match(sentence))
        if asks and not OFFER.search(sentence):
            return sentence if all(NEEDS.match(later) or later.endswith("?") for later in after) else None
        after.append(sentence)
    only_offer = len(said) == 1 and said[0].endswith("?")
    return said[0] if only_offer else None


def _refusal(said: list[str]) -> str | None:
    def refuses(sentence: str) -> bool:
        return bool(CANNOT.search(sentence) and not IDIOM.search(sentence))

    return next(filter(refuses, said[:3]), None)


def _promise(said: list[str], asked: Asked) -> str | None:
    """The last sentence but fillers, if it announces an act."""
    left = [sentence for sentence in said if not FILLER.match(sentence)]
    return left[-1] if left and announces(left[-1], asked, alone=len(left) <= 2) else None


def announces(sentence: str, asked: Asked, alone: bool) -> bool:
    """Whether a sentence announces an act of the speaker; a bare "Running …" only where little else is said."""
    if ANNOUNCES.search(sentence):
        return True
    verbs = "|".join(re.escape(word) for word in sorted(asked.words) if not NO_ACT.fullmatch(word)) or r"(?!)"
    opening = f"^(?:{KNOWN['firm']}|{KNOWN['loose']})(?:\\s+{KNOWN['between']})*"
    if re.search(rf"{opening}\s+(?:{verbs})\b", sentence, re.IGNORECASE):
        return True
    return alone and bool(BEGINS.match(sentence)) and not STATES.search(sentence)

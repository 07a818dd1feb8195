"""Judges prose by its sentences: question back, refusal, promise, or answer. English only.

The grammar is small, and its limits are part of the figures that `eval.detector` prints:

* a question asks the user for something that is missing: it ends in "?" and no answer follows it, or asks with "please tell me …". An offer
  ("Would you like me to …?", "Anything else?") is a question only where nothing else is said;
* a refusal says in its first sentences that the speaker or its tools cannot or will not. "You can't divide by zero" is none;
* a promise announces an act of the speaker ("I'll", "let me", "I need to", "Calling …") after which nothing is said but "one moment".
  Acts of speech ("let me explain") are none.

Another language, irony, and a claim that something was done ("I have sent it") are answers.
"""

from __future__ import annotations

import re

from eval.asked import Asked
from eval.emission import Emission

SAMPLE = 1500  # characters at each end of a text that are read
LONGEST = 400  # characters of a sentence
SENTENCE = re.compile(r"(?<=[.!?…])[\"')\]*]*\s+|\n+")
QUOTED = re.compile(r"\"[^\"\n]{0,120}\"|“[^”\n]{0,120}”|`[^`\n]{0,200}`")
NOISE = re.compile(r"^(?:[\s\-*>#\[(]|\d+[.)])+")
APOSTROPHE = str.maketrans({"’": "'"})

ACKNOWLEDGEMENT = re.compile(
    r"^(?:(?:sure|okay|ok|yes|no problem|certainly|of course|absolutely|great|alright|all right|understood|got it|no|now|then|next|so|right"
    r"|sure thing|first|well|sorry|hello|hi|thanks?(?: you)?|i'm sorry|i(?:'d| would) be happy to help(?: you)?(?: with that)?"
    r"|i can help(?: you)?(?: with that)?)\b[\s,.!:;-]*(?:but |and )?)+",
    re.IGNORECASE,
)
FILLER = re.compile(
    r"^(?:one moment|just a (?:moment|second|minute)|a moment|please wait|hold on|stand by|please stand by|hang on|wait|thanks?|thank you"
    r"|after that|afterwards|once (?:i|that|it|you|this)|this (?:will|may|should) (?:take|only)|be right back"
    r"|(?:i'll|i will|i can) (?:then |also )?(?:tell|summari[sz]e|explain|give|show|report|let you know|get back|answer))\b",
    re.IGNORECASE,
)
OFFER = re.compile(
    r"\b(?:anything|something) else\b|\bwould you like (?:me|that|this|to|it|help|more)\b|\bdo you want me to\b|\bis there anything\b"
    r"|^(?:shall|may|can) i (?:help|assist)\b|\bhow can i (?:help|assist)\b",
    re.IGNORECASE,
)
ASK = r"(?:tell|provide|specify|give|name|share|let me know|clarify|confirm|enter|choose|indicate|supply|state)\b"
REQUEST = re.compile(
    rf"^(?:please|kindly)\s+(?:also )?{ASK}|^(?:could|can|would|will) you (?:please |kindly )?{ASK}"
    r"|^let me know (?:the|which|what|when|where|who|how|your|whether)\b",
    re.IGNORECASE,
)
NEEDS = re.compile(
    r"^(?:please|once you|when you|if you|as soon as|i can then|then i|i need|for example|e\.g\.|that way|with that|thank|name)\b",
    re.IGNORECASE,
)
MEANS = r"(?:\w+ )?(?:a |any |the )?(?:\w+ )?(?:access|tools?|functions?|ability|abilities|capability|capabilities|means|way|permission)"
SPEAKER_CANNOT = re.compile(
    r"\bI(?: am|'m)? (?:\w+ )?(?:can't|cannot|can not|unable to|not able to|won't|will not|must decline|decline to|refuse to|must refuse"
    rf"|(?:do not|don't) have {MEANS}|lack (?:the|a|access)|not allowed to)\b"
    rf"|\bhave no {MEANS}\b",
    re.IGNORECASE,
)
TOOLS_CANNOT = re.compile(
    r"\b(?:no|none of (?:my|the|these)|neither) (?:\w+ )?(?:tools?|functions?)\b"
    r"|\b(?:tools?|functions?)\b[^.]*\b(?:do not|don't|does not|doesn't|cannot|can't|only)\b"
    r"|\b(?:not|\w+n't) (?:\w+ )?possible\b|\b(?:not|\w+n't) something (?:that )?I\b|\b(?:beyond|outside(?: of)?) (?:my|what i)\b",
    re.IGNORECASE,
)
IDIOM = re.compile(r"\bI can(?:'t|not) (?:wait|believe|thank|agree|stress|recommend .* enough)\b", re.IGNORECASE)
ACTS = (
    "call|use|check|look|search|fetch|get|find|run|execute|invoke|create|make|write|save|store|send|book|reserve|set|start|add|schedule|delete|remove"
    "|update|query|convert|translate|play|open|read|list|calculate|compute|retrieve|turn|dim|switch|order|cancel|proceed|do|perform|pull|gather|try"
    "|handle|go|submit|load|download|upload|request|generate|draft|put|change|dig"
)
INTENT = (
    r"(?:I'll|I will|I shall|I(?:'m| am) (?:now )?(?:going|about) to|let me|allow me to|let us|let's|I (?:need|have|want|ought) to"
    r"|I (?:should|must|would(?: need to)?|can now))"
)
BETWEEN = r"(?:\s+(?:now|first|just|quickly|then|also|go ahead and|proceed to|try to|be|simply|immediately))*"
GERUNDS = (
    "calling|running|searching|fetching|checking|looking|setting|sending|playing|getting|retrieving|creating|writing|saving|booking|converting|using"
    "|executing|opening|reading|deleting|adding|translating|invoking|querying|scheduling|starting|finding|turning|updating|listing|placing"
)
STATES = re.compile(r"\b(?:is|are|was|were|can|makes?|helps?|improves?|requires?|means|has|have)\b", re.IGNORECASE)
SPEAKER_ACTS = re.compile(rf"(?:^|[,;:—-]\s*(?:so |and |but )?|\bso ){INTENT}{BETWEEN}\s+(?:{ACTS})(?:ing)?\b", re.IGNORECASE)
UNDER_WAY = re.compile(
    rf"\bI(?:'m| am)(?: now| just)? (?:{GERUNDS})\b|\b(?:tool|function) will (?:now )?be (?:called|used|invoked|run)\b", re.IGNORECASE
)
GERUND = re.compile(rf"^(?:now )?(?:{GERUNDS})\b", re.IGNORECASE)


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
        return bool((SPEAKER_CANNOT.search(sentence) or TOOLS_CANNOT.search(sentence)) and not IDIOM.search(sentence))

    return next(filter(refuses, said[:3]), None)


def _promise(said: list[str], asked: Asked) -> str | None:
    """The last sentence but fillers, if it announces an act."""
    left = [sentence for sentence in said if not FILLER.match(sentence)]
    return left[-1] if left and announces(left[-1], asked, alone=len(left) <= 2) else None


def announces(sentence: str, asked: Asked, alone: bool) -> bool:
    """Whether a sentence announces an act of the speaker; a bare "Running …" only where little else is said."""
    if SPEAKER_ACTS.search(sentence) or UNDER_WAY.search(sentence):
        return True
    verbs = "|".join(sorted(map(re.escape, asked.words))) or r"(?!)"
    if re.search(rf"^{INTENT}{BETWEEN}\s+(?:{verbs})\b", sentence, re.IGNORECASE):
        return True
    return alone and bool(GERUND.match(sentence)) and not STATES.search(sentence)

"""Emission classes by family: one colour for each, from the palette of Okabe and Ito (2008), which colour-blind readers tell apart."""

from __future__ import annotations

from eval.emission import Emission

FAMILIES: dict[str, tuple[Emission, ...]] = {
    "native": (Emission.NATIVE_CALL,),
    "broken": (Emission.NATIVE_MALFORMED, Emission.NATIVE_PYTHON, Emission.NATIVE_UNCLOSED, Emission.NATIVE_TRUNCATED),
    "text": (Emission.TYPED_CALL, Emission.JSON_IN_TEXT, Emission.JSON_IN_FENCE),
    "code": (Emission.CODE_DUMP, Emission.SHELL_DUMP, Emission.PYTHON_CALL, Emission.CODE_MODE),
    "words": (Emission.ANSWER, Emission.QUESTION, Emission.REFUSAL, Emission.PROMISE),
    "nothing": (Emission.REASONING_ONLY, Emission.EMPTY),
    "uncounted": (Emission.ERROR, Emission.UNMEASURABLE),
}

ORDER = [emission for members in FAMILIES.values() for emission in members]
FAMILY_OF = {emission: name for name, members in FAMILIES.items() for emission in members}


def style_of(emission: Emission) -> str:
    """CSS classes of an emission: its family, and its shade within the family."""
    family = FAMILY_OF[emission]
    return f"{family} shade-{FAMILIES[family].index(emission)}"

"""Text on the page keeps WCAG 2.2's contrast for body text, 4.5 to 1, in both colour schemes: computed from the style sheet's colours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import eval.pages
from eval.pages.families import FAMILIES

Colour = tuple[float, float, float]

CSS = (Path(eval.pages.__file__).parent / "report.css").read_text()
LEAST = 4.5
GROUNDS = {
    "page": ("ink", "soft", "good", "bad"),
    "card": ("ink", "soft", "good", "bad"),
    "faint": ("ink", "soft"),
    "token": ("ink",),
    "token-odd": ("ink",),
    "typed": ("on-typed",),
    "ink": ("page",),
}
SHADED = [(name, shade) for name, members in FAMILIES.items() if name not in ("broken", "uncounted") for shade in range(1, len(members))]


def schemes() -> dict[str, dict[str, str]]:
    light, dark = (dict(re.findall(r"--([\w-]+): ([^;]+);", block)) for block in re.findall(r":root \{(.*?)\n\s*\}", CSS, re.DOTALL))
    return {"light": light, "dark": {**light, **dark}}


def colour(text: str) -> Colour:
    digits = text[1:] if len(text) == 7 else "".join(digit * 2 for digit in text[1:])
    red, green, blue = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    return red, green, blue


def luminance(of: Colour) -> float:
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in of]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: Colour, other: Colour) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def over(top: Colour, opacity: float, ground: Colour) -> Colour:
    red, green, blue = (opacity * a + (1 - opacity) * b for a, b in zip(top, ground, strict=True))
    return red, green, blue


def test_the_formula() -> None:
    assert contrast(colour("#fff"), colour("#000")) == pytest.approx(21)
    assert contrast(colour("#777"), colour("#fff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(scheme: str) -> None:
    named = schemes()[scheme]
    pairs = [(text, ground) for ground, texts in GROUNDS.items() for text in texts]
    pairs += [(f"on-{family}", family) for family in FAMILIES if family != "uncounted"]
    found = {f"{text} on {ground}": contrast(colour(named[text]), colour(named[ground])) for text, ground in pairs}
    assert {pair: ratio for pair, ratio in found.items() if ratio < LEAST} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("family", "shade"), SHADED)
def test_labels_on_shades_are_readable(scheme: str, family: str, shade: int) -> None:
    named = schemes()[scheme]
    ground = over(colour(named[family]), float(named[f"shade-{shade}"]), colour(named["page"]))
    assert contrast(colour(named["on-shade"]), ground) >= LEAST

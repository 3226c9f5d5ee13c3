from __future__ import annotations

import re
from importlib import resources

import pytest


def colours(block: str) -> dict[str, tuple[float, float, float]]:
    found = re.findall(r"--([\w-]+): #([0-9a-f]{6});", block)
    return {
        name: (int(hexa[:2], 16), int(hexa[2:4], 16), int(hexa[4:], 16)) for name, hexa in found
    }


def contrast(one: tuple[float, float, float], two: tuple[float, float, float]) -> float:
    """Return the contrast ratio of WCAG 2."""

    def luminance(colour: tuple[float, float, float]) -> float:
        parts = [value / 255 for value in colour]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_enough_contrast_when_the_scheme_is(scheme: str) -> None:
    css = resources.files("edgevit.pages").joinpath("page.css").read_text(encoding="utf-8")
    light, _, rest = css.partition("@media (prefers-color-scheme: dark)")
    given = colours(light if scheme == "light" else rest.partition(".s0")[0])
    assert len(given) >= 18
    texts = [("ink", "page"), ("ink", "panel"), ("soft", "page"), ("soft", "panel")]
    texts += [("accent", "page"), ("bad", "panel"), ("warn", "page"), ("bad", "bad-back")]
    texts += [("warn", "warn-back"), ("calm", "calm-back"), ("ink", "warn-back")]
    texts += [("soft", "bad-back"), ("soft", "warn-back"), ("soft", "calm-back")]
    for text, back in texts:
        assert contrast(given[text], given[back]) >= 4.5, (text, back)
    for index in range(6):
        assert contrast(given[f"c{index}"], given["panel"]) >= 3.0, index

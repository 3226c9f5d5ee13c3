from __future__ import annotations

import pytest

from edgevit.pages.words import duration, p_value, shortened_apart


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (1.0, "1"),
        (0.0352, "0.035"),
        (0.0499, "0.0499"),
        (0.0501, "0.05"),
        (0.05, "0.05"),
        (0.00012, "0.00012"),
        (0.00009, "< 0.0001"),
        (0.0, "< 0.0001"),
    ],
)
def test_p_shows_on_which_side_of_the_limit_it_is_when_it_is_written(p: float, text: str) -> None:
    assert p_value(p) == text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (12000, "3 h 20 min")],
)
def test_duration_is_spoken_when_short_or_long(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("vgg16", "vit-b32"), ("vgg16", "vit-b32")),
        (("vgg16", "vgg16"), ("vgg16", "vgg16")),
        (("a-long-name-of-a-model", "vgg16"), ("a-lon…-model", "vgg16")),
        (
            ("vit-scratch-72px-100epochs", "vit-scratch-32px-100epochs"),
            ("…72px…epochs", "…32px…epochs"),
        ),
        (
            ("vit-scratch-72px-100epochs", "vit-scratch-32px-100epochs", "vgg16"),
            ("…72px…epochs", "…32px…epochs", "vgg16"),
        ),
        # In words without an end, at the first letter that differs.
        (
            (10 * "x" + "one" + 10 * "y", 10 * "x" + "two" + 10 * "y"),
            ("…oney…yyyyyy", "…twoy…yyyyyy"),
        ),
        # Only the middle tells these apart, in two places.
        (
            (
                "vit-scratch-72px-100epochs",
                "vit-scratch-32px-100epochs",
                "vit-scratch-72px-200epochs",
            ),
            ("…72px-1…", "…32px-1…", "…72px-2…"),
        ),
    ],
)
def test_shortened_names_differ_when_the_names_do(
    names: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert shortened_apart(names, 12) == expected


def test_names_are_numbered_when_nothing_short_tells_them_apart() -> None:
    names = [f"{a}{30 * '-'}{b}{30 * '-'}{c}" for a in "xy" for b in "xy" for c in "xy"]
    texts = shortened_apart([*names, names[3]], 12)
    assert len(set(texts)) == len(names)
    assert texts[3] == texts[8]
    assert all(len(text) <= 12 for text in texts)


def test_names_stay_apart_when_one_is_what_another_becomes() -> None:
    assert len(set(shortened_apart(("a-lon…-model", "a-long-name-of-a-model"), 12))) == 2

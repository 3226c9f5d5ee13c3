from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from edgevit.compare.page import build_comparison_markdown, build_comparison_page
from edgevit.compare.side_by_side import SideBySide
from tests.compare.pairs import HOSTILE, make_pair
from tests.pages.browser import Browser
from tests.pages.outline import Outline, outline_of


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> SideBySide:
    """One right on 7 of 8 photos, one on none; the labels are markup."""
    return make_pair(tmp_path_factory.mktemp("pair"), labels=HOSTILE)


@pytest.fixture(scope="module")
def outline(pair: SideBySide) -> Outline:
    return outline_of(build_comparison_page(pair))


def pictures(outline: Outline) -> list[dict[str, str | None]]:
    return [attributes for tag, attributes in outline.seen if tag == "img"]


def test_page_says_who_is_better_when_that_is_shown(outline: Outline) -> None:
    text = outline.text()
    assert "one is more accurate: 7 photos only it gets right, 0 only other" in text
    assert "8 test photos of the data set data, each shown to both models." in text
    assert "7 of 8 photos right" in text
    assert "They disagree on 7 of 8 test photos: on 7 only one is right" in text
    assert "The chance of so uneven a share of the 7 photos" in text


def test_page_shows_each_disagreement_when_there_are_few(outline: Outline) -> None:
    found = pictures(outline)
    assert len(found) == 7
    assert {picture["alt"] for picture in found} == {
        f"A photo of the class {label}" for label in HOSTILE[:2]
    }
    assert all(str(picture["src"]).startswith("data:image/jpeg;base64,") for picture in found)
    badges = [
        a.get("class") for tag, a in outline.seen if (a.get("class") or "").startswith("badge")
    ]
    assert (badges.count("badge"), badges.count("badge failed")) == (7, 7)


def test_labels_are_text_when_they_look_like_markup(outline: Outline) -> None:
    assert HOSTILE[0] in outline.texts
    assert HOSTILE[2] in outline.texts
    assert not [tag for tag, attributes in outline.seen if "onerror" in attributes]


def test_class_is_marked_when_it_has_no_test_photo(outline: Outline) -> None:
    text = outline.text()
    assert "1 of 3 classes has no test photo: nothing can be said of them." in text
    assert f"{HOSTILE[2]}no test photo0–––" in text


def test_page_is_the_same_when_it_is_made_again(pair: SideBySide) -> None:
    assert build_comparison_page(pair) == build_comparison_page(pair)


def test_pictures_come_from_the_cache_when_the_photos_are_gone(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    pair.dataset.pixels("test", pair.candidates[0].spec.preprocessing)
    shutil.rmtree(pair.dataset.root / "photos")
    assert len(pictures(outline_of(build_comparison_page(pair)))) == 7


def test_placeholders_stand_for_the_photos_when_they_are_gone_everywhere(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    shutil.rmtree(pair.dataset.root / "photos")
    outline = outline_of(build_comparison_page(pair))
    alts = [str(picture["alt"]) for picture in pictures(outline)]
    assert len(alts) == 7
    assert all(alt.endswith(" (the photo is gone)") for alt in alts)


def test_headings_differ_when_long_names_differ_in_their_middle(tmp_path: Path) -> None:
    names = (f"{30 * 'a'}-one-{30 * 'b'}", f"{30 * 'a'}-two-{30 * 'b'}")
    texts = outline_of(build_comparison_page(make_pair(tmp_path, names=names))).texts
    short = [f"…{middle}-{10 * 'b'}…{16 * 'b'}" for middle in ("one", "two")]
    for name in short:
        assert name in texts
        # In the table of who is right.
        assert {f"{short[0]} right", f"{short[0]} wrong", short[1]} <= set(texts)


def test_page_counts_what_it_does_not_show_when_there_are_many(pair: SideBySide) -> None:
    every = pair.comparison.disagreements * 10
    comparison = dataclasses.replace(pair.comparison, disagreements=every)
    outline = outline_of(build_comparison_page(dataclasses.replace(pair, comparison=comparison)))
    assert len(pictures(outline)) == 60
    assert "48 photos more" in outline.text()
    assert "10 more photos on which they disagree: not shown here." in outline.text()


def test_page_says_so_when_both_models_always_agree(tmp_path: Path) -> None:
    outline = outline_of(build_comparison_page(make_pair(tmp_path, wrong=(2, 2))))
    assert "Both give the same label to each of 8 test photos." in outline.text()
    assert "No difference is shown: both get the same photos right" in outline.text()
    assert pictures(outline) == []


def test_page_repeats_the_notes_when_there_are_some(pair: SideBySide) -> None:
    noted = dataclasses.replace(pair, notes=("something <b>is</b> odd",))
    assert "something <b>is</b> odd." in outline_of(build_comparison_page(noted)).texts
    assert "- something &lt;b&gt;is&lt;/b&gt; odd." in build_comparison_markdown(noted)


def test_markdown_has_the_result_the_classes_and_the_photos(pair: SideBySide) -> None:
    text = build_comparison_markdown(pair)
    assert text.startswith("**one is more accurate: 7 photos only it gets right, 0 only other (")
    assert "Difference in top-1: +87.50 (" in text
    assert "| one right | 0 | 7 |\n| one wrong | 0 | 1 |" in text
    assert "| one | run | keras | fp32 | 16×16 | – | 0.00 | 8 | 87.50 |" in text
    assert r"| a\|b \*c\* \`d\` | 4 | 100.00 | 0.00 |" in text
    assert "Without a test photo, so unknown: empty &amp; &lt;b&gt;." in text
    assert text.count("| test-") == 7
    assert "<img" not in text


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page whose names are too long for a phone and whose labels are markup."""
    names = ("first-" * 20, "other-" * 20)
    pair = make_pair(tmp_path_factory.mktemp("long"), labels=HOSTILE, names=names)
    path = tmp_path_factory.mktemp("page") / "compare.html"
    path.write_text(build_comparison_page(pair), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_and_is_quiet_when_it_is_opened(
    browser: Browser, page: Path, width: int, scheme: str
) -> None:
    browser.open(page, width=width, scheme=scheme)
    assert browser.complaints == []
    assert all(url == page.as_uri() or url.startswith("data:") for url in browser.requests)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    drawn = "[...document.images].filter(i => i.complete && i.naturalWidth === 112).length"
    assert browser.evaluate(drawn) == 7
    answers = "[...document.querySelectorAll('.card .answer')]"
    colours = browser.evaluate(f"{answers}.map(e => getComputedStyle(e).borderLeftColor)")
    assert (len(colours), len(set(colours))) == (14, 2)


def test_untested_class_stays_last_when_the_classes_are_sorted(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    column = "#classes .sortable thead th:nth-child(3) button"
    orders = []
    for _ in range(2):
        browser.click(column)
        orders.append(
            browser.evaluate(
                "[...document.querySelectorAll('#classes tbody tr')].map(r => r.cells[2].innerText)"
            )
        )
    assert [re.split(r"\s", text)[0] for text in orders[0]] == ["75.00", "100.00", "–"]
    assert [re.split(r"\s", text)[0] for text in orders[1]] == ["100.00", "75.00", "–"]
    assert browser.complaints == []

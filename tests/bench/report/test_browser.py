from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from edgevit.bench.protocol import SustainedMinute
from edgevit.bench.report.entries import merge
from edgevit.bench.report.page import build_page
from tests.bench.results import PI, SERVER, cold_start, conditions, memory, result, row
from tests.pages.browser import Browser

ROWS = "#summary .sortable tbody tr"
HEADINGS = "#summary .sortable thead th"


def column(browser: Browser, number: int) -> list[str]:
    """Return the texts of a column of the summary, from top to bottom."""
    cells: list[str] = browser.evaluate(
        f"[...document.querySelectorAll('{ROWS}')].map(row => row.cells[{number}].innerText)"
    )
    return cells


def heading(browser: Browser, text: str) -> int:
    """Return the position of a column of the summary."""
    texts = browser.evaluate(
        f"[...document.querySelectorAll('{HEADINGS}')].map(cell => cell.innerText)"
    )
    return next(index for index, found in enumerate(texts) if found.startswith(text))


def button(number: int) -> str:
    return f"{HEADINGS}:nth-child({number + 1}) button"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two devices, with names that are too long for a phone."""
    minutes = tuple(SustainedMinute(900, 20.0 + i, 22.0 + i) for i in range(5))
    pi = result(
        row("pets-" * 20, precision="fp32", p50_ms=900.0, cold_start=cold_start()),
        row(p50_ms=80.0, conditions=conditions("under-voltage"), sustained=minutes),
        row("<script>document.title = 'attacked'</script>", p50_ms=100.0, memory=memory()),
        row("unscored", accuracy=None, p50_ms=9.5),
        machine=replace(PI, board="Board with a name " + 60 * "x"),
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(build_page(merge([pi, result(machine=SERVER)])), encoding="utf-8")
    return path


def test_page_renders_alone_when_opened(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.evaluate("document.title").startswith("pets on 2 devices")
    assert browser.evaluate(f"document.querySelectorAll('{ROWS}').length") == 7
    chart = "document.querySelector('.scatter .wide svg').getBoundingClientRect()"
    assert browser.evaluate(f"{chart}.width") > 900
    assert browser.complaints == []
    assert browser.requests == [page.as_uri()]
    assert browser.evaluate("performance.getEntriesByType('resource').length") == 0


def test_browser_notices_when_a_page_complains_or_asks_the_network(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "bad.html"
    path.write_text("<img src='http://192.0.2.1/x.png'><script>console.log('hm'); no()</script>")
    browser.open(path)
    assert any("hm" in text for text in browser.complaints)
    assert any("no is not defined" in text for text in browser.complaints)
    assert browser.requests[-1] == "http://192.0.2.1/x.png"


def test_policy_stops_what_is_not_the_pages_own_when_it_is_slipped_in(
    browser: Browser, page: Path, tmp_path: Path
) -> None:
    slipped = "<script>document.title = 'attacked'</script><img src='http://192.0.2.1/x.png'>"
    path = tmp_path / "slipped.html"
    path.write_text(page.read_text(encoding="utf-8").replace("<main>", f"<main>{slipped}"))
    browser.open(path)
    assert browser.evaluate("document.title").startswith("pets on 2 devices")
    assert len(browser.complaints) >= 2
    assert all("Content Security Policy" in text for text in browser.complaints)


def test_rows_are_sorted_by_number_when_a_heading_is_clicked_and_reversed_when_again(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    p50 = heading(browser, "p50")
    before = column(browser, p50)
    browser.click(button(p50))
    rising = [float(re.sub(r"[^\d.]", "", text)) for text in column(browser, p50)]
    assert rising == sorted(rising)
    assert column(browser, p50) != before
    sort = f"document.querySelectorAll('{HEADINGS}')[{p50}].ariaSort"
    assert browser.evaluate(sort) == "ascending"
    browser.click(button(p50))
    falling = [float(re.sub(r"[^\d.]", "", text)) for text in column(browser, p50)]
    assert falling == rising[::-1]
    assert browser.evaluate(sort) == "descending"
    assert browser.complaints == []


def test_missing_values_stay_last_when_the_order_is_reversed(browser: Browser, page: Path) -> None:
    browser.open(page)
    top1 = heading(browser, "Top-1")
    for _ in range(2):
        browser.click(button(top1))
        assert column(browser, top1)[-1] == "–"
        assert "–" not in column(browser, top1)[:-1]


def test_rows_are_sorted_when_enter_or_space_is_pressed_on_a_heading(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    model = heading(browser, "Model")
    browser.evaluate(f"document.querySelector('{button(model)}').focus()")
    browser.press("Enter", 13, "\r")
    rising = column(browser, model)
    browser.press(" ", 32, " ")
    assert column(browser, model) != rising
    sorted_headings = browser.evaluate("document.querySelectorAll('#summary [aria-sort]').length")
    assert sorted_headings == 1


def test_mark_leads_to_its_row_when_clicked(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.click(".scatter .wide a:last-of-type")
    assert re.fullmatch(r"#row-\d", browser.evaluate("location.hash"))
    assert browser.evaluate("document.querySelector('tr:target') !== null")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_page_is_no_wider_than_the_window_when_it_is(
    browser: Browser, page: Path, width: int
) -> None:
    browser.open(page, width=width)
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    if width == 360:
        table = "document.querySelector('#summary .scroll')"
        assert browser.evaluate(f"{table}.scrollWidth > {table}.clientWidth")
        assert browser.evaluate("document.querySelector('.scatter .narrow').offsetWidth > 0")


def test_chart_labels_stand_apart_and_inside_when_drawn_by_a_browser(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    boxes = browser.evaluate(
        "[...document.querySelectorAll('.wide .label, .wide .note')].map(e => {"
        "const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; })"
    )
    assert len(boxes) >= 5
    frame = browser.evaluate(
        "(() => { const r = document.querySelector('.wide svg').getBoundingClientRect();"
        "return [r.left, r.top, r.right, r.bottom]; })()"
    )
    for index, (left, top, right, bottom) in enumerate(boxes):
        assert frame[0] <= left < right <= frame[2]
        assert frame[1] <= top < bottom <= frame[3]
        for other in boxes[:index]:
            across = min(right, other[2]) - max(left, other[0])
            down = min(bottom, other[3]) - max(top, other[1])
            # A line of text is higher than its letters.
            assert across <= 0 or down <= 3


def test_page_is_dark_when_that_is_preferred(browser: Browser, page: Path) -> None:
    seen = []
    for scheme in ("light", "dark"):
        browser.open(page, scheme=scheme)
        style = "getComputedStyle(document.body)"
        seen.append([browser.evaluate(f"{style}.{name}") for name in ("backgroundColor", "color")])
    (light_back, light_ink), (dark_back, dark_ink) = seen

    def brightness(colour: str) -> int:
        return sum(map(int, re.findall(r"\d+", colour)))

    assert brightness(light_back) > brightness(light_ink)
    assert brightness(dark_back) < brightness(dark_ink)


def test_everything_is_unfolded_when_printed(browser: Browser, page: Path) -> None:
    browser.open(page)
    closed = "document.querySelectorAll('details:not([open])').length"
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = false)")
    assert browser.evaluate(closed) > 0
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert browser.evaluate(closed) == 0
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert browser.evaluate(closed) > 0

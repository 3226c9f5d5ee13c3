from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from edgevit.bench.protocol import QUICK, Protocol, Repeats, SustainedMinute
from edgevit.bench.report.axes import latency_axis, padded_axis
from edgevit.bench.report.cautions import badges, cautions, claims
from edgevit.bench.report.entries import Report, merge, read_report
from edgevit.bench.report.labels import Box, place_labels
from edgevit.bench.report.markdown import build_markdown, escape
from edgevit.bench.report.markup import Html, element
from edgevit.bench.report.page import build_page
from edgevit.bench.report.scatter import pareto_front
from edgevit.bench.result import BenchResult, BenchRow, write_result
from edgevit.bench.warnings import warnings_of
from edgevit.errors import InputError
from edgevit.machine import Machine
from edgevit.runtimes.base import AcceleratorUse
from tests.bench.results import (
    PI,
    SERVER,
    cold_start,
    conditions,
    latency,
    measurement,
    memory,
    result,
    row,
    scored,
)

NASTY = "<script>alert(1)</script>\"'&|`*_~\x00\ud800\u202e"
_VOID = {"meta", "br", "hr", "img", "input", "link"}


class Outline(HTMLParser):
    """Checks that elements are closed in order, and collects what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} repeats an attribute"
        given = dict(attrs)
        self.seen.append((tag, given))
        if identity := given.get("id"):
            self.ids.append(identity)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.seen)


def outline(report: Report) -> Outline:
    parsed = Outline()
    parsed.feed(build_page(report))
    parsed.close()
    assert parsed.open == []
    return parsed


def pi_with(**changes: object) -> Report:
    return merge([result(row(**changes))])


@pytest.fixture
def full() -> Report:
    """Three devices with everything that a result can hold."""
    use = AcceleratorUse("EdgeTPU", 0.6, 0.3, 64, 0.95, 0.4, "the head on the CPU")
    minutes = tuple(SustainedMinute(900, 20 + i, 22 + i) for i in range(5))
    pi = result(
        row(precision="fp32", p50_ms=800.0, cold_start=cold_start(), memory=memory()),
        row(p50_ms=200.0, conditions=conditions("under-voltage"), sustained=minutes),
        row(precision="int8-full", device="npu EdgeTPU", accelerator=use, end_to_end=latency(25.0)),
        BenchRow("broken", "exports/broken", 1, "cpu", error="the file was changed"),
        BenchRow("other", "exports/other", 1, "npu NPU", absent="there is no NPU"),
    )
    rows = [
        row(precision=precision, format_name=name, threads=threads, p50_ms=p50_ms)
        for precision, p50_ms in (("fp32", 80.0), ("fp16", 60.0), ("int8", 20.0))
        for name in ("tflite", "onnx", "openvino")
        for threads in (1, 2)
    ]
    server = result(*rows, machine=SERVER)
    unscored = row(accuracy=None, p50_ms=15.0)
    phone = result(
        unscored, machine=replace(PI, board="Some Phone"), protocol=QUICK, tool="benchmark_model"
    )
    return merge([pi, server, phone])


def test_page_is_well_formed_and_refers_to_nothing_else_when_built(full: Report) -> None:
    page = build_page(full)
    parsed = outline(full)
    assert not re.search(r"https?:|//[a-z]|url\(|@import", page)
    assert not {"img", "link", "iframe", "object", "base"} & {tag for tag, _ in parsed.seen}
    assert not any("src" in given or "style" in given for _, given in parsed.seen)
    links = {given["href"] for _, given in parsed.seen if "href" in given}
    assert links <= {f"#{identity}" for identity in parsed.ids}
    assert len(parsed.ids) == len(set(parsed.ids))


def test_page_has_every_section_when_everything_was_measured(full: Report) -> None:
    parsed = outline(full)
    sections = [given["id"] for tag, given in parsed.seen if tag == "section"]
    assert sections == [
        "warnings", "summary", "chart", "chain", "times", "cold", "placement", "sustained",
        "devices",
    ]  # fmt: skip
    assert sum("row-" in identity for identity in parsed.ids) == len(full.entries) == 22
    text = parsed.text()
    for expected in ("the file was changed", "There is no NPU", "under-voltage", "asimddp"):
        assert expected.lower() in text.lower()


def test_page_leaves_sections_out_when_nothing_belongs_there() -> None:
    parsed = outline(merge([result()]))
    assert not {"warnings", "cold", "sustained"} & set(parsed.ids)


def test_page_is_the_same_when_built_twice(full: Report) -> None:
    assert build_page(full) == build_page(full)
    assert build_markdown(full) == build_markdown(full)


def nasty_report() -> Report:
    nasty = measurement(run_name=NASTY, warnings=(NASTY,), format_name=NASTY, precision=NASTY)
    rows = (
        BenchRow(NASTY, NASTY, 1, NASTY, measurement=nasty),
        BenchRow(NASTY, NASTY, 1, NASTY, error=NASTY),
    )
    cpu = replace(PI.cpu, features={NASTY: True}, governor=NASTY)
    machine: Machine = replace(PI, board=NASTY, cpu=cpu, system=NASTY)
    made: BenchResult = result(
        *rows, machine=machine, started=NASTY, tool=NASTY, notes=(NASTY,), versions={NASTY: NASTY}
    )
    return merge([made])


def test_page_shows_names_as_text_when_they_are_markup() -> None:
    report = nasty_report()
    page = build_page(report)
    assert page.count("<script>") == 1
    page.encode()
    parsed = outline(report)
    assert parsed.count("script") == 1
    assert "<script>alert(1)</script>\"'&|`*_~���" in parsed.text()
    assert not re.search("[\x00\u202e]", page)


def test_markdown_shows_names_as_text_when_they_are_markup() -> None:
    text = build_markdown(nasty_report())
    text.encode()
    assert "<" not in text.replace("&lt;", "")
    for line in text.splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) == 12


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("a\nb", "a b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("- item", r"\- item"),
        ("# heading", r"\# heading"),
        ("vit-b32.tflite.int8", "vit-b32.tflite.int8"),
        ("[x](y) `c`", r"\[x\](y) \`c\`"),
    ],
)
def test_escape_keeps_the_text_when_it_is_markdown(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def test_element_escapes_texts_and_keeps_markup_when_given_both() -> None:
    inner = element("b", "<i>")
    assert inner == "<b>&lt;i&gt;</b>"
    made = element("p", inner, " & ", title='"', hidden=False, open=True, width=1.50, lang=None)
    assert made == '<p title="&quot;" open width="1.5"><b>&lt;i&gt;</b> &amp; </p>'
    assert isinstance(made, Html)


def test_page_strikes_the_times_through_when_the_device_throttled() -> None:
    report = pi_with(conditions=conditions("under-voltage", "frequency capped"))
    parsed = outline(report)
    assert parsed.count("s") >= 2
    assert "not valid" in parsed.text()
    assert "No valid times: it throttled." in parsed.text()
    (caution,) = [item for item in cautions(report) if item.severity == "invalid"]
    assert caution.rows == (
        "pets.tflite.int8 on Raspberry Pi 5 Model B, 1 thread: under-voltage and frequency capped",
    )
    assert "~~20.00~~" in build_markdown(report)


def texts_of(report: Report) -> str:
    return " ".join(f"{item.text} {item.rows}" for item in cautions(report))


def evaluated(**changes: object) -> Report:
    evaluation = replace(measurement().evaluation, **changes)  # type: ignore[arg-type]
    return pi_with(evaluation=evaluation)


@pytest.mark.parametrize(
    ("report", "text", "badge"),
    [
        (evaluated(calibrated_count=7), "7 of 1,200", "photos seen"),
        (evaluated(same_photos=False), "other photos than", "other photos"),
        (
            pi_with(latency=replace(latency(), warmup_settled=False)),
            "not steady after the longest warm-up",
            "not settled",
        ),
        (pi_with(repeats=Repeats((20.0, 21.2))), "6.0 %", "spread 6 %"),
        (merge([result(protocol=QUICK)]), "not comparable", "quick"),
        (pi_with(conditions=replace(conditions(), clock_jump_seconds=-3.0)), "by -3 s", None),
        (pi_with(warnings=("the fan is loud",)), "The fan is loud.", None),
        (
            pi_with(accuracy=replace(scored(), notes=("some photos are missing",))),
            "Some photos are missing.",
            None,
        ),
    ],
)
def test_cautions_say_it_when_a_row_has_a_flaw(
    report: Report, text: str, badge: str | None
) -> None:
    assert text in texts_of(report)
    assert badge is None or badge in [mark.text for mark in badges(report.entries[0])]
    clean = merge([result()])
    assert text not in texts_of(clean)
    assert badges(clean.entries[0]) == ()


@pytest.mark.parametrize(
    ("ops_share", "agreement", "text"),
    [(0.95, 1.0, None), (0.4, 1.0, "40 % of the ops"), (None, 0.92, "92.0 % of 64 photos agree")],
)
def test_cautions_name_the_accelerator_when_it_falls_back_or_is_wrong(
    ops_share: float | None, agreement: float, text: str | None
) -> None:
    use = AcceleratorUse("npu NPU", ops_share, None, 64, agreement, 0.1, "")
    report = pi_with(accelerator=use, device="npu NPU")
    said = [item for item in cautions(report) if "npu NPU" in item.text]
    assert [text] == [None] if not said else text is not None and text in texts_of(report)


def test_caution_is_not_repeated_when_the_bench_wrote_it_down() -> None:
    unsettled = measurement(latency=replace(latency(), warmup_settled=False))
    written = replace(unsettled, warnings=(*warnings_of(unsettled), "the fan is loud"))
    report = merge([result(BenchRow("a", "exports/a", 1, "cpu", measurement=written))])
    said = [item.text for item in cautions(report) if "not steady" in item.text]
    assert len(said) == 1
    assert "The fan is loud." in texts_of(report)


def test_caution_is_said_once_when_several_rows_share_it() -> None:
    rows = [row("a", warnings=("hot",)), row("b", warnings=("hot",))]
    (caution,) = [item for item in cautions(merge([result(*rows)])) if item.text == "Hot."]
    assert [name.split()[0] for name in caution.rows] == ["a", "b"]


def test_claims_are_grouped_by_verdict_when_only_the_interval_differs() -> None:
    rows = [row(name, accuracy=scored(newly_wrong=n)) for name, n in (("a", 20), ("b", 40))]
    (claim,) = claims(merge([result(*rows)]))
    assert claim.text == "Not shown that the drop is at most 0.3 points."
    assert [name.rpartition(": ")[2] for name in claim.rows] == [
        "the interval reaches +2.14",
        "the interval reaches +4.08",
    ]


def test_page_says_why_when_every_row_failed() -> None:
    failed = BenchRow("broken", "exports/broken", 1, "cpu", error="the file was changed")
    report = merge([result(failed)])
    text = outline(report).text()
    assert "Nothing was measured." in text
    assert "The file was changed." in text
    assert "Nothing was measured." in build_markdown(report)


def test_page_is_built_when_numbers_are_at_their_limits() -> None:
    nothing = replace(
        latency(), latency_ms_p50=0.0, latency_ms_p90=0.0, latency_ms_p99=None, samples_ns=()
    )
    constant = replace(latency(), samples_ns=(20_000_000,) * 50)
    rows = [
        row("zero", latency=nothing, repeats=Repeats((1e-9, 1e-9))),
        row("constant", latency=constant, repeats=Repeats((20.0,))),
        row("huge", p50_ms=1e12, sustained=(SustainedMinute(0, 0.0, 0.0),)),
        row("unwatched", conditions=replace(conditions(), samples=())),
        row("blind", conditions=replace(conditions(seconds=3), samples=conditions().samples[:1])),
    ]
    parsed = outline(merge([result(*rows)]))
    assert "nan" not in parsed.text().lower().split()


def test_front_is_what_nothing_beats_when_rows_compete() -> None:
    def rated(name: str, p50_ms: float, wrong: int, **changes: object) -> BenchRow:
        return row(name, p50_ms=p50_ms, accuracy=scored(newly_wrong=wrong), **changes)

    rows = [
        rated("fast", 10.0, 60),
        rated("beaten", 30.0, 70),
        rated("middle", 20.0, 30),
        rated("as good but slower", 25.0, 30),
        rated("slow", 90.0, 0),
        rated("throttled", 5.0, 0, conditions=conditions("hot")),
        row("unscored", p50_ms=1.0, accuracy=None),
    ]
    front = pareto_front(merge([result(*rows)]).entries)
    assert [entry.name for entry in front] == ["fast", "middle", "slow"]


def test_labels_cover_nothing_when_points_are_crowded() -> None:
    random = np.random.default_rng(5)
    points = [(float(x), float(y)) for x, y in random.uniform(60, 560, (40, 2))]
    bounds = Box(0, 0, 620, 620)
    labels = place_labels(points, ["a-model.tflite.int8"] * 40, bounds, radius=6)
    assert len(labels) > 15
    assert all(bounds.contains(label.box) for label in labels)
    assert not any(one.box.overlaps(two.box) for one, two in combinations(labels, 2))
    for label in labels:
        assert not any(label.box.holds(*point) for point in points)


@pytest.mark.parametrize(("highest", "is_log"), [(30.0, False), (900.0, True)])
def test_latency_axis_is_logarithmic_when_the_range_is_wide(highest: float, is_log: bool) -> None:
    axis = latency_axis([10.0, highest], 0, 100)
    assert axis.is_log is is_log
    ticks = axis.ticks(8)
    assert 2 <= len(ticks) <= 9
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    assert 0 < axis(10.0) < axis(highest) < 100


def test_padded_axis_keeps_its_least_range_when_values_hardly_differ() -> None:
    axis = padded_axis([86.0, 86.01], 100, 0, least=2.0, padding=0.0)
    assert axis.high - axis.low == pytest.approx(2.0)


def test_charts_are_apart_when_rows_were_scored_on_other_photos() -> None:
    elsewhere = replace(measurement().evaluation, source="data/dogs", dataset_sha256="1" * 64)
    report = merge([result(row("a"), row("b", evaluation=elsewhere))])
    page = build_page(report)
    assert page.count('<figure class="scatter">') == 2
    assert "On the photos of data/dogs" in page


def test_read_report_counts_a_result_once_when_it_is_given_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_result(tmp_path / f"{name}.json", result())
    report = read_report([tmp_path / "a.json", tmp_path / "b.json"])
    assert len(report.results) == 1
    assert report.notes == (
        f"{tmp_path / 'b.json'} holds the same result as {tmp_path / 'a.json'} and was counted "
        "once",
    )


def test_read_report_refuses_when_there_is_no_path() -> None:
    with pytest.raises(InputError, match="no result is named"):
        read_report([])


def test_report_tells_results_apart_by_date_when_they_are_of_one_machine() -> None:
    report = merge([result(), result(started="2026-11-09T08:00:00+00:00")])
    text = build_markdown(report)
    assert "Raspberry Pi 5 Model B, 2026-11-02" in text
    assert "Raspberry Pi 5 Model B, 2026-11-09" in text


def test_page_is_small_when_a_result_has_many_samples() -> None:
    rows = [row(f"m{i}", latency=latency(20.0, count=20_000, seed=i)) for i in range(10)]
    assert len(build_page(merge([result(*rows)]))) < 250_000


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
    css = resources.files("edgevit.bench.report").joinpath("page.css").read_text(encoding="utf-8")
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


def test_quick_protocol_is_called_so_when_it_was_used() -> None:
    slow = Protocol("quick", False, 100, 10.0)
    assert "Not comparable with other results." in build_markdown(merge([result(protocol=slow)]))

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from edgevit.bench.protocol import QUICK, Protocol, Repeats, SustainedMinute
from edgevit.bench.report.cautions import cautions
from edgevit.bench.report.entries import Report, merge
from edgevit.bench.report.markdown import build_markdown
from edgevit.bench.report.page import build_page
from edgevit.bench.result import BenchResult, BenchRow
from edgevit.machine import Machine
from edgevit.runtimes.base import AcceleratorUse
from tests.bench.report.outline import outline, pi_with
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
)

NASTY = "<script>alert(1)</script>\"'&|`*_~\x00\ud800\u202e"


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


def test_page_is_small_when_a_result_has_many_samples() -> None:
    rows = [row(f"m{i}", latency=latency(20.0, count=20_000, seed=i)) for i in range(10)]
    assert len(build_page(merge([result(*rows)]))) < 250_000


def test_quick_protocol_is_called_so_when_it_was_used() -> None:
    slow = Protocol("quick", False, 100, 10.0)
    assert "Not comparable with other results." in build_markdown(merge([result(protocol=slow)]))

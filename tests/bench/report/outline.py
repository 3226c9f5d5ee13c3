"""Reads a report's page."""

from __future__ import annotations

from edgevit.bench.report.entries import Report, merge
from edgevit.bench.report.page import build_page
from tests.bench.results import result, row
from tests.pages.outline import Outline, outline_of


def outline(report: Report) -> Outline:
    return outline_of(build_page(report))


def pi_with(**changes: object) -> Report:
    return merge([result(row(**changes))])

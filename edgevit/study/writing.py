"""What a study leaves for readers: the page, its summary in Markdown, and lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edgevit.bench.report.entries import merge
from edgevit.bench.report.markdown import build_markdown
from edgevit.metrics import has_top5
from edgevit.pages import words
from edgevit.pages.markdown import escape, table
from edgevit.storage import write_atomically
from edgevit.study.conclusion import Criterion, conclude
from edgevit.study.page import build_study_page
from edgevit.study.results import notes_of
from edgevit.study.study import Study

PAGE_FILE = "report.html"
MARKDOWN_FILE = "report.md"
_MODELS = (
    ("Model", False),
    ("Input", True),
    ("Parameters", True),
    ("Test top-1, %", True),
    ("Test top-5, %", True),
    ("Test loss, nats", True),
    ("Epochs", True),
    ("Training", True),
    ("Started from", False),
)


def write_study(study: Study, out: Path) -> tuple[Path, Path]:
    """Write the page and the summary; those of an earlier call are replaced.

    Returns:
        Their paths.
    """
    page, markdown = out / PAGE_FILE, out / MARKDOWN_FILE
    write_atomically(page, build_study_page(study).encode())
    write_atomically(markdown, build_study_markdown(study).encode())
    return page, markdown


def build_study_markdown(study: Study) -> str:
    """Return the summary as GitHub-flavoured Markdown."""
    dataset = study.dataset
    photos = ", ".join(
        f"{len(dataset.split(name).photos):,} {name}" for name in ("train", "val", "test")
    )
    blocks = [
        f"# {escape(study.title)}",
        f"{len(dataset.classes):,} classes, {len(dataset.photos):,} photos ({photos}).",
        "## Conclusion",
        _conclusion(study),
        *(f"- {escape(text)}" for text in notes_of(study)),
        "## Models",
        table(_MODELS, _model_rows(study)),
    ]
    if study.bench is not None and study.bench.rows:
        blocks += ["## Exports", build_markdown(merge([study.bench])).rstrip()]
    return "\n\n".join(blocks) + "\n"


def conclusion_lines(study: Study, criteria: Sequence[Criterion]) -> Iterator[str]:
    """Yield the conclusion for a terminal: a question, each model's value, and the answer."""
    names = [model.name for model in study.models]
    width = max(map(len, names))
    for criterion in criteria:
        question = f"{criterion.question}: " if criterion.question else ""
        yield f"{question}{criterion.measure}"
        for index, (name, value) in enumerate(zip(names, criterion.values, strict=True)):
            mark = "*" if index == criterion.best else " "
            yield f"  {mark} {name:<{width}}  {value}"
        yield f"    {criterion.answer}"


def _conclusion(study: Study) -> str:
    names = [escape(model.name) for model in study.models]
    columns = (("Question", False), *((name, False) for name in names), ("Answer", False))
    rows = []
    for criterion in conclude(study):
        question = ", ".join(filter(None, (criterion.question, criterion.measure)))
        values = [
            f"**{escape(text)}**" if index == criterion.best else escape(text)
            for index, text in enumerate(criterion.values)
        ]
        rows.append([escape(question), *values, escape(criterion.answer)])
    return table(columns, rows)


def _model_rows(study: Study) -> Iterator[list[str]]:
    for model in study.models:
        record = model.run.record
        accuracy = record.reference.accuracy
        height, width, _ = record.spec.input_shape
        yield [
            escape(model.name),
            f"{height} × {width}",
            f"{model.parameters.total:,}",
            words.percent(accuracy.top1),
            words.percent(accuracy.top5 if has_top5(len(record.labels)) else None),
            f"{accuracy.loss:.4f}",
            f"{record.training.epochs:,}",
            words.duration(record.training.seconds),
            escape(Path(record.training.weights).name),
        ]

"""The accuracy study's result: one document, what is to be reached, and the Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accuracy_exports import Measured
from report import table

from edgevit.export.ladder import DECISIVE_MARGIN
from edgevit.machine import Machine

KIND = "edgevit.benchmark.accuracy"
SCHEMA_VERSION = 1

_NOTHING = "–"
_MARKS = {True: "✓", False: "✗", None: ""}
_VIT_INT8, _OTHER_INT8 = 0.993, 0.995
_AT_LEAST = {"fp16": 1.0, "int8-full": 0.99}


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        measured: ``None`` where there are no answers.
        error: Why there are none.
        met: Whether the goal was reached; ``None`` where there is no goal.
    """

    measured: Measured | None
    error: str | None
    met: bool | None


@dataclass(frozen=True)
class Row:
    """One way of exporting a run.

    Attributes:
        name: Such as ``edgevit tflite int8``.
        ours: Whether it is edgevit's.
        at_least: Share of the same top-1 answers to reach, 0–1; ``None`` if there is no goal.
        plain: Of the run as it was trained.
        outlier: Of its variant with outliers; ``None`` if there is none.
    """

    name: str
    ours: bool
    at_least: float | None
    plain: Outcome
    outlier: Outcome | None


@dataclass(frozen=True)
class RunResult:
    """Everything about one trained model.

    Attributes:
        top1: Of full precision on the test photos, 0–1.
        unsure_count: Test photos of which full precision gives its best two answers nearly the
            same probability: what can flip first.
        outlier_difference: Largest change of a probability by the outliers in float32.
    """

    model: str
    seed: int
    run_sha256: str
    epochs: int
    top1: float
    unsure_count: int
    outlier_difference: float | None
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Study:
    """The body of the document.

    Attributes:
        outliers: The factor; 0 if there are no variants.
        outlier_channels: Of each layer norm.
    """

    started: str
    machine: Machine
    versions: dict[str, str]
    dataset: str
    dataset_sha256: str
    classes: int
    train_count: int
    test_count: int
    outliers: float
    outlier_channels: int
    runs: tuple[RunResult, ...]


def goal_of(model: str, precision: str | None) -> float | None:
    """Return the share of the same top-1 answers to reach, 0–1.

    Args:
        model: The architecture.
        precision: One of edgevit's; ``None`` for an obvious file.
    """
    if precision == "int8":
        return _VIT_INT8 if model.startswith("vit") else _OTHER_INT8
    return None if precision is None else _AT_LEAST.get(precision)


def outcome_of(measured: Measured | str, at_least: float | None) -> Outcome:
    """Judge a file's answers, or the reason why there are none."""
    if isinstance(measured, str):
        return Outcome(None, measured, None if at_least is None else False)
    met = None if at_least is None else measured.drop.agreement >= at_least
    return Outcome(measured, None, met)


def goals_met(study: Study) -> tuple[int, int]:
    """Return how many goals were reached, and how many there are."""
    marks = [
        outcome.met
        for run in study.runs
        for row in run.rows
        for outcome in (row.plain, row.outlier)
        if outcome is not None and outcome.met is not None
    ]
    return sum(marks), len(marks)


def render(study: Study, picture: str) -> str:
    """Return the Markdown.

    Args:
        study: The result.
        picture: Path of the picture, as seen from the Markdown file.
    """
    met, goals = goals_met(study)
    versions = ", ".join(f"{name} {version}" for name, version in study.versions.items())
    parts = [
        "# Accuracy study",
        f"{study.test_count} test photos of {study.classes} classes ({study.train_count} to train "
        f"on; set {study.dataset_sha256[:12]}…): one photo is {_point(study):.2f} points of "
        "agreement or drop, and finer differences cannot be seen. Drops are paired, with a 95 % "
        "interval; *changed* counts photos with another answer than in full precision, of these "
        "−lost and +won. dB: centred log-probabilities against full precision's; where a "
        "file rounds its output to a step, both are cut off at half of it.",
        *_about_outliers(study),
        f"{study.machine.cpu.model}. {versions}.",
        table(
            (
                *("model", "seed", "epochs", "full precision, top-1 %"),
                f"photos with the best two within {DECISIVE_MARGIN:g}",
            ),
            _run_rows(study),
        ),
        f"Goals reached: {met} of {goals}.",
        table(_headings(study), _rows(study)),
        f"![Agreement with full precision]({picture})",
    ]
    if failures := _failures(study):
        parts += ["Not measured:", "\n".join(f"- {line}" for line in failures)]
    return "\n\n".join(parts) + "\n"


def _point(study: Study) -> float:
    return 100.0 / study.test_count


def _about_outliers(study: Study) -> list[str]:
    differences = [run.outlier_difference for run in study.runs if run.outlier_difference]
    if not differences:
        return []
    return [
        f"*Outliers*: in every encoder block {study.outlier_channels} channels of each layer norm "
        f"are {study.outliers / 2:g} to {study.outliers * 1.5:g} times as large, and the rows of "
        "the dense layers that read them as much smaller. In float32 no probability changes by "
        f"more than {max(differences):.1g}."
    ]


def _run_rows(study: Study) -> list[Sequence[str]]:
    return [
        (
            *(run.model, str(run.seed), str(run.epochs)),
            *(f"{100 * run.top1:.2f}", str(run.unsure_count)),
        )
        for run in study.runs
    ]


def _has_outliers(study: Study) -> bool:
    return any(row.outlier for run in study.runs for row in run.rows)


def _headings(study: Study) -> Sequence[str]:
    measured = ("agreement, %", "", "changed", "drop, points", "dB")
    plain: tuple[str, ...] = ("model", "seed", "export", "to reach, %", *measured)
    if not _has_outliers(study):
        return plain
    return (*plain, *(f"outliers: {measured[0]}", *measured[1:]))


def _rows(study: Study) -> list[Sequence[str]]:
    width = len(_headings(study))
    rows: list[Sequence[str]] = []
    for run in study.runs:
        for row in run.rows:
            goal = _NOTHING if row.at_least is None else f"≥ {100 * row.at_least:g}"
            cells = (run.model, str(run.seed), row.name, goal)
            rows.append((*cells, *_cells(row.plain), *_cells(row.outlier))[:width])
    return rows


def _cells(outcome: Outcome | None) -> tuple[str, ...]:
    if outcome is None:
        return (_NOTHING, "", _NOTHING, _NOTHING, _NOTHING)
    mark, measured = _MARKS[outcome.met], outcome.measured
    if measured is None:
        return ("none", mark, _NOTHING, _NOTHING, _NOTHING)
    drop = measured.drop
    return (
        f"{100 * drop.agreement:.2f}",
        mark,
        f"{measured.changed} (−{drop.newly_wrong} +{drop.newly_right})",
        f"{_signed(drop.drop_points)} ({_signed(drop.drop_points_low)} to "
        f"{_signed(drop.drop_points_high)})",
        f"{measured.sqnr_db:.1f}",
    )


def _signed(points: float) -> str:
    text = f"{points:+.2f}".replace("-", "−")
    return "0.00" if text[1:] == "0.00" else text


def _failures(study: Study) -> list[str]:
    return [
        f"{run.model}, seed {run.seed}, {row.name}{which}: {outcome.error}"
        for run in study.runs
        for row in run.rows
        for which, outcome in (("", row.plain), (", outliers", row.outlier))
        if outcome is not None and outcome.error is not None
    ]

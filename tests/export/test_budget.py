"""Meeting a budget: the worst layers stay float, as few as needed, in files that are measured."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgevit.bundle import Bundle, RungRecord
from edgevit.data.dataset import Dataset, Split
from edgevit.errors import CheckFailedError, InputError
from edgevit.export import budget
from edgevit.export.budget import keep_in_float
from edgevit.export.choices import Choices
from edgevit.export.exporter import check_budget, export
from edgevit.export.job import ExportJob
from edgevit.export.ladder import Ladder, RoundingFailedError, check_arithmetic
from edgevit.export.precision import Precision
from edgevit.export.sensitivity import LayerDamage, Sensitivity
from edgevit.run import Run
from tests.export.files import selected
from tests.export.harder_runs import taught_job, with_bad_layer
from tests.export.runs import with_choices

FORMATS: tuple[tuple[str, Precision], ...] = (
    ("tflite", "int8"),
    ("onnx", "int8"),
    ("onnx", "int8-dynamic"),
    ("openvino", "int8"),
)


def quietly(rung: RungRecord) -> None:
    """Announce nothing."""


@pytest.mark.parametrize(("format_name", "precision"), FORMATS)
def test_bad_layer_stays_float_when_there_is_a_budget(
    bad_job: ExportJob, tmp_path: Path, format_name: str, precision: Precision
) -> None:
    job = with_choices(bad_job, Choices(max_drop_points=0.0))
    selection = selected(job.graph, format_name, precision)
    announced: list[RungRecord] = []
    export(job, selection, tmp_path / "b", announce=announced.append)
    record = Bundle.load(tmp_path / "b").record
    # Climbed twice: with everything in int8 it failed.
    assert [rung.name for rung in announced if not rung.passed] == ["values"]
    assert [rung.name for rung in announced].count("loads") == 2
    assert all(rung.passed for rung in record.ladder)
    assert record.max_drop_points == 0
    assert record.validation is not None
    assert record.validation.drop_points <= 0
    assert record.validation.image_count == 15  # all of them
    assert record.float_layers is not None
    assert record.float_layers.names == ("block_1/mlp_2",)
    assert record.float_layers.latency_ms_p50 > 0
    assert record.float_layers.latency_ms_p50_all_int8 > 0
    assert record.float_layers.threads >= 1
    # It really is in float, and a file that should have none would not pass.
    file = selection.lowering.describe(tmp_path / "b" / record.model_file)
    assert len(file.float_matrix_ops) == 1
    with pytest.raises(CheckFailedError, match=r"1 convolutions .* float32 \(0 should\)"):
        check_arithmetic(Ladder(quietly), file, precision)


def test_two_layers_stay_float_when_one_is_not_enough(
    worse_job: ExportJob, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = with_choices(worse_job, Choices(max_drop_points=5.0))
    bundle = export(job, selected(job.graph, "tflite", "int8"), tmp_path / "b", announce=quietly)
    assert bundle.record.float_layers is not None
    assert bundle.record.float_layers.names == ("block_1/mlp_2", "block_2/mlp_2")
    notes = capfd.readouterr().err
    assert "Too much was rounded: looking for the layers that must stay float" in notes
    assert "  1 of 27 layers in float: the values are not the graph's" in notes
    assert "  2 of 27 layers in float: that is enough" in notes


def test_chosen_layers_count_when_the_budget_asks_for_more(
    worse_job: ExportJob, tmp_path: Path
) -> None:
    choices = Choices(
        max_drop_points=5.0, float_layers=frozenset({"block_2/mlp_2", "block_0/query"})
    )
    job = with_choices(worse_job, choices)
    bundle = export(job, selected(job.graph, "tflite", "int8"), tmp_path / "b", announce=quietly)
    assert bundle.record.float_layers is not None
    names = ("block_0/query", "block_1/mlp_2", "block_2/mlp_2")
    assert bundle.record.float_layers.names == names


def test_more_layers_stay_float_when_the_drop_is_met_and_the_values_are_not(
    run: Run, tinted_photos: Dataset, tmp_path: Path
) -> None:
    # With one of the three in float no label changes, but the probabilities are not the graph's.
    weights = run.weights()
    for block in (0, 1, 2):
        weights = with_bad_layer(weights, block)
    job = taught_job(tmp_path / "run", run, tinted_photos, weights, Choices(max_drop_points=7.0))
    selection = selected(job.graph, "tflite", "int8")
    bundle = export(job, selection, tmp_path / "b", announce=quietly)
    assert bundle.record.float_layers is not None
    assert len(bundle.record.float_layers.names) > 1


def test_every_layer_is_int8_when_the_budget_is_met(good_job: ExportJob, tmp_path: Path) -> None:
    job = with_choices(good_job, Choices(max_drop_points=0.0))
    bundle = export(job, selected(job.graph, "tflite", "int8"), tmp_path / "b", announce=quietly)
    assert bundle.record.float_layers is None
    assert bundle.record.max_drop_points == 0
    assert "budget 0)" in bundle.record.ladder[-1].detail


def assert_nothing_is_made(
    job: ExportJob, precision: Precision, folder: Path, error: type[CheckFailedError], words: str
) -> None:
    selection = selected(job.graph, "tflite", precision)
    with pytest.raises(error, match=words):
        export(job, selection, folder / "b", announce=quietly)
    assert os.listdir(folder) == []


def test_bad_layer_fails_when_there_is_no_budget(bad_job: ExportJob, tmp_path: Path) -> None:
    words = "failed at 'values'.*rounded worst: block_1/mlp_2/kernel"
    assert_nothing_is_made(bad_job, "int8", tmp_path, RoundingFailedError, words)


def test_integer_file_fails_plainly_when_a_budget_is_missed(
    bad_job: ExportJob, tmp_path: Path
) -> None:
    job = with_choices(bad_job, Choices(max_drop_points=0.0))
    words = "failed at '(weights|values|accuracy)'.*Try int8 without -full"
    assert_nothing_is_made(job, "int8-full", tmp_path, RoundingFailedError, words)


def test_nothing_is_made_when_the_budget_cannot_be_met(
    worse_job: ExportJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_LARGEST_SHARE", 0.01)  # one layer at most
    job = with_choices(worse_job, Choices(max_drop_points=1.0))
    words = (
        r"the budget of 1 points cannot be met: with 1 of 27 layers in float, the values "
        r"are not the graph's.*"
        r"No bundle was kept\. Allow a larger --max-drop, or export fp16"
    )
    assert_nothing_is_made(job, "int8", tmp_path, CheckFailedError, words)


@pytest.mark.parametrize("points", [float("nan"), float("inf")])
def test_budget_is_refused_when_it_is_no_number(job: ExportJob, points: float) -> None:
    with pytest.raises(InputError, match=f"a budget of {points} points is none"):
        check_budget(replace(job, choices=Choices(max_drop_points=points)))


def test_budget_is_refused_when_there_are_no_validation_photos(job: ExportJob) -> None:
    away = replace(
        job, dataset=None, given=job.calibration_set, choices=Choices(max_drop_points=1.0)
    )
    with pytest.raises(InputError, match="--max-drop needs validation photos"):
        check_budget(away)
    assert job.dataset is not None
    without = Dataset.load(job.dataset.root)
    without.__dict__["split"] = lambda name: Split(name, ())
    with pytest.raises(InputError, match="prepared with --val-share above 0"):
        check_budget(replace(job, dataset=without, choices=Choices(max_drop_points=1.0)))
    check_budget(replace(job, choices=Choices(max_drop_points=1.0)))
    check_budget(replace(away, choices=Choices()))


COUNT = 27
NAMES = tuple(f"layer_{index:02}" for index in range(COUNT))


def searched(
    monkeypatch: pytest.MonkeyPatch,
    job: ExportJob,
    drop_points: Callable[[int], float],
    float_layers: frozenset[str] = frozenset(),
) -> tuple[frozenset[str], list[int]]:
    """Search with drops by the number of layers in float; returns what is kept and what was tried.

    The layers are ranked in the order of their names.
    """
    tried: list[int] = []

    def problem(job: Any, selection: Any, kept: frozenset[str]) -> str | None:
        tried.append(len(kept))
        drop = drop_points(len(kept))
        return f"drop {drop:+.2f}" if drop > 1.0 else None

    layers = tuple(LayerDamage(name, "calibrated", 1, 1.0, 1.0) for name in NAMES)
    monkeypatch.setattr(budget, "_problem", problem)
    monkeypatch.setattr(
        budget, "sensitivity_of", lambda *arguments: Sensitivity(layers, 1.0, 1.0, 1)
    )
    choices = Choices(max_drop_points=1.0, float_layers=float_layers)
    selection = selected(job.graph, "tflite", "int8")
    return keep_in_float(with_choices(job, choices), selection), tried


@pytest.mark.parametrize("needed", range(1, COUNT // 2 + 1))
def test_fewest_layers_are_found_when_the_budget_can_be_met(
    job: ExportJob, monkeypatch: pytest.MonkeyPatch, needed: int
) -> None:
    kept, tried = searched(monkeypatch, job, lambda count: 1.0 if count >= needed else 1.01)
    assert kept == frozenset(NAMES[:needed])
    assert len(tried) == len(set(tried)) <= 8


def test_search_stops_when_half_of_the_layers_are_not_enough(
    job: ExportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckFailedError, match=r"with 13 of 27 layers in float, drop \+2\.50"):
        searched(monkeypatch, job, lambda count: 2.5 if count < 14 else 0.0)


def test_what_is_kept_met_the_budget_when_drops_are_not_in_order(
    job: ExportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    drops = {1: 9.0, 2: 3.0, 4: 2.0, 8: 0.5, 6: 1.5, 7: 1.2, 5: 0.0}
    kept, tried = searched(monkeypatch, job, drops.__getitem__)
    assert drops[len(kept)] <= 1.0
    assert len(kept) in tried


def test_chosen_layers_are_kept_on_top_when_the_search_begins(
    job: ExportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = frozenset({NAMES[1], NAMES[20]})
    kept, tried = searched(monkeypatch, job, lambda count: 1.0 if count >= 5 else 9.0, chosen)
    assert kept == chosen | {NAMES[0], NAMES[2], NAMES[3]}
    assert min(tried) == 3


def test_latencies_are_medians_when_sessions_take_turns() -> None:
    calls: list[str] = []

    def session(name: str) -> SimpleNamespace:
        return SimpleNamespace(invoke=lambda pixels: calls.append(name))

    pixels = np.zeros((1, 2, 2, 3), np.uint8)
    medians = budget._medians_ms((session("a"), session("b")), pixels)  # type: ignore[arg-type]
    assert calls == ["a", "b"] * 45
    assert all(0 < median < 1000 for median in medians)

"""Outlier channels, as large transformers have them, cost eight bits nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevit.data.dataset import Dataset
from edgevit.export.choices import Choices
from edgevit.export.closeness import centred_logits, sqnr_db
from edgevit.export.exporter import export
from edgevit.export.job import ExportJob, open_job
from edgevit.export.precision import Precision
from edgevit.run import Run
from edgevit.runtimes.classifier import open_classifier, predict_all
from tests.export.files import opened, selected
from tests.export.harder_runs import with_outliers
from tests.export.runs import rewritten
from tests.export.template import TOLERANCES

FACTOR = 40.0


@pytest.fixture(scope="module")
def outlier_job(tmp_path_factory: pytest.TempPathFactory, run: Run, photos: Dataset) -> ExportJob:
    weights = with_outliers(run.weights(), FACTOR)
    return ExportJob(rewritten(run, tmp_path_factory.mktemp("outliers"), weights), photos)


def test_norms_have_outliers_and_answers_do_not_change_when_channels_are_multiplied(
    job: ExportJob, outlier_job: ExportJob
) -> None:
    pixels = job.held_out.pixels[:4]
    plain, hard = job.trained_graph, outlier_job.trained_graph
    np.testing.assert_allclose(hard.evaluate(pixels), plain.evaluate(pixels), atol=1e-5)
    values = hard.values(pixels)
    norms = [f"block_{block}/norm_{index}" for block in range(4) for index in (1, 2)]
    for name in norms:
        sizes = np.sort(np.abs(values[name]).max(axis=(0, 1)))
        assert sizes[-6] > 2 * sizes[-7], name  # six channels stand out


@pytest.mark.parametrize(
    ("format_name", "precision"),
    [
        ("tflite", "int8"),
        ("tflite", "int8-full"),
        ("onnx", "int8"),
        ("onnx", "int8-dynamic"),
        ("openvino", "int8"),
    ],
)
def test_answers_are_the_runs_when_norms_have_outliers(
    outlier_job: ExportJob, tmp_path: Path, format_name: str, precision: Precision
) -> None:
    selection = selected(outlier_job.graph, format_name, precision)
    bundle = export(outlier_job, selection, tmp_path / "b", announce=lambda rung: None)
    assert all(rung.passed for rung in bundle.record.ladder)
    session = open_classifier(tmp_path / "b", threads=1).session
    expected = outlier_job.held_out
    answers = predict_all(session, expected.pixels)
    assert np.ptp(expected.reference) > 0.3
    np.testing.assert_allclose(answers, expected.reference, atol=TOLERANCES[precision])


def logits_db(job: ExportJob, folder: Path) -> float:
    """Return the SQNR of the logits of an int8 file in ONNX Runtime."""
    selection = selected(job.graph, "onnx", "int8")
    session = opened(folder, selection, job.source(selection.recipe))
    answers = predict_all(session, job.held_out.pixels)
    return sqnr_db(centred_logits(job.held_out.reference), centred_logits(answers))


def test_outliers_are_balanced_when_they_are_not_folded(
    outlier_job: ExportJob, tmp_path: Path
) -> None:
    """The gains stay in the norms: what the balance is for."""
    noises = {}
    for name in ("balance-norms", ""):
        # Ranges at run time would be another way out.
        skipped = {"fold-layer-norm", "choose-operands"} | ({name} if name else set())
        choices = Choices(skipped_passes=frozenset(skipped))
        job = open_job(outlier_job.run, None, None, choices)
        job.__dict__["calibration_set"] = outlier_job.calibration_set
        noises[name] = logits_db(job, tmp_path)
    assert noises[""] > noises["balance-norms"] + 6
    assert noises[""] > logits_db(outlier_job, tmp_path) - 4  # about as good as folded

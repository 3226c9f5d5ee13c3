"""Every pass can be left out, for what it does to be seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgevit.calibration.ranges import ESTIMATORS
from edgevit.errors import InputError
from edgevit.export.choices import Choices, choose
from edgevit.export.closeness import centred_logits, sqnr_db
from edgevit.export.job import ExportJob
from edgevit.export.passes.catalogue import PASS_NAMES, check_pass_names
from edgevit.export.precision import Precision
from edgevit.runtimes.classifier import predict_all
from tests.export.files import opened, selected
from tests.export.runs import with_choices

# What an int8 file of vit-tiny in ONNX is no other without.
WITHOUT_EFFECT = {
    "pad-pixels",
    "balance-convolutions",
    "balance-queries",
    "rotate-residual",
    "join-pixels",
}
# With every pass, files have 28 to 32 dB, and 22 in int8-full.
LEAST_DB = 24.0


@pytest.fixture(scope="module")
def small_job(job: ExportJob) -> ExportJob:
    """The job with few images: what is looked at here is not the last decibel."""
    given = job.calibration_set
    few = replace(given, images=given.images[:8], held_out=given.held_out[:6])
    small = replace(job)
    small.__dict__.update(
        calibration_set=few, trained_graph=job.trained_graph, graph=job.graph, card=job.card
    )
    return small


def without(job: ExportJob, *names: str) -> ExportJob:
    other = replace(job, choices=choose(names, []))
    other.__dict__.update(
        calibration_set=job.calibration_set, trained_graph=job.trained_graph, card=job.card
    )
    return other


@pytest.fixture(scope="module")
def plain_file(small_job: ExportJob) -> bytes:
    return file_of(small_job)


def file_of(job: ExportJob) -> bytes:
    recipe = selected(job.graph, "onnx", "int8").recipe
    return recipe.write(job.source(recipe))["model.onnx"]


def logits_db(job: ExportJob, folder: Path, format_name: str, precision: Precision) -> float:
    """Return the SQNR of a file's logits against the plain graph's, decibels."""
    selection = selected(job.graph, format_name, precision)
    session = opened(folder, selection, job.source(selection.recipe))
    pixels = job.calibration_set.held_out
    expected = job.trained_graph.evaluate(pixels)
    return sqnr_db(centred_logits(expected), centred_logits(predict_all(session, pixels)))


@pytest.mark.parametrize("name", PASS_NAMES)
def test_answers_are_near_the_graphs_when_a_pass_is_left_out(
    small_job: ExportJob, plain_file: bytes, tmp_path: Path, name: str
) -> None:
    job = without(small_job, name)
    assert (file_of(job) == plain_file) == (name in WITHOUT_EFFECT)
    assert logits_db(job, tmp_path, "onnx", "int8") > LEAST_DB


@pytest.mark.parametrize(
    ("format_name", "precision"),
    [("tflite", "int8"), ("tflite", "int8-full"), ("openvino", "int8")],
)
@pytest.mark.parametrize("name", ["unfold-patches", "fold-attention-scale"])
def test_answers_are_near_the_graphs_when_any_format_lacks_a_pass(
    small_job: ExportJob, tmp_path: Path, name: str, format_name: str, precision: Precision
) -> None:
    job = without(small_job, name)
    assert logits_db(job, tmp_path, format_name, precision) > LEAST_DB - 6 * (
        precision == "int8-full"
    )


@pytest.mark.parametrize(("format_name", "precision"), [("onnx", "int8"), ("tflite", "int8-full")])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_answers_are_near_the_graphs_when_any_estimator_is_chosen_for_all(
    small_job: ExportJob, tmp_path: Path, estimator: str, format_name: str, precision: Precision
) -> None:
    job = with_choices(small_job, choose([], [estimator]))
    assert logits_db(job, tmp_path, format_name, precision) > 18


def test_grid_is_the_attentions_own_when_its_scale_is_not_folded(
    small_job: ExportJob, tmp_path: Path
) -> None:
    # The scale of the scores and that of a calibrated value are constants of one file.
    job = without(small_job, "fold-attention-scale", "choose-operands")
    assert logits_db(job, tmp_path, "onnx", "int8") > LEAST_DB


@pytest.mark.parametrize("name", ["rotate-residual", "balance-queries", "balance-values"])
def test_integer_file_changes_when_its_pass_is_left_out(small_job: ExportJob, name: str) -> None:
    recipe = selected(small_job.graph, "tflite", "int8-full").recipe
    other = without(small_job, name)
    assert recipe.write(other.source(recipe)) != recipe.write(small_job.source(recipe))


def test_graph_is_the_trained_one_when_every_pass_is_left_out(
    small_job: ExportJob, tmp_path: Path
) -> None:
    job = without(small_job, *PASS_NAMES)
    assert job.graph is job.trained_graph
    source = job.source(selected(job.graph, "onnx", "int8").recipe)
    assert source.graph.parameter_count == job.trained_graph.parameter_count
    assert set(source.plan.values()) == {"calibrated"}
    assert logits_db(job, tmp_path, "onnx", "int8") > LEAST_DB - 6


def test_valid_names_are_listed_when_a_pass_is_unknown() -> None:
    valid = ", ".join(PASS_NAMES)
    with pytest.raises(InputError, match=rf"unknown pass 'smooth'\. Valid: {valid}$"):
        choose(["smooth", "correct-bias"], [])
    with pytest.raises(InputError, match="unknown pass 'correct_bias'"):
        check_pass_names(["correct_bias"])
    assert check_pass_names(PASS_NAMES) == frozenset(PASS_NAMES)
    assert len(set(PASS_NAMES)) == len(PASS_NAMES)
    assert choose([], []) == Choices()

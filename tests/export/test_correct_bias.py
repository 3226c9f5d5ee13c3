"""Corrected biases: the mean of each product's rounding error is gone, and nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from edgevit.calibration.statistics import Calibration
from edgevit.export.choices import Choices
from edgevit.export.graph import DeployGraph
from edgevit.export.job import ExportJob
from edgevit.export.passes.correct_bias import bias_corrections, correct_bias
from edgevit.export.passes.exact import run_passes
from edgevit.export.plan import RoundedProduct
from edgevit.export.preparation import Preparation
from edgevit.preprocessing import Pixels
from tests.export.files import prepared, selected
from tests.export.runs import with_choices
from tests.export.small_graphs import first_convolutions, squares


def mean_errors(
    graph: DeployGraph, products: Mapping[str, RoundedProduct], pixels: Pixels
) -> dict[str, np.ndarray]:
    """Return the mean error of each channel of each product, next to the errors' own size."""
    found = {}
    for op, inputs, value in graph.walk(pixels):
        if op.name in products:
            error = (products[op.name](*inputs) - value).reshape(-1, value.shape[-1])
            found[op.name] = np.abs(error.mean(axis=0)) / error.std()
    return found


def uncorrected(preparation: Preparation) -> Preparation:
    return replace(preparation, corrects_bias=False)


def assert_means_are_gone(preparation: Preparation) -> None:
    graph, pixels = preparation.calibration.graph, preparation.calibration.images
    before = mean_errors(graph, uncorrected(preparation).products(), pixels)
    after = mean_errors(graph, preparation.products(), pixels)
    assert before.keys() == after.keys()
    assert max(error.max() for error in before.values()) > 0.1
    for name, error in after.items():
        assert error.max() < 1e-3, name


def test_mean_error_is_gone_when_a_model_is_calibrated(job: ExportJob) -> None:
    recipe = selected(job.graph, "onnx", "int8").recipe
    assert recipe.corrects_bias
    assert_means_are_gone(job.preparation(recipe))


@pytest.mark.parametrize("format_name", ["onnx", "tflite"])
def test_mean_error_is_gone_when_convolutions_follow_each_other(format_name: str) -> None:
    pixels = np.concatenate([squares() for _ in range(3)])
    graph, _ = run_passes(first_convolutions(), pixels[:2])
    assert_means_are_gone(prepared(graph, selected(graph, format_name, "int8").recipe, pixels))


def test_only_biases_change_when_they_are_corrected(job: ExportJob) -> None:
    preparation = job.preparation(selected(job.graph, "onnx", "int8").recipe)
    before, after = preparation.calibration.graph, preparation.graph(frozenset())
    changed = set()
    for op in before.ops:
        for field, value in op.arrays().items():
            if not np.array_equal(after.op(op.name).arrays()[field], value):
                changed.add(f"{op.name}/{field}")
    assert changed == {f"{name}/bias" for name in preparation.rounding.plan}


def test_float_layers_keep_their_bias_when_others_are_corrected(job: ExportJob) -> None:
    preparation = job.preparation(selected(job.graph, "onnx", "int8").recipe)
    kept = frozenset({"block_1/mlp_2", "logits"})
    mixed, before = preparation.graph(kept), preparation.calibration.graph
    for name in preparation.rounding.plan:
        same = np.array_equal(mixed.op(name).arrays()["bias"], before.op(name).arrays()["bias"])
        assert same == (name in kept), name
    assert kept.isdisjoint(preparation.products(kept))


def test_biases_stay_when_the_pass_is_left_out(job: ExportJob) -> None:
    choices = Choices(skipped_passes=frozenset({"correct-bias"}))
    preparation = with_choices(job, choices).preparation(selected(job.graph, "onnx", "int8").recipe)
    before, after = preparation.calibration.graph, preparation.graph(frozenset())
    for name in preparation.rounding.plan:
        np.testing.assert_array_equal(
            after.op(name).arrays()["bias"], before.op(name).arrays()["bias"]
        )


def test_correction_is_of_all_images_when_the_last_batch_is_small() -> None:
    graph, _ = run_passes(first_convolutions(), squares())
    pixels = squares()  # three images, in batches of two
    preparation = prepared(graph, selected(graph, "onnx", "int8").recipe, pixels)
    rounded = uncorrected(preparation).products()
    calibration = preparation.calibration
    corrections = bias_corrections(calibration, rounded)
    each = [
        bias_corrections(Calibration(calibration.graph, pixels[i : i + 1]), rounded)
        for i in range(len(pixels))
    ]
    for name, correction in corrections.items():
        expected = np.mean([one[name] for one in each], axis=0)
        np.testing.assert_allclose(correction, expected, atol=1e-6)
        assert correction.any()
    corrected = correct_bias(calibration.graph, corrections).op("d").arrays()["bias"]
    before = calibration.graph.op("d").arrays()["bias"]
    np.testing.assert_allclose(corrected, before + corrections["d"])

"""What calibration prepares: checked, shared, and told apart by what a user chose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgevit.calibration.statistics import Calibration
from edgevit.errors import CheckFailedError
from edgevit.export.choices import choose
from edgevit.export.job import ExportJob
from edgevit.export.ops import Dense
from edgevit.export.passes.calibrated import Rounding
from tests.export.files import selected
from tests.export.runs import with_choices


def break_bias(calibration: Calibration, rounding: Rounding) -> Calibration:
    """Change the answers, as no pass may."""
    logits = calibration.graph.op("logits")
    assert isinstance(logits, Dense)
    bias = logits.bias + np.float32([1, 0, 0])
    return Calibration(
        calibration.graph.edit({"logits": (replace(logits, bias=bias),)}), calibration.images
    )


def test_pass_is_named_when_it_changes_the_answers(job: ExportJob) -> None:
    recipe = selected(job.graph, "onnx", "int8").recipe
    broken = replace(recipe, passes=(*recipe.passes, break_bias))
    with pytest.raises(CheckFailedError, match="the pass break-bias changed a probability by 0"):
        job.preparation(broken)


def test_preparation_is_shared_when_recipes_round_alike(job: ExportJob) -> None:
    recipe = selected(job.graph, "onnx", "int8").recipe
    once = job.preparation(recipe)
    assert job.preparation(replace(recipe, notes=("other words",))) is once
    assert job.preparation(replace(recipe, corrects_bias=False)) is not once
    assert job.preparation(replace(recipe, passes=recipe.passes[:1])) is not once
    assert job.preparation(selected(job.graph, "tflite", "int8-full").recipe) is not once


def test_ranges_are_the_chosen_ones_when_a_user_names_an_estimator(job: ExportJob) -> None:
    recipe = selected(job.graph, "openvino", "int8").recipe
    plain = job.preparation(recipe).ranges
    chosen = with_choices(job, choose([], ["gelu=percentile"])).preparation(recipe).ranges
    assert plain.keys() == chosen.keys()
    changed = {name for name, span in plain.items() if chosen[name] != span}
    assert changed == {f"block_{index}/gelu_1" for index in range(4)} | {"head_gelu"}


def test_source_is_the_plain_graph_when_nothing_is_calibrated(job: ExportJob) -> None:
    for precision in ("fp32", "int8-dynamic"):
        source = job.source(selected(job.graph, "onnx", precision).recipe)
        assert source.graph is job.graph
        assert source.ranges == {}
    assert set(source.plan.values()) == {"per-image"}

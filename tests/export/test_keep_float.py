"""Single layers in float: exactly those that are asked for, in files that real runtimes run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgevit.bundle import Bundle
from edgevit.errors import InputError
from edgevit.export.choices import Choices
from edgevit.export.closeness import centred_logits, sqnr_db
from edgevit.export.exporter import export
from edgevit.export.job import ExportJob
from edgevit.export.passes.exact import run_passes
from edgevit.export.plan import products_of
from edgevit.export.precision import Precision
from edgevit.runtimes.classifier import predict_all
from tests.export.files import opened, selected, source_of
from tests.export.runs import with_choices
from tests.export.small_graphs import first_convolutions, squares

FORMATS: tuple[tuple[str, Precision], ...] = (
    ("tflite", "int8"),
    ("onnx", "int8"),
    ("onnx", "int8-dynamic"),
    ("openvino", "int8"),
)
KEPT = {
    "one": {"block_1/mlp_2"},
    "one of three that read a norm": {"block_0/key"},
    "two of three": {"block_0/key", "block_0/value"},
    "one of three that read a single token": {"block_3/query"},
    "the first, which reads pixels": {"patch_embedding"},
    "the last": {"logits"},
}


@pytest.mark.parametrize(("format_name", "precision"), FORMATS)
def test_those_layers_are_float_when_they_are_kept(
    job: ExportJob, tmp_path: Path, format_name: str, precision: Precision
) -> None:
    selection = selected(job.graph, format_name, precision)
    for kept in map(frozenset, KEPT.values()):
        session = opened(tmp_path, selection, job.source(selection.recipe, kept))
        path = tmp_path / selection.lowering.model_file
        in_float = selection.lowering.describe(path).float_matrix_ops
        assert {named(job, name) for name in in_float} == kept
        assert len(in_float) == len(kept)
        answers = predict_all(session, job.held_out.pixels[:6])
        expected = job.held_out.reference[:6]
        assert sqnr_db(centred_logits(expected), centred_logits(answers)) > 20


def named(job: ExportJob, name: str) -> str:
    """Return the layer that an op of a file computes."""
    layers = [op.name for op in products_of(job.graph) if name.startswith(op.name)]
    return max(layers, key=len, default=name)


@pytest.mark.parametrize(("format_name", "precision"), FORMATS)
def test_answers_are_closer_when_most_layers_are_kept(
    job: ExportJob, tmp_path: Path, format_name: str, precision: Precision
) -> None:
    selection = selected(job.graph, format_name, precision)
    names = frozenset(op.name for op in products_of(job.graph))
    expected = centred_logits(job.held_out.reference)
    noises = []
    for kept in (frozenset[str](), names - {"block_0/mlp_1"}, names):
        session = opened(tmp_path, selection, job.source(selection.recipe, kept))
        answers = predict_all(session, job.held_out.pixels)
        noises.append(sqnr_db(expected, centred_logits(answers)))
    assert noises[0] + 8 < noises[1] < noises[2]
    assert noises[2] > 90  # nothing is rounded any more


@pytest.mark.parametrize(("format_name", "precision"), FORMATS)
def test_bundle_says_so_when_layers_are_kept(
    job: ExportJob, tmp_path: Path, format_name: str, precision: Precision
) -> None:
    kept = frozenset({"logits", "block_0/key"})
    other = with_choices(job, Choices(float_layers=kept))
    selection = selected(job.graph, format_name, precision)
    export(other, selection, tmp_path / "b", announce=lambda rung: None)
    record = Bundle.load(tmp_path / "b").record
    assert record.float_layers is not None
    assert record.float_layers.names == ("block_0/key", "logits")
    assert record.float_layers.latency_ms_p50 > 0
    assert record.max_drop_points is None
    assert all(rung.passed for rung in record.ladder)


def test_float_file_stays_as_it_is_when_layers_are_kept(
    job: ExportJob, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = with_choices(job, Choices(float_layers=frozenset({"logits"})))
    selection = selected(job.graph, "onnx", "fp32")
    bundle = export(other, selection, tmp_path / "b", announce=lambda rung: None)
    assert bundle.record.float_layers is None
    assert "--keep-float changes nothing in fp32" in capfd.readouterr().err


def test_valid_layers_are_listed_when_one_is_unknown(job: ExportJob) -> None:
    other = replace(job, choices=Choices(float_layers=frozenset({"block_9/mlp_2"})))
    other.__dict__.update(calibration_set=job.calibration_set, trained_graph=job.trained_graph)
    message = r"there is no layer 'block_9/mlp_2' to keep in float\. Valid: patch_embedding, blo"
    with pytest.raises(InputError, match=message):
        _ = other.graph
    # A norm is no layer that could be rounded.
    norm = replace(job, choices=Choices(float_layers=frozenset({"block_0/norm_1"})))
    norm.__dict__.update(other.__dict__ | {"choices": norm.choices})
    with pytest.raises(InputError, match="there is no layer 'block_0/norm_1'"):
        _ = norm.graph


@pytest.mark.parametrize("kept", ["c", "d", "logits"])
@pytest.mark.parametrize("format_name", ["tflite", "onnx", "openvino"])
def test_that_layer_is_float_when_convolutions_follow_each_other(
    tmp_path: Path, format_name: str, kept: str
) -> None:
    pixels = np.concatenate([squares() for _ in range(4)])
    graph, _ = run_passes(first_convolutions(), pixels[:2])
    selection = selected(graph, format_name, "int8")
    source = source_of(graph, selection.recipe, pixels, kept=frozenset({kept}))
    session = opened(tmp_path, selection, source)
    file = selection.lowering.describe(tmp_path / selection.lowering.model_file)
    assert len(file.float_matrix_ops) == 1
    (name,) = file.float_matrix_ops
    assert name.startswith((kept, {"c": "r", "d": "s"}.get(kept, kept)))  # or its ReLU
    expected = centred_logits(graph.evaluate(pixels))
    assert sqnr_db(expected, centred_logits(predict_all(session, pixels))) > 30

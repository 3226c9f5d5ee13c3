"""Which layers eight bits harm: the order, the numbers and the folder that holds them."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgevit import documents
from edgevit.errors import InputError
from edgevit.export.budget import sensitivity_of
from edgevit.export.closeness import centred_logits, sqnr_db, top1_agreement
from edgevit.export.job import ExportJob
from edgevit.export.plan import products_of, rounded_products
from edgevit.export.precision import Precision
from edgevit.export.sensitivity import LayerDamage, Sensitivity, measure
from edgevit.export.sensitivity_report import (
    KIND,
    MARKER,
    PICTURE,
    SCHEMA_VERSION,
    write_report,
)
from tests.export.files import selected

ROUNDED: tuple[tuple[str, Precision], ...] = (
    ("tflite", "int8"),
    ("onnx", "int8"),
    ("onnx", "int8-dynamic"),
    ("openvino", "int8"),
)


@pytest.mark.parametrize(("format_name", "precision"), ROUNDED)
def test_bad_layer_is_first_when_layers_are_ranked(
    bad_job: ExportJob, format_name: str, precision: Precision
) -> None:
    recipe = selected(bad_job.graph, format_name, precision).recipe
    found = sensitivity_of(bad_job, recipe, bad_job.held_out.pixels[:8])
    worst, second = found.layers[:2]
    assert worst.name == "block_1/mlp_2"
    assert worst.sqnr_db < second.sqnr_db - 20
    assert found.image_count == 8
    # All together are about as bad as the worst.
    assert found.sqnr_db == pytest.approx(worst.sqnr_db, abs=2)


def test_every_layer_is_listed_once_when_ranked(job: ExportJob) -> None:
    recipe = selected(job.graph, "tflite", "int8").recipe
    layers = sensitivity_of(job, recipe, job.held_out.pixels[:2]).layers
    expected = {op.name: op.kernel.size for op in products_of(job.graph)}
    assert {layer.name: layer.weight_count for layer in layers} == expected
    assert len(layers) == 27
    assert {layer.operand for layer in layers} == {"per-token"}
    noises = [layer.sqnr_db for layer in layers]
    assert noises == sorted(noises)
    assert all(0 <= layer.agreement <= 1 for layer in layers)


def test_damage_is_of_one_layer_alone_when_measured(job: ExportJob) -> None:
    graph, pixels = job.graph, job.held_out.pixels[:3]
    plan = selected(graph, "tflite", "int8").recipe.plan(graph)
    products = rounded_products(graph, plan, {})
    found = measure(graph, plan, products, pixels)
    reference = graph.evaluate(pixels)
    for name in ("patch_embedding", "block_2/mlp_2", "logits"):
        alone = graph.evaluate(pixels, instead={name: products[name]})
        (layer,) = (layer for layer in found.layers if layer.name == name)
        expected = sqnr_db(centred_logits(reference), centred_logits(alone))
        assert layer.sqnr_db == pytest.approx(expected, abs=0.1)
        assert layer.agreement == top1_agreement(reference, alone)
    together = graph.evaluate(pixels, instead=products)
    expected = sqnr_db(centred_logits(reference), centred_logits(together))
    assert found.sqnr_db == pytest.approx(expected, abs=0.1)
    assert found.sqnr_db < min(layer.sqnr_db for layer in found.layers)


def test_files_plan_is_measured_when_the_recipe_is_calibrated(job: ExportJob) -> None:
    recipe = selected(job.graph, "openvino", "int8").recipe
    found = sensitivity_of(job, recipe, job.held_out.pixels[:2])
    preparation = job.preparation(recipe)
    assert {layer.name: layer.operand for layer in found.layers} == dict(preparation.plan)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_nothing_is_ranked_when_nothing_is_rounded(job: ExportJob, precision: Precision) -> None:
    recipe = selected(job.graph, "onnx", precision).recipe
    with pytest.raises(InputError, match=r"nothing is rounded to int8 here\. Ask for int8"):
        sensitivity_of(job, recipe, job.held_out.pixels[:1])


FOUND = Sensitivity(
    layers=(
        LayerDamage("block_1/mlp_2", "calibrated", 1024, 3.5, 0.25),
        LayerDamage("block_0/query", "per-image", 512, 200.0, 1.0),
        LayerDamage("logits_$x^", "per-token", 12, 41.0, 1.0),
    ),
    sqnr_db=3.25,
    agreement=0.5,
    image_count=4,
)


def picture_of(folder: Path) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO((folder / PICTURE).read_bytes())).convert("RGB"))


def test_folder_holds_every_number_and_a_picture_when_written(tmp_path: Path) -> None:
    target = tmp_path
    assert write_report(target, "a $run_1^", FOUND)
    assert sorted(path.name for path in target.iterdir()) == [MARKER, PICTURE]
    assert documents.read(target / MARKER, KIND, SCHEMA_VERSION, Sensitivity) == FOUND
    picture = picture_of(target)
    # Bars of all three kinds are drawn, and the share of changed labels.
    for colour in ("4c78a8", "54a24b", "eeca3b", "e45756"):
        assert (picture == list(bytes.fromhex(colour))).all(axis=-1).sum() > 100, colour


def test_picture_grows_when_there_are_more_layers(tmp_path: Path) -> None:
    more = tuple(replace(FOUND.layers[0], name=f"layer_{index}") for index in range(40))
    for name, layers in (("few", FOUND.layers), ("many", more)):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, "run", replace(FOUND, layers=layers))
    assert len(picture_of(tmp_path / "many")) > 3 * len(picture_of(tmp_path / "few"))


def test_numbers_are_written_alone_when_there_is_no_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not write_report(tmp_path, "run", FOUND)
    assert [path.name for path in tmp_path.iterdir()] == [MARKER]

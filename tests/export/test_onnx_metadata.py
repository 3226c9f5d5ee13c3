"""The metadata of ONNX and OpenVINO files, read back by their runtimes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
import pytest
from onnx.reference import ReferenceEvaluator

from edgevit.export.card import ModelCard
from edgevit.export.job import ExportJob
from edgevit.export.lowering import Source
from edgevit.export.onnx_metadata import metadata_props, model_info, rt_info
from edgevit.export.precision import Precision
from edgevit.export.registry import LOWERINGS
from edgevit.preprocessing import Interpolation, Preprocessing, ResizeMode

LABELS = ("café, noir", " Ärger é\t", '"日本";\u2003<😀> &')
CARD = ModelCard(
    name="tiny – été",
    description='Three sorts of "noise"',
    labels=LABELS,
    preprocessing=Preprocessing(64, 64),
    version="0123456789ab",
)


def write(job: ExportJob, format_name: str, folder: Path, precision: Precision = "fp32") -> Path:
    """Write a file for the run's graph and the card, and return its path."""
    lowering = LOWERINGS.get(format_name)
    recipe = lowering.recipes(job.graph)[precision]
    for name, data in recipe.write(Source(job.graph, CARD)).items():
        (folder / name).write_bytes(data)
    return folder / lowering.model_file


@pytest.fixture(scope="module")
def onnx_file(job: ExportJob, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(job, "onnx", tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def onnx_props(onnx_file: Path) -> Mapping[str, str]:
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    props: dict[str, str] = session.get_modelmeta().custom_metadata_map
    return props


@pytest.fixture(scope="module")
def openvino_file(job: ExportJob, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(job, "openvino", tmp_path_factory.mktemp("openvino"))


@pytest.fixture(scope="module")
def openvino_model(openvino_file: Path) -> Any:
    return openvino.Core().read_model(openvino_file)


def info_with(
    *, height: int = 64, mode: ResizeMode = "crop", interpolation: Interpolation = "bilinear"
) -> dict[str, str]:
    geometry = Preprocessing(height, 64, resize_mode=mode, interpolation=interpolation)
    return model_info(ModelCard("name", "", ("a", "b"), geometry, "0"))


def words_of(*labels: str) -> list[str]:
    """Return the labels as Model API splits them."""
    return model_info(ModelCard("name", "", labels, Preprocessing(64, 64), "0"))["labels"].split()


def test_everything_is_in_the_onnx_file_when_a_runtime_opens_it(
    onnx_props: Mapping[str, str],
) -> None:
    assert onnx_props == metadata_props(CARD)


def test_everything_is_in_the_openvino_file_when_it_is_read(openvino_model: Any) -> None:
    found = {path: openvino_model.get_rt_info(list(path)).astype(str) for path in rt_info(CARD)}
    assert found == rt_info(CARD)


def test_labels_are_unchanged_when_read_from_the_onnx_file(onnx_props: Mapping[str, str]) -> None:
    assert tuple(json.loads(onnx_props["edgevit labels"])) == LABELS


def test_labels_are_unchanged_when_read_from_the_openvino_file(openvino_model: Any) -> None:
    text = openvino_model.get_rt_info(["edgevit", "labels"]).astype(str)
    assert tuple(json.loads(text)) == LABELS


def test_every_label_is_one_word_when_model_api_splits_them(
    onnx_props: Mapping[str, str], openvino_model: Any
) -> None:
    words = ["café_noir", "_Ärger_é_", '"日本"_<😀>_&']
    assert onnx_props["model_info labels"].split() == words
    assert openvino_model.get_rt_info(["model_info", "labels"]).astype(str).split() == words


def test_no_label_is_lost_when_it_is_made_of_separators() -> None:
    assert words_of("a", " ,;", "b_c", "b c", "\u00a0") == ["a", "_", "b_c", "b_c", "_"]


def test_model_api_finds_what_it_needs_when_it_opens_the_onnx_file(
    onnx_props: Mapping[str, str],
) -> None:
    section = "model_info "
    found = {
        key.removeprefix(section): text
        for key, text in onnx_props.items()
        if key.startswith(section)
    }
    del found["labels"]
    assert found == {
        "model_type": "Classification",
        "model_name": "tiny – été",
        "input_dtype": "u8",
        "reverse_input_channels": "True",
        "resize_type": "crop",
        "interpolation_mode": "LINEAR",
    }


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_bytes_are_the_same_when_written_twice(
    job: ExportJob, format_name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    first: Path = request.getfixturevalue(f"{format_name}_file")
    assert write(job, format_name, tmp_path).read_bytes() == first.read_bytes()


def test_photo_is_squashed_when_training_did_so() -> None:
    assert info_with(mode="squash")["resize_type"] == "standard"


def test_photo_is_squashed_when_the_model_is_not_square() -> None:
    assert info_with(height=48)["resize_type"] == "standard"


def test_interpolation_is_cubic_when_training_used_it() -> None:
    assert info_with(interpolation="bicubic")["interpolation_mode"] == "CUBIC"


def test_probabilities_sum_to_one_when_the_file_is_half_precision(
    job: ExportJob, tmp_path: Path
) -> None:
    # As closely as Model API wants it. ONNX Runtime's CPU would compute the softmax in float32.
    evaluator = ReferenceEvaluator(str(write(job, "onnx", tmp_path, "fp16")))
    photos = job.calibration_set.held_out[:8]
    sums = [evaluator.run(None, {"pixels": photo[None]})[0].sum() for photo in photos]
    np.testing.assert_allclose(sums, 1, rtol=0, atol=1e-5)

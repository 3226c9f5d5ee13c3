from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevit.errors import InputError
from edgevit.export.graph import DeployGraph
from edgevit.export.passes.exact import run_passes
from edgevit.export.registry import LOWERINGS, find_lowering
from edgevit.export.tflite import TFLiteLowering
from edgevit.models.registry import ARCHITECTURES
from tests.export.template import FormatTemplate
from tests.models.template import stirred


class TestTFLite(FormatTemplate):
    format_name = "tflite"


def test_every_format_is_tested_when_registered() -> None:
    tested = {cls.format_name for cls in FormatTemplate.__subclasses__()}
    assert tested == set(LOWERINGS.names())


def test_format_is_refused_when_unknown() -> None:
    with pytest.raises(InputError, match=r"unknown format 'coreml'\. Valid: tflite"):
        find_lowering("coreml", "int8")


def test_precision_is_refused_when_unknown() -> None:
    with pytest.raises(
        InputError, match=r"unknown precision 'int9'\. Valid for tflite: fp32, int8"
    ):
        find_lowering("tflite", "int9")


@pytest.fixture(scope="module")
def vgg() -> DeployGraph:
    architecture = ARCHITECTURES.get("vgg16")
    spec = architecture.spec(3, 32)
    return architecture.build_graph(spec, stirred(architecture.build_keras(spec)))


def test_every_convolution_is_int8_when_there_is_a_chain(vgg: DeployGraph, tmp_path: Path) -> None:
    lowering = TFLiteLowering()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    graph, _ = run_passes(vgg, pixels)
    assert not lowering.needs_calibration(graph, "int8")
    path = tmp_path / "model.tflite"
    path.write_bytes(lowering.lower(graph, "int8", None).data)
    file = lowering.describe(path)
    assert file.op_dtypes["CONV_2D int8"] == 13
    assert file.float_matrix_ops == ()

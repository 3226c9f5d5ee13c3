from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgevit.bundle import Bundle, TensorRecord
from edgevit.errors import InputError
from edgevit.export import exporter, registry
from edgevit.export.exporter import export
from edgevit.export.graph import DeployGraph
from edgevit.export.job import ExportJob
from edgevit.export.lowering import FileDescription, Files, Recipe, Source
from edgevit.export.passes.exact import run_passes
from edgevit.export.precision import Precision
from edgevit.export.registry import LOWERINGS, Selection, select
from edgevit.metrics import Scores
from edgevit.models.registry import ARCHITECTURES
from edgevit.preprocessing import Pixels
from edgevit.registry import Registry
from edgevit.runtimes.base import Availability, Placement
from edgevit.runtimes.registry import RUNTIMES
from tests.export.files import source_of, write
from tests.export.template import FormatTemplate
from tests.models.template import stirred


class TestTFLite(FormatTemplate):
    format_name = "tflite"
    precisions = ("fp32", "fp16", "int8", "int8-dynamic", "int8-full")


class TestOnnx(FormatTemplate):
    format_name = "onnx"
    precisions = ("fp32", "fp16", "int8", "int8-dynamic")


class TestOpenVino(FormatTemplate):
    format_name = "openvino"
    precisions = ("fp32", "fp16", "int8")


def test_every_format_is_tested_when_registered() -> None:
    tested = {cls.format_name for cls in FormatTemplate.__subclasses__()}
    assert tested == set(LOWERINGS.names())


def test_format_is_refused_when_unknown(job: ExportJob) -> None:
    with pytest.raises(InputError, match=r"unknown format 'coreml'\. Valid: tflite, onnx, openv"):
        select(job.graph, ["coreml"], ["int8"])


def test_precision_is_refused_when_unknown(job: ExportJob) -> None:
    with pytest.raises(InputError, match=r"unknown precision 'int9'\. Valid: fp32, fp16, int8, "):
        select(job.graph, ["tflite"], ["int9"])


def test_pair_is_refused_when_the_format_cannot_have_it(job: ExportJob) -> None:
    message = r"openvino cannot have int8-full\. Valid for openvino: fp32, fp16, int8$"
    with pytest.raises(InputError, match=message):
        select(job.graph, ["openvino"], ["int8-full"])


def test_all_names_what_it_leaves_out_when_a_pair_cannot_be_made(job: ExportJob) -> None:
    selections, left_out = select(job.graph, ["all"], ["int8-dynamic", "int8-dynamic"])
    assert [selection.lowering.name for selection in selections] == ["tflite", "onnx"]
    assert left_out == ("openvino cannot have int8-dynamic",)
    everything, _ = select(job.graph, ["all"], ["all"])
    assert len(everything) == 12


@pytest.fixture(scope="module")
def vgg() -> DeployGraph:
    architecture = ARCHITECTURES.get("vgg16")
    spec = architecture.spec(3, 32)
    return architecture.build_graph(spec, stirred(architecture.build_keras(spec)))


def test_run_time_ranges_are_refused_when_onnx_has_no_kernel_for_them(vgg: DeployGraph) -> None:
    with pytest.raises(InputError, match="6 times slower than fp32; take int8"):
        select(vgg, ["onnx"], ["int8-dynamic"])


@pytest.mark.parametrize("format_name", ["tflite", "onnx", "openvino"])
def test_every_convolution_is_int8_when_there_is_a_chain(
    vgg: DeployGraph, tmp_path: Path, format_name: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    graph, _ = run_passes(vgg, pixels)
    (selection,), _ = select(graph, [format_name], ["int8"])
    assert selection.recipe.calibrated
    source = source_of(graph, selection.recipe, pixels)
    file = selection.lowering.describe(write(tmp_path, selection, source))
    assert file.float_matrix_ops == ()
    convolutions = {"tflite": "CONV_2D", "onnx": "QLinearConv", "openvino": "Convolution"}
    assert file.op_dtypes[f"{convolutions[format_name]} int8"] == 13


class NumpyFormat:
    """A fourth format: the graph's kernels in an .npz, run by the graph itself."""

    name, model_file = "numpy", "model.npz"
    graph: DeployGraph

    def recipes(self, graph: DeployGraph) -> Mapping[Precision, Recipe]:
        return {"fp32": Recipe(self.write, calibrated=False, applied={"all": "float32"})}

    def write(self, source: Source) -> Files:
        NumpyFormat.graph = source.graph
        held = {f"{op.name}/{k}": v for op in source.graph.ops for k, v in op.arrays().items()}
        return {self.model_file: b"".join(np.ascontiguousarray(held[k]).tobytes() for k in held)}

    def describe(self, path: Path) -> FileDescription:
        shapes = self.graph.shapes
        pixels = TensorRecord("pixels", "uint8", (1, *shapes[self.graph.ops[0].name]))
        answers = TensorRecord("answers", "float32", (1, *shapes[self.graph.output]))
        held = {f"{op.name}/{k}": v for op in self.graph.ops for k, v in op.arrays().items()}
        data = np.frombuffer(path.read_bytes(), dtype=np.float32)
        parts = np.split(data, np.cumsum([value.size for value in held.values()])[:-1])
        return FileDescription(
            pixels, answers, {"all float32": 1}, (), dict(zip(held, parts, strict=True))
        )

    def availability(self) -> Availability:
        return Availability("numpy", np.__version__, remedy="")

    def open(self, path: Path, threads: int) -> NumpyFormat:
        return self

    def invoke(self, pixels: Pixels) -> Scores:
        return self.graph.evaluate(pixels)

    def placement(self) -> Placement:
        return Placement("NumPy", {"NumPy": len(self.graph.ops)}, 0)


def test_fourth_format_is_exported_when_it_is_registered(
    job: ExportJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = NumpyFormat()
    monkeypatch.setattr(registry, "LOWERINGS", Registry("format", [*LOWERINGS, toy]))
    monkeypatch.setattr(exporter, "RUNTIMES", Registry("runtime", [*RUNTIMES, toy]))
    (selection,), _ = select(job.graph, ["numpy"], ["all"])
    assert isinstance(selection, Selection)
    export(job, selection, tmp_path / "bundle", announce=lambda rung: None)
    record = Bundle.load(tmp_path / "bundle").record
    assert (record.format, record.placement) == ("numpy", {"NumPy": len(job.graph.ops)})

"""The ONNX format: float32, float16, calibrated int8 as QDQ pairs, and int8 at run time."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle import TensorRecord
from edgevit.export.graph import DeployGraph
from edgevit.export.lower_onnx import INPUT_NAME, OUTPUT_NAME, write_onnx
from edgevit.export.lowering import FileDescription, Files, Recipe, Source
from edgevit.export.onnx_metadata import metadata_props
from edgevit.export.onnx_schemes import Float, Planned, Scheme
from edgevit.export.onnx_writer import load_onnx
from edgevit.export.ops import Array, Attention, Conv2D
from edgevit.export.passes.balance import balance_convolutions, balance_norms, balance_values
from edgevit.export.passes.join_pixels import join_pixels
from edgevit.export.plan import everywhere
from edgevit.export.precision import Precision
from edgevit.export.quantised import (
    activation_grids,
    convolution_results,
    has_integer_pixels,
)
from edgevit.runtimes.onnx import open_session

MODEL_FILE = "model.onnx"
_CHECK_THREADS = 2

# Kinds of the optimised graph that multiply by weights, and those of them that are int8.
_FLOAT_PRODUCTS = {"Gemm", "FusedGemm", "MatMul", "FusedMatMul", "Conv", "FusedConv"}
_INT8_KINDS = {
    "QGemm",
    "QLinearConv",
    "QLinearMatMul",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
    "ConvInteger",
}


# What calibrated files profit from here and in OpenVINO: gains of norms are free in both.
STATIC_PASSES = (balance_convolutions, balance_norms, balance_values)


class OnnxLowering:
    """Writes ``.onnx`` files of opset 20 with batch 1 and static shapes."""

    name = "onnx"
    model_file = MODEL_FILE

    def recipes(self, graph: DeployGraph) -> Mapping[Precision, Recipe]:
        """Return the table of precisions; it is the same for every graph."""
        return _RECIPES

    def describe(self, path: Path) -> FileDescription:
        """Read the file, and the graph as ONNX Runtime will run it after its optimisations."""
        return _describe(path)


def planned_scheme(source: Source, *, for_onnx_runtime: bool = True) -> Scheme:
    """Return the planned arithmetic of a graph, which OpenVINO's files share."""
    return Planned(
        source.plan,
        activation_grids(source.graph, source.plan, source.ranges),
        always_rounded=convolution_results(source.graph, source.plan),
        integer_pixels=has_integer_pixels(source.graph),
        for_onnx_runtime=for_onnx_runtime,
    )


def _writer(scheme: Callable[[Source], Scheme]) -> Callable[[Source], Files]:
    def write(source: Source) -> Files:
        data = write_onnx(source.graph, scheme(source), metadata_props(source.card))
        return {MODEL_FILE: data}

    return write


def _no_convolution_chain(graph: DeployGraph) -> str | None:
    """ONNX Runtime has no fast kernel for a convolution whose input range is not known before."""
    if any(graph.of_type(Conv2D)) or not any(graph.of_type(Attention)):
        return "convolutions at run-time ranges were measured 6 times slower than fp32; take int8"
    return None


_RECIPES: dict[Precision, Recipe] = {
    "fp32": Recipe(
        write=_writer(lambda source: Float()),
        calibrated=False,
        applied={"all": "float32"},
    ),
    "fp16": Recipe(
        write=_writer(lambda source: Float(np.float16)),
        calibrated=False,
        applied={"all": "float16"},
        notes=(
            "For GPUs and NPUs: ONNX Runtime's CPU kernels compute most ops in float32 and cast "
            "around them, which is no faster than fp32.",
        ),
    ),
    "int8": Recipe(
        write=_writer(planned_scheme),
        calibrated=True,
        plan=everywhere("calibrated"),
        alternatives=("per-image",),
        passes=(*STATIC_PASSES, join_pixels),
        corrects_bias=True,
        may_keep_float=True,
        applied={
            "dense and convolution": "int8, weight scale per output channel, uint8 inputs",
            "others": "float32",
        },
    ),
    "int8-dynamic": Recipe(
        write=_writer(planned_scheme),
        calibrated=False,
        plan=everywhere("per-image"),
        may_keep_float=True,
        applied={
            "dense": "int8, weight scale per output channel, input range at run time",
            "others": "float32",
        },
        refusal=_no_convolution_chain,
    ),
}


def _describe(path: Path) -> FileDescription:
    onnx = load_onnx()
    model = onnx.load(str(path))
    constants = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    with tempfile.TemporaryDirectory(prefix="edgevit-") as scratch:
        optimised_path = Path(scratch) / "optimised.onnx"
        open_session(path, _CHECK_THREADS, optimised=optimised_path)
        optimised = onnx.load(str(optimised_path))
    known = {item.name: item.data_type for item in optimised.graph.initializer}
    # Weights that are left in eight bits but dequantised at each inference are no constants.
    weights = set(known)
    counts: Counter[str] = Counter()
    float_products = []
    for node in optimised.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in known:
            weights.update(node.output)
        counts[f"{node.op_type} {_arithmetic(node, known, onnx)}"] += 1
        if node.op_type in _FLOAT_PRODUCTS and any(name in weights for name in node.input):
            float_products.append(node.name)
    return FileDescription(
        input=_tensor_record(INPUT_NAME, model.graph.input[0], onnx),
        output=_tensor_record(OUTPUT_NAME, model.graph.output[0], onnx),
        op_dtypes=dict(sorted(counts.items())),
        float_matrix_ops=tuple(float_products),
        weights=_read_weights(constants),
        bias_steps={
            f"{name.removesuffix('/bias/levels')}/bias": constants[f"{name[: -len('levels')]}scale"]
            for name in constants
            if name.endswith("/bias/levels")
        },
    )


def _arithmetic(node: Any, constants: Mapping[str, int], onnx: Any) -> str:
    """Name what a node computes in: the type of its constants decides, if it has any."""
    if node.op_type in _INT8_KINDS:
        return "int8"
    types = {constants[name] for name in node.input if name in constants}
    return "float16" if onnx.TensorProto.FLOAT16 in types else "float32"


def _read_weights(constants: Mapping[str, Any]) -> dict[str, Array]:
    """Return kernels and biases as the graph holds them."""
    weights: dict[str, Array] = {}
    for name in constants:
        base = name.removesuffix("/levels")
        if not base.endswith(("/kernel", "/bias")):
            continue
        value = constants[name].astype(np.float32)
        if base != name:
            # Both lie along the output channels: last in a matrix, first in a convolution.
            along = (-1,) if value.ndim <= 2 else (-1, 1, 1, 1)
            zero_points = constants.get(f"{base}/zero_point", np.zeros(1)).reshape(along)
            value = (value - zero_points) * constants[f"{base}/scale"].reshape(along)
        weights[base] = value if value.ndim <= 2 else value.transpose(2, 3, 1, 0)
    return weights


def _tensor_record(name: str, info: Any, onnx: Any) -> TensorRecord:
    tensor = info.type.tensor_type
    return TensorRecord(
        name=name,
        dtype=onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name,
        shape=tuple(dim.dim_value for dim in tensor.shape.dim),
    )

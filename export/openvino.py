"""The OpenVINO format: intermediate representation (IR) files, read from the ONNX writer's graph.

int8 has the arithmetic of the ONNX file; OpenVINO turns its QDQ pairs into the ``FakeQuantize`` ops
that NNCF would insert. One IR serves the CPU, GPU and NPU devices.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle import TensorRecord
from edgevit.errors import InputError
from edgevit.export.graph import DeployGraph
from edgevit.export.lower_onnx import INPUT_NAME, OUTPUT_NAME, write_onnx
from edgevit.export.lowering import FileDescription, Files, Recipe, Source
from edgevit.export.onnx import STATIC_PASSES, planned_scheme
from edgevit.export.onnx_metadata import rt_info
from edgevit.export.onnx_schemes import Float, Scheme
from edgevit.export.ops import Array
from edgevit.export.plan import everywhere
from edgevit.export.precision import Precision
from edgevit.runtimes.openvino import (
    PRECISION_KEY,
    compile_model,
    executed_ops,
    load_openvino,
)

# Left alone, a CPU with AMX computes float ops in bfloat16: ViT-B32's answers then have 37 dB.
_CPU_PRECISION = "f32"
MODEL_FILE = "model.xml"
WEIGHTS_FILE = "model.bin"
_CHECK_THREADS = 2

# Kinds of the CPU device's ops that multiply by weights; attention's products have their own kind.
_PRODUCTS = {"FullyConnected", "FullyConnectedQuantizedLegacy", "Convolution"}
# OpenVINO numbers what it adds by a counter that never starts again: "Convert_25252".
_NUMBERED = re.compile(r"^([A-Z]\w*?)_\d+$")


class OpenVinoLowering:
    """Writes ``.xml`` and ``.bin`` with batch 1 and static shapes."""

    name = "openvino"
    model_file = MODEL_FILE

    def recipes(self, graph: DeployGraph) -> Mapping[Precision, Recipe]:
        """Return the table of precisions; it is the same for every graph."""
        return _RECIPES

    def describe(self, path: Path) -> FileDescription:
        """Read the file, and the ops as the CPU device will run them."""
        return _describe(path)


def _writer(scheme: Callable[[Source], Scheme], *, half: bool) -> Callable[[Source], Files]:
    def write(source: Source) -> Files:
        openvino = _load_openvino()
        data = write_onnx(source.graph, scheme(source), {}, batched=True)
        model = openvino.convert_model(io.BytesIO(data))
        for place, text in rt_info(source.card).items():
            model.set_rt_info(text, list(place))
        model.get_parameters()[0].set_layout(openvino.Layout("NHWC"))
        model.set_rt_info(_CPU_PRECISION, list(PRECISION_KEY))
        _name_by_order(model)
        with tempfile.TemporaryDirectory(prefix="edgevit-") as scratch:
            path = Path(scratch) / MODEL_FILE
            try:
                openvino.save_model(model, path, compress_to_fp16=half)
            except RuntimeError as error:
                raise InputError(
                    f"OpenVINO cannot write to {scratch} ({' '.join(str(error).split())})",
                    "Free some space there, or point TMPDIR elsewhere",
                ) from error
            return {
                name: (Path(scratch) / name).read_bytes() for name in (MODEL_FILE, WEIGHTS_FILE)
            }

    return write


def _planned_scheme(source: Source) -> Scheme:
    return planned_scheme(source, for_onnx_runtime=False)


def _load_openvino() -> Any:
    return load_openvino("writing OpenVINO files", "pip install 'edgevit[export]'")


def _name_by_order(model: Any) -> None:
    """Number the ops that OpenVINO named itself from 0, for the same bytes each time."""
    counts: Counter[str] = Counter()
    for node in model.get_ordered_ops():
        numbered = _NUMBERED.match(node.get_friendly_name())
        if numbered:
            kind = numbered[1]
            node.set_friendly_name(f"{kind}_{counts[kind]}")
            counts[kind] += 1


_RECIPES: dict[Precision, Recipe] = {
    "fp32": Recipe(
        write=_writer(lambda source: Float(), half=False),
        calibrated=False,
        applied={"all": "float32, also on CPUs that would take bfloat16"},
    ),
    "fp16": Recipe(
        write=_writer(lambda source: Float(), half=True),
        calibrated=False,
        applied={"weights": "float16", "arithmetic": "float32 on CPUs, float16 on GPUs and NPUs"},
        notes=("For GPUs and NPUs: on a CPU, float16 weights gain only the size.",),
    ),
    "int8": Recipe(
        write=_writer(_planned_scheme, half=False),
        calibrated=True,
        plan=everywhere("calibrated"),
        passes=STATIC_PASSES,
        corrects_bias=True,
        may_keep_float=True,
        applied={
            "dense and convolution": "int8, weight scale per output channel, uint8 inputs with "
            "calibrated ranges",
            "others": "float32",
        },
    ),
}


def _describe(path: Path) -> FileDescription:
    model = _load_openvino().Core().read_model(path)
    executed = executed_ops(compile_model(path, _CHECK_THREADS))
    counts = Counter(f"{kind} {dtype}" for kind, dtype, _ in executed)
    float_products = [
        name for kind, dtype, name in executed if kind in _PRODUCTS and dtype != "int8"
    ]
    return FileDescription(
        input=_tensor_record(INPUT_NAME, model.input(0)),
        output=_tensor_record(OUTPUT_NAME, model.output(0)),
        op_dtypes=dict(sorted(counts.items())),
        float_matrix_ops=tuple(float_products),
        weights=_read_weights(model),
    )


def _tensor_record(name: str, port: Any) -> TensorRecord:
    return TensorRecord(
        name=name,
        dtype=np.dtype(port.get_element_type().to_dtype()).name,
        shape=tuple(int(size) for size in port.get_shape()),
    )


def _read_weights(model: Any) -> dict[str, Array]:
    """Return kernels and biases as the graph holds them."""
    weights: dict[str, Array] = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() not in ("MatMul", "Convolution"):
            continue
        kernel = _folded(node.input_value(1).get_node())
        if kernel is None:  # a product of two activations
            continue
        name = node.get_friendly_name().removesuffix("/WithoutBiases")
        if node.get_type_name() == "Convolution":
            kernel = kernel.transpose(2, 3, 1, 0)
        elif node.get_attributes()["transpose_b"]:
            kernel = kernel.T
        weights[f"{name}/kernel"] = kernel
        (reader,) = (port.get_node() for port in node.output(0).get_target_inputs())
        bias = _folded(reader.input_value(1).get_node())
        if reader.get_type_name() == "Add" and bias is not None:
            weights[f"{name}/bias"] = bias.reshape(-1)
    return weights


_ARITHMETIC = {"Multiply": np.multiply, "Subtract": np.subtract}


def _folded(node: Any) -> Array | None:
    """Evaluate a constant and what dequantises it; ``None`` if it depends on the input."""
    kind = node.get_type_name()
    if kind == "Constant":
        return np.asarray(node.get_data(), dtype=np.float32)
    inputs: list[Array] = []
    for port in node.input_values():
        value = _folded(port.get_node())
        if value is None:
            return None
        inputs.append(value)
    if kind == "Convert":
        return inputs[0]
    if kind == "Reshape":
        return inputs[0].reshape(inputs[1].astype(np.int64))
    if kind == "Transpose":
        return inputs[0].transpose(inputs[1].astype(np.int64))
    if kind in _ARITHMETIC:
        return np.asarray(_ARITHMETIC[kind](inputs[0], inputs[1]), dtype=np.float32)
    return None

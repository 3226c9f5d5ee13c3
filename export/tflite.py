"""The TFLite format: a float file from the graph, quantised by litert-quantizer.

litert-quantizer is the maintained successor of ai-edge-quantizer. It quantises per kind of
operator and keeps the rest float, which one XNNPACK partition can hold; TFLiteConverter's own
full-integer mode splits a ViT into 87 partitions.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from edgevit import console
from edgevit.bundle import TensorRecord
from edgevit.errors import MissingDependencyError
from edgevit.export import ops
from edgevit.export.graph import DeployGraph
from edgevit.export.lower_tflite import INPUT_NAME, OUTPUT_NAME, write_float
from edgevit.export.lowering import FileDescription, Lowered
from edgevit.export.precision import Precision
from edgevit.preprocessing import Pixels

_MATRIX_OPS = ("CONV_2D", "FULLY_CONNECTED")


class TFLiteLowering:
    """Writes ``.tflite`` files with builtin ops only, batch 1 and static shapes."""

    name = "tflite"
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    model_file = "model.tflite"

    def needs_calibration(self, graph: DeployGraph, precision: Precision) -> bool:
        """No: every range is taken at run time."""
        return False

    def lower(
        self, graph: DeployGraph, precision: Precision, calibration: Pixels | None
    ) -> Lowered:
        """Write, then quantise."""
        float_file = _float_file(graph)
        return (
            Lowered(float_file, {"all": "float32"})
            if precision == "fp32"
            else _quantise(float_file)
        )

    def describe(self, path: Path) -> FileDescription:
        """Read the file through an interpreter without delegates."""
        return _describe(path)


# Graphs hash by identity; the last one's file serves all of its precisions.
_float_file = lru_cache(maxsize=1)(write_float)


def _quantise(float_file: bytes) -> Lowered:
    """Return the int8 file.

    Dense layers and convolutions take the range of their input at run time. Calibrated ranges are
    faster for a chain of convolutions (VGG16: 21 ms against 31 ms), but on real photos min-max
    ranges lose too many answers for it (84 % agreement with full precision against 96 %).
    """
    try:
        from litert_quantizer import qtyping, quantizer
    except ImportError:
        raise MissingDependencyError(
            "quantising to int8 needs litert-quantizer", "pip install 'edgevit[export]'"
        ) from None
    quantiser = quantizer.Quantizer(float_file)
    for name in (qtyping.TFLOperationName.FULLY_CONNECTED, qtyping.TFLOperationName.CONV_2D):
        quantiser.add_dynamic_config(".*", name, 8)
    with console.without_native_chatter():
        result = quantiser.quantize(enable_progress_report=False)
    at_run_time = "int8, weight scale per output channel, input range at run time"
    return Lowered(
        bytes(result.quantized_model),
        {"dense": at_run_time, "convolution": at_run_time, "others": "float32"},
    )


def _describe(path: Path) -> FileDescription:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with console.without_native_chatter():
        interpreter = Interpreter(
            str(path),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    counts: Counter[str] = Counter()
    float_matrix_ops = []
    for op in interpreter._get_ops_details():
        kind = op["op_name"]
        # The weights' type, or else the first input's, is the type that the op computes in.
        inputs = [tensors[index] for index in op["inputs"] if index in tensors]
        decisive = inputs[1] if kind in _MATRIX_OPS else inputs[0]
        dtype = np.dtype(decisive["dtype"]).name
        counts[f"{kind} {dtype}"] += 1
        if kind in _MATRIX_OPS and dtype == "float32":
            float_matrix_ops.append(tensors[op["outputs"][0]]["name"])
    return FileDescription(
        input=_tensor_record(INPUT_NAME, interpreter.get_input_details()[0]),
        output=_tensor_record(OUTPUT_NAME, interpreter.get_output_details()[0]),
        op_dtypes=dict(sorted(counts.items())),
        float_matrix_ops=tuple(float_matrix_ops),
        weights=_read_weights(path),
    )


def _read_weights(path: Path) -> dict[str, ops.Array]:
    """Return the file's float and quantised constants as the graph holds them."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    weights: dict[str, ops.Array] = {}
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            continue
        dtype = np.dtype(flatbuffer_utils.type_to_name(tensor.type).lower())
        value = np.frombuffer(bytes(data), dtype).reshape(tensor.shape).astype(np.float32)
        name = tensor.name.decode()
        weights[name] = _graph_layout(name, _dequantised(value, tensor.quantization))
    return weights


def _dequantised(value: ops.Array, quantisation: Any) -> ops.Array:
    """Return ``scale * (value - zero point)``, per channel where there are several scales."""
    if quantisation is None or quantisation.scale is None or len(quantisation.scale) == 0:
        return value
    shape = [1] * value.ndim
    if len(quantisation.scale) > 1:
        shape[quantisation.quantizedDimension] = -1
    scale = np.asarray(quantisation.scale, dtype=np.float32).reshape(shape)
    zero_point = np.asarray(quantisation.zeroPoint, dtype=np.float32).reshape(shape)
    return scale * (value - zero_point)


def _graph_layout(name: str, value: ops.Array) -> ops.Array:
    """Undo the transposition of kernels: TFLite has the output channels first."""
    if not name.endswith("/kernel"):
        return value
    return value.T if value.ndim == 2 else value.transpose(1, 2, 3, 0)


def _tensor_record(name: str, detail: dict[str, Any]) -> TensorRecord:
    scale, zero_point = detail["quantization"]
    return TensorRecord(
        name=name,
        dtype=np.dtype(detail["dtype"]).name,
        shape=tuple(int(size) for size in detail["shape"]),
        scale=float(scale) if scale else None,
        zero_point=int(zero_point) if scale else None,
    )

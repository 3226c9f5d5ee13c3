"""The TFLite format: a float file from the graph, quantised by litert-quantizer.

litert-quantizer is the maintained successor of ai-edge-quantizer. It quantises per kind of
operator and keeps the rest float, which one XNNPACK partition can hold; TFLiteConverter's own
full-integer mode splits a ViT into 87 partitions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from edgevit import console
from edgevit.bundle import TensorRecord
from edgevit.errors import MissingDependencyError
from edgevit.export import ops
from edgevit.export.graph import DeployGraph
from edgevit.export.lower_tflite import INPUT_NAME, OUTPUT_NAME, result_of, write_float
from edgevit.export.lowering import FileDescription, Files, Recipe, Source
from edgevit.export.passes.balance import balance_convolutions, balance_values
from edgevit.export.passes.balance_queries import balance_queries
from edgevit.export.passes.rotate_residual import rotate_residual
from edgevit.export.plan import Operand, Plan, everywhere, products_of
from edgevit.export.precision import Precision
from edgevit.export.quantised import PIXEL_RANGE, root_of
from edgevit.export.tflite_integer import integer_refusal, write_integer
from edgevit.export.tflite_metadata import with_metadata

MODEL_FILE = "model.tflite"
_MATRIX_OPS = ("CONV_2D", "FULLY_CONNECTED")


class TFLiteLowering:
    """Writes ``.tflite`` files with builtin ops only, batch 1 and static shapes."""

    name = "tflite"
    model_file = MODEL_FILE

    def recipes(self, graph: DeployGraph) -> Mapping[Precision, Recipe]:
        """Return the table of precisions: a chain of convolutions has an int8 of its own."""
        chain = any(conv.stride == 1 for conv in graph.of_type(ops.Conv2D))
        return {**_RECIPES, "int8": _STATIC if chain else _PER_TOKEN}

    def describe(self, path: Path) -> FileDescription:
        """Read the file through an interpreter without delegates."""
        return _describe(path)


# Graphs hash by identity; the last one's file serves all of its precisions.
_float_file = lru_cache(maxsize=1)(write_float)


def _write_float(source: Source) -> Files:
    return {MODEL_FILE: with_metadata(_float_file(source.graph), source.card)}


def _write_half(source: Source) -> Files:
    return {MODEL_FILE: with_metadata(write_float(source.graph, half=True), source.card)}


# What only moves numbers, and is calibrated with the convolutions around it.
_CALIBRATED_MOVES = ("CONCATENATION", "MAX_POOL_2D")


def _write_planned(source: Source) -> Files:
    """Return the float file, its products quantised as the plan says."""
    try:
        from litert_quantizer import qtyping, quantizer
    except ImportError:
        raise MissingDependencyError(
            "quantising to int8 needs litert-quantizer", "pip install 'edgevit[export]'"
        ) from None
    quantiser = quantizer.Quantizer(_float_file(source.graph))
    calibrated, at_run_time = (_scopes(source, operand) for operand in ("calibrated", "per-token"))
    if not calibrated and not at_run_time:  # litert-quantizer asks for something to do
        return _write_float(source)
    for kind in _MATRIX_OPS:
        operation = qtyping.TFLOperationName[kind]
        if calibrated:
            quantiser.add_static_config(calibrated, operation, 8, 8)
        if at_run_time:
            quantiser.add_dynamic_config(at_run_time, operation, 8)
    if calibrated:
        for kind in _CALIBRATED_MOVES:
            quantiser.add_static_config(".*", qtyping.TFLOperationName[kind], 8, 8)
    ranges = _tensor_ranges(source) if calibrated else None
    with console.without_native_chatter():
        result = quantiser.quantize(ranges, enable_progress_report=False)
    return {MODEL_FILE: with_metadata(bytes(result.quantized_model), source.card)}


def _scopes(source: Source, operand: Operand) -> str:
    """Return a regular expression for the products that a plan treats alike, or nothing.

    litert-quantizer knows an operator by the tensor that it computes.
    """
    names = [
        re.escape(result_of(source.graph, op))
        for op in products_of(source.graph)
        if source.plan[op.name] == operand
    ]
    return f"^({'|'.join(names)});?$" if names else ""


def _tensor_ranges(source: Source) -> dict[str, dict[str, np.float32]]:
    """Return the ranges of the float file's tensors, as litert-quantizer takes them."""
    graph, ranges = source.graph, dict(source.ranges)
    pixels = graph.ops[0].name
    ranges[pixels] = PIXEL_RANGE
    shared = {op.name: ranges[root_of(graph, op.name)] for op in graph.ops}
    shared[f"{pixels}/float"] = PIXEL_RANGE
    shared |= {f"{op.name}/tall": shared[op.name] for op in graph.of_type(ops.PadConstant)}
    return {
        name: {"min": np.float32(low), "max": np.float32(high)}
        for name, (low, high) in shared.items()
    }


def _write_full(source: Source) -> Files:
    return {MODEL_FILE: with_metadata(write_integer(source.graph, source.ranges), source.card)}


def _in_chains(graph: DeployGraph) -> Plan:
    """Plan calibrated convolutions, and dense layers whose ranges are taken at run time."""
    return {
        op.name: "calibrated" if isinstance(op, ops.Conv2D) else "per-token"
        for op in products_of(graph)
    }


_AT_RUN_TIME = "int8, weight scale per output channel, input range at run time"
_RECIPES: dict[Precision, Recipe] = {
    "fp32": Recipe(_write_float, calibrated=False, applied={"all": "float32"}),
    "fp16": Recipe(
        _write_half,
        calibrated=False,
        applied={"weights": "float16", "arithmetic": "float32, or float16 on GPUs and ARMv8.2"},
        notes=("A CPU without float16 arithmetic gains only the size.",),
    ),
    "int8-dynamic": Recipe(
        _write_planned,
        calibrated=False,
        plan=everywhere("per-token"),
        may_keep_float=True,
        applied={"dense": _AT_RUN_TIME, "convolution": _AT_RUN_TIME, "others": "float32"},
    ),
    "int8-full": Recipe(
        _write_full,
        calibrated=True,
        plan=everywhere("calibrated"),
        passes=(balance_convolutions, rotate_residual, balance_values, balance_queries),
        applied={
            "all": "int8, calibrated ranges; the head int16",
            "weights": "int8, one scale per output channel",
            "input and output": "uint8",
        },
        refusal=integer_refusal,
    ),
}
_PER_TOKEN = replace(
    _RECIPES["int8-dynamic"],
    notes=("The same file as int8-dynamic: for a transformer that is the more accurate way.",),
)
_STATIC = Recipe(
    _write_planned,
    calibrated=True,
    plan=_in_chains,
    passes=(balance_convolutions,),
    corrects_bias=True,
    may_keep_float=True,
    applied={
        "convolution": "int8, weight scale per output channel, calibrated ranges",
        "pooling": "int8",
        "dense": _AT_RUN_TIME,
        "others": "float32",
    },
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

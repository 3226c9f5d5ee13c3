"""Deployment graph → TFLite: TensorFlow writes the float file, litert-quantizer quantises it.

litert-quantizer is the maintained successor of ai-edge-quantizer. It quantises per kind of op and
keeps the rest float, which one XNNPACK partition can hold; TFLiteConverter's own full-integer mode
splits a ViT into 87 partitions.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevit import console
from edgevit.bundle import TensorRecord
from edgevit.errors import MissingDependencyError
from edgevit.export import ops
from edgevit.export.graph import DeployGraph
from edgevit.export.lowering import FileDescription, Lowered
from edgevit.export.precision import Precision
from edgevit.preprocessing import Pixels

if TYPE_CHECKING:
    import tensorflow as tf

INPUT_NAME = "pixels"
OUTPUT_NAME = "probabilities"
_SIGNATURE = "serving_default"
_CALIBRATION_THREADS = 2
_MATRIX_OPS = ("CONV_2D", "FULLY_CONNECTED")


class TFLiteLowering:
    """Writes ``.tflite`` files with builtin ops only, batch 1 and static shapes."""

    name = "tflite"
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    model_file = "model.tflite"

    def needs_calibration(self, graph: DeployGraph, precision: Precision) -> bool:
        """Only convolutions that feed convolutions get calibrated ranges."""
        return precision == "int8" and _has_convolution_chain(graph)

    def lower(
        self, graph: DeployGraph, precision: Precision, calibration: Pixels | None
    ) -> Lowered:
        """Convert, then quantise."""
        float_file = _convert(graph)
        if precision == "fp32":
            return Lowered(float_file, {"all": "float32"})
        return _quantise(float_file, chain=_has_convolution_chain(graph), images=calibration)

    def describe(self, path: Path) -> FileDescription:
        """Read the file through an interpreter without delegates."""
        return _describe(path)


def _has_convolution_chain(graph: DeployGraph) -> bool:
    return len(list(graph.of_type(ops.Conv2D))) > 1


def _convert(graph: DeployGraph) -> bytes:
    """Return the float32 file."""
    # TensorFlow's C++ log says nothing that an exporting user can act on.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with console.without_native_chatter():
            import tensorflow as tf
    except ImportError:
        raise MissingDependencyError(
            "exporting to TFLite needs TensorFlow", "pip install 'edgevit[export]'"
        ) from None
    shape = graph.shapes[graph.ops[0].name]

    def classify(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        values: dict[str, Any] = {}
        for op in graph.ops:
            with tf.name_scope(op.name):
                values[op.name] = _emit(op, *([values[n] for n in op.inputs] or [pixels]))
        return {OUTPUT_NAME: values[graph.output]}

    module = tf.Module()
    module.classify = tf.function(
        classify, input_signature=[tf.TensorSpec((1, *shape), tf.uint8, name=INPUT_NAME)]
    )
    # With the module at hand the file gets a signature, by which it can be calibrated.
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.classify.get_concrete_function()], module
    )
    with console.without_native_chatter():
        return bytes(converter.convert())


@singledispatch
def _emit(op: ops.Op, *inputs: Any) -> Any:
    """Write one op with TensorFlow; tokens are ``[tokens, channels]``, without a batch."""
    raise TypeError(f"TFLite has no lowering for {type(op).__name__}")


@_emit.register
def _(op: ops.Input, pixels: Any) -> Any:
    import tensorflow as tf

    return tf.cast(pixels, tf.float32)


@_emit.register
def _(op: ops.Normalise, x: Any) -> Any:
    import tensorflow as tf

    ordered = tf.reverse(x, [-1]) if op.swap_channels else x
    scaled = ordered if np.all(op.scale == 1) else ordered * op.scale
    return scaled + op.offset


@_emit.register
def _(op: ops.Conv2D, x: Any) -> Any:
    import tensorflow as tf

    convolved = tf.nn.conv2d(x, op.kernel, op.stride, op.padding.upper())
    return tf.nn.bias_add(convolved, op.bias)


@_emit.register
def _(op: ops.MaxPool2D, x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.max_pool2d(x, op.size, op.size, "VALID")


@_emit.register
def _(op: ops.Reshape, x: Any) -> Any:
    import tensorflow as tf

    # Vectors keep a leading 1: a fully connected op wants two dimensions.
    return tf.reshape(x, op.target if len(op.target) > 1 else (1, *op.target))


@_emit.register
def _(op: ops.PrependToken, x: Any) -> Any:
    import tensorflow as tf

    return tf.concat([op.token[np.newaxis], x], 0)


@_emit.register
def _(op: ops.AddConstant, x: Any) -> Any:
    return x + op.value


@_emit.register
def _(op: ops.Add, a: Any, b: Any) -> Any:
    return a + b


@_emit.register
def _(op: ops.LayerNorm, x: Any) -> Any:
    import tensorflow as tf

    # d*d rather than squared_difference: every op of this form runs inside XNNPACK.
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(centred * centred, -1, keepdims=True)
    y = centred * tf.math.rsqrt(variance + op.epsilon)
    if op.gain is not None:
        y = y * op.gain
    return y if op.bias is None else y + op.bias


@_emit.register
def _(op: ops.BatchNorm, x: Any) -> Any:
    return x * op.scale + op.offset


@_emit.register
def _(op: ops.Dense, x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.bias_add(tf.matmul(x, op.kernel), op.bias)


@_emit.register
def _(op: ops.Relu, x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.relu(x)


@_emit.register
def _(op: ops.Gelu, x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.gelu(x, approximate=False)


@_emit.register
def _(op: ops.Attention, queries: Any, keys: Any, values: Any) -> Any:
    import tensorflow as tf

    def split(x: Any) -> Any:
        tokens, width = x.shape
        return tf.transpose(tf.reshape(x, (tokens, op.heads, width // op.heads)), (1, 0, 2))

    scores = tf.matmul(split(queries), split(keys), transpose_b=True)
    if op.scale != 1.0:
        scores = scores * np.float32(op.scale)
    mixed = tf.transpose(tf.matmul(tf.nn.softmax(scores), split(values)), (1, 0, 2))
    return tf.reshape(mixed, (mixed.shape[0], -1))


@_emit.register
def _(op: ops.TakeToken, x: Any) -> Any:
    return x[op.index : op.index + 1]


@_emit.register
def _(op: ops.Softmax, x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.softmax(x)


def _quantise(float_file: bytes, *, chain: bool, images: Pixels | None) -> Lowered:
    """Return the int8 file.

    Dense layers, and a convolution on its own (a ViT's patch embedding), take the range of their
    input at run time: LiteRT does so per row, which no calibrated range can match in accuracy, at
    the latency of a calibrated one. In a chain of convolutions the values between them stay
    int8, which needs calibrated ranges (measured for VGG16: 21 ms, against 31 ms).
    """
    try:
        from litert_quantizer import qtyping, quantizer
    except ImportError:
        raise MissingDependencyError(
            "quantising to int8 needs litert-quantizer", "pip install 'edgevit[export]'"
        ) from None
    names = qtyping.TFLOperationName
    quantiser = quantizer.Quantizer(float_file)
    quantiser.add_dynamic_config(".*", names.FULLY_CONNECTED, 8)
    if chain:
        for name in (names.CONV_2D, names.MAX_POOL_2D):
            quantiser.add_static_config(".*", name, 8, 8)
    else:
        quantiser.add_dynamic_config(".*", names.CONV_2D, 8)
    with console.without_native_chatter():
        ranges = _calibrate(quantiser, images) if quantiser.need_calibration else None
        result = quantiser.quantize(ranges, enable_progress_report=False)
    per_row = "int8, weight scale per output channel, input range per row at run time"
    calibrated = "int8, weight scale per output channel, calibrated min-max input range"
    return Lowered(
        bytes(result.quantized_model),
        {
            "dense": per_row,
            "convolution": calibrated if chain else per_row,
            **({"max pooling": "int8"} if chain else {}),
            "others": "float32",
        },
    )


def _calibrate(quantiser: Any, images: Pixels | None) -> Any:
    if images is None or len(images) == 0:
        raise ValueError("calibrated ranges need images")
    samples = [{INPUT_NAME: image[np.newaxis]} for image in images]
    return quantiser.calibrate({_SIGNATURE: samples}, num_threads=_CALIBRATION_THREADS)


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
    )


def _tensor_record(name: str, detail: dict[str, Any]) -> TensorRecord:
    scale, zero_point = detail["quantization"]
    return TensorRecord(
        name=name,
        dtype=np.dtype(detail["dtype"]).name,
        shape=tuple(int(size) for size in detail["shape"]),
        scale=float(scale) if scale else None,
        zero_point=int(zero_point) if scale else None,
    )

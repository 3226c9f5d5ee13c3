"""Each op in a file of its own, in every format, against its meaning in NumPy."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import onnxruntime
import openvino
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgevit.export import ops
from edgevit.export.graph import DeployGraph
from edgevit.export.lower_onnx import write_onnx
from edgevit.export.lower_tflite import write_float
from edgevit.export.onnx_schemes import Float
from edgevit.preprocessing import Pixels
from tests.export.small_graphs import INPUT, RANDOM, SMALL, TOKENS, dense, normal


def conv(name: str, source: str, stride: int, padding: ops.Padding) -> ops.Conv2D:
    return ops.Conv2D(
        name=name,
        inputs=(source,),
        kernel=normal(3, 3, 3, 5),
        bias=normal(5),
        stride=stride,
        padding=padding,
    )


CASES: dict[str, tuple[ops.Op, ...]] = {
    "normalise": (),
    "convolution, valid": (conv("y", "small", 1, "valid"),),
    "convolution, same, fused relu": (
        conv("c", "small", 1, "same"),
        ops.Relu(name="y", inputs=("c",)),
    ),
    "convolution, read before its relu": (
        conv("c", "small", 1, "same"),
        ops.Relu(name="r", inputs=("c",)),
        ops.Add(name="y", inputs=("c", "r")),
    ),
    "max pooling": (ops.MaxPool2D(name="y", inputs=("small",), size=2),),
    "padded by a pixel": (
        ops.PadConstant(
            name="y", inputs=("small",), before=1, after=2, value=np.float32([3, 1, -2])
        ),
    ),
    "padded with spare columns, then joined": (
        ops.PadConstant(
            name="wide",
            inputs=("small",),
            before=1,
            after=1,
            value=np.float32([3, 1, -2]),
            spare=2,
        ),
        ops.Reshape(name="y", inputs=("wide",), target=(6, 5, 6)),
    ),
    "space to depth": (
        ops.SpaceToDepth(name="deep", inputs=("small",), block=2),
        ops.Reshape(name="y", inputs=("deep",), target=(6, 12)),
    ),
    "vector": (
        ops.Reshape(name="flat", inputs=("small",), target=(72,)),
        dense("d", "flat", 72, 5),
        ops.Softmax(name="y", inputs=("d",)),
    ),
    "relu of tokens": (TOKENS, ops.Relu(name="y", inputs=("tokens",))),
    "prepended token": (TOKENS, ops.PrependToken(name="y", inputs=("tokens",), token=normal(6))),
    "added constant": (TOKENS, ops.AddConstant(name="y", inputs=("tokens",), value=normal(12, 6))),
    "layer norm": (TOKENS, ops.LayerNorm(name="y", inputs=("tokens",), epsilon=1e-6)),
    "layer norm with gain and bias": (
        TOKENS,
        ops.LayerNorm(name="y", inputs=("tokens",), epsilon=1e-3, gain=normal(6), bias=normal(6)),
    ),
    "batch norm": (
        TOKENS,
        ops.BatchNorm(name="y", inputs=("tokens",), scale=normal(6), offset=normal(6)),
    ),
    "gelu": (TOKENS, ops.Gelu(name="y", inputs=("tokens",))),
    "one token": (TOKENS, ops.TakeToken(name="y", inputs=("tokens",), index=3)),
    "attention": (
        TOKENS,
        *(dense(name, "tokens", 6, 8) for name in "qkv"),
        ops.Attention(name="y", inputs=("q", "k", "v"), heads=2, scale=0.5),
    ),
    "attention of one query": (
        TOKENS,
        ops.TakeToken(name="first", inputs=("tokens",), index=0),
        dense("q", "first", 6, 8),
        *(dense(name, "tokens", 6, 8) for name in "kv"),
        ops.Attention(name="y", inputs=("q", "k", "v"), heads=2, scale=1.0),
    ),
}


def run_tflite(graph: DeployGraph, pixels: Pixels) -> np.ndarray:
    interpreter = Interpreter(model_content=write_float(graph))
    answer: np.ndarray = interpreter.get_signature_runner("serving_default")(pixels=pixels)[
        "probabilities"
    ]
    return answer


def run_onnx(graph: DeployGraph, pixels: Pixels) -> np.ndarray:
    session = onnxruntime.InferenceSession(write_onnx(graph, Float(), {}))
    (answer,) = session.run(None, {"pixels": pixels})
    return np.asarray(answer)


def run_openvino(graph: DeployGraph, pixels: Pixels) -> np.ndarray:
    model = openvino.convert_model(io.BytesIO(write_onnx(graph, Float(), {}, batched=True)))
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled(pixels)[0])


@pytest.mark.parametrize("run", [run_tflite, run_onnx, run_openvino])
@pytest.mark.parametrize("case", CASES)
def test_file_equals_the_graph_when_it_holds(
    case: str, run: Callable[[DeployGraph, Pixels], np.ndarray]
) -> None:
    graph = DeployGraph((INPUT, SMALL, *CASES[case]))
    pixels = RANDOM.integers(0, 256, (1, 4, 6, 3), dtype=np.uint8)
    expected = graph.values(pixels)[graph.output]
    actual = run(graph, pixels)
    np.testing.assert_allclose(actual.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)


def test_every_op_is_covered_when_it_can_be_lowered() -> None:
    covered = {type(op) for case in CASES.values() for op in case} | {ops.Input, ops.Normalise}
    concrete = {
        value
        for value in vars(ops).values()
        if isinstance(value, type) and issubclass(value, ops.Op) and not value.__abstractmethods__
    }
    assert covered == concrete

"""Integer files in the real runtime: each op against its meaning in NumPy, and a whole model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgevit.calibration.ranges import RangePolicy
from edgevit.calibration.statistics import Calibration
from edgevit.export import ops
from edgevit.export.graph import DeployGraph
from edgevit.export.job import ExportJob
from edgevit.export.passes.rotate_residual import rotated_residual
from edgevit.export.tflite_integer import integer_refusal, write_integer
from edgevit.preprocessing import Pixels
from edgevit.runtimes.classifier import predict_all
from edgevit.runtimes.tflite import TFLiteSession

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (6, 4, 6, 3), dtype=np.uint8)
INPUT = ops.Input(name="pixels", inputs=(), height=4, width=6)
SMALL = ops.Normalise(
    name="small",
    inputs=("pixels",),
    scale=np.float32([1 / 64, 1 / 32, 1 / 64]),
    offset=np.float32([-2, -1, -3]),
    swap_channels=True,
)
TOKENS = ops.Reshape(name="tokens", inputs=("small",), target=(12, 6))

# Noise of one rounding of evenly spread numbers is 50 dB below them; each op adds a few roundings.
LEAST_SQNR_DB = 28


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def dense(name: str, source: str, inputs: int, outputs: int) -> ops.Dense:
    return ops.Dense(
        name=name, inputs=(source,), kernel=normal(inputs, outputs), bias=normal(outputs)
    )


def conv(name: str, stride: int, padding: ops.Padding) -> ops.Conv2D:
    kernel, bias = normal(3, 3, 3, 5), normal(5)
    return ops.Conv2D(
        name=name, inputs=("small",), kernel=kernel, bias=bias, stride=stride, padding=padding
    )


CASES: dict[str, tuple[ops.Op, ...]] = {
    "normalise": (),
    "convolution, valid": (conv("y", 1, "valid"),),
    "convolution, same, fused relu": (conv("c", 1, "same"), ops.Relu(name="y", inputs=("c",))),
    "convolution, read before its relu": (
        conv("c", 1, "same"),
        ops.Relu(name="r", inputs=("c",)),
        ops.Reshape(name="a", inputs=("c",), target=(24, 5)),
        ops.Reshape(name="b", inputs=("r",), target=(24, 5)),
        ops.Add(name="y", inputs=("a", "b")),
    ),
    "padded by a pixel": (
        ops.PadConstant(
            name="y", inputs=("small",), before=1, after=2, value=np.float32([0, 1, -1])
        ),
    ),
    "max pooling": (ops.MaxPool2D(name="y", inputs=("small",), size=2),),
    "space to depth": (ops.SpaceToDepth(name="y", inputs=("small",), block=2),),
    "head": (
        ops.Reshape(name="flat", inputs=("small",), target=(72,)),
        dense("hidden", "flat", 72, 8),
        ops.Gelu(name="active", inputs=("hidden",)),
        dense("logits", "active", 8, 5),
        ops.Softmax(name="y", inputs=("logits",)),
    ),
    "softmax of tokens": (TOKENS, ops.Softmax(name="y", inputs=("tokens",))),
    "relu of tokens": (TOKENS, ops.Relu(name="y", inputs=("tokens",))),
    "prepended token": (TOKENS, ops.PrependToken(name="y", inputs=("tokens",), token=normal(6))),
    "added constant": (TOKENS, ops.AddConstant(name="y", inputs=("tokens",), value=normal(12, 6))),
    "prepended token and positions": (
        TOKENS,
        ops.PrependToken(name="more", inputs=("tokens",), token=normal(6)),
        ops.AddConstant(name="y", inputs=("more",), value=normal(13, 6)),
    ),
    "layer norm": (TOKENS, ops.LayerNorm(name="y", inputs=("tokens",), epsilon=1e-6)),
    "gelu": (TOKENS, ops.Gelu(name="y", inputs=("tokens",))),
    "one token": (TOKENS, ops.TakeToken(name="y", inputs=("tokens",), index=3)),
    "one token of a sum": (
        TOKENS,
        ops.Add(name="sum", inputs=("tokens", "tokens")),
        ops.TakeToken(name="y", inputs=("sum",), index=3),
    ),
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


def opened(data: bytes) -> Any:
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    return interpreter


def integer_file(graph: DeployGraph, pixels: Pixels = PIXELS) -> bytes:
    observed = Calibration(graph, pixels).observed
    return write_integer(graph, RangePolicy().ranges(graph, observed))


def written(graph: DeployGraph) -> Any:
    return opened(integer_file(graph))


def answer(interpreter: Any, image: Pixels) -> np.ndarray:
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[np.newaxis])
    interpreter.invoke()
    output = interpreter.get_output_details()[0]
    scale, zero_point = output["quantization"]
    levels = interpreter.get_tensor(output["index"]).astype(np.float64)
    return np.asarray(scale * (levels - zero_point))


def sqnr_db(expected: np.ndarray, actual: np.ndarray) -> float:
    noise = np.sum(np.square(expected - actual.reshape(expected.shape)))
    return float(10 * np.log10(np.sum(np.square(expected)) / noise))


@pytest.mark.parametrize("case", CASES)
def test_file_is_the_graph_up_to_rounding_when_it_holds(case: str) -> None:
    graph = DeployGraph((INPUT, SMALL, *CASES[case]))
    interpreter = written(graph)
    expected = graph.values(PIXELS)[graph.output]
    actual = np.stack([answer(interpreter, image) for image in PIXELS])
    assert sqnr_db(expected, actual) > LEAST_SQNR_DB


def test_every_op_is_covered_when_it_can_be_lowered() -> None:
    covered = {type(op) for case in CASES.values() for op in case} | {ops.Input, ops.Normalise}
    concrete = {
        value
        for value in vars(ops).values()
        if isinstance(value, type) and issubclass(value, ops.Op) and not value.__abstractmethods__
    }
    assert covered == concrete - {ops.BatchNorm}


def test_pixels_are_exact_when_only_moved() -> None:
    graph = DeployGraph((INPUT, ops.SpaceToDepth(name="y", inputs=("pixels",), block=2)))
    expected = graph.values(PIXELS[:1])["y"]
    np.testing.assert_array_equal(answer(written(graph), PIXELS[0]), expected)


def test_layer_norm_is_exact_for_each_when_tokens_differ_much() -> None:
    sizes = 8.0 ** np.linspace(-1, 1, 12, dtype=np.float32)[:, np.newaxis]
    offsets = sizes * np.random.default_rng(1).normal(size=(12, 6))
    graph = DeployGraph(
        (
            INPUT,
            SMALL,
            TOKENS,
            ops.AddConstant(name="sum", inputs=("tokens",), value=np.float32(offsets)),
            ops.LayerNorm(name="y", inputs=("sum",), epsilon=1e-6),
        )
    )
    interpreter = written(graph)
    assert any("/alike" in detail["name"] for detail in interpreter.get_tensor_details())
    expected = graph.values(PIXELS)["y"]
    actual = np.stack([answer(interpreter, image) for image in PIXELS])
    assert sqnr_db(expected, actual) > LEAST_SQNR_DB


def test_roundings_do_not_add_up_when_many_are_summed() -> None:
    chain: list[ops.Op] = [TOKENS]
    for index in range(24):
        branch = dense(f"branch_{index}", "tokens", 6, 6)
        small = replace(branch, kernel=branch.kernel / 64, bias=branch.bias / 64)
        stream = f"sum_{index - 1}" if index else "tokens"
        chain += [small, ops.Add(name=f"sum_{index}", inputs=(stream, small.name))]
    graph = DeployGraph((INPUT, SMALL, *chain))
    interpreter = written(graph)
    expected = graph.values(PIXELS)[graph.output]
    actual = np.stack([answer(interpreter, image) for image in PIXELS])
    # Of 24 roundings to the grid of the sum, 14 dB more would be lost.
    assert sqnr_db(expected, actual) > 36


def test_answers_are_the_graphs_when_a_model_is_written(job: ExportJob) -> None:
    graph = rotated_residual(job.graph)
    assert graph is not job.graph
    data = integer_file(graph, job.calibration_set.images)
    session = TFLiteSession(opened(data), "model")
    actual = predict_all(session, job.held_out.pixels, "")
    assert np.ptp(job.held_out.reference) > 0.3
    np.testing.assert_allclose(actual, job.held_out.reference, atol=0.1)


def test_no_number_is_a_float_when_written(job: ExportJob) -> None:
    data = integer_file(job.graph, job.calibration_set.images)
    interpreter = opened(data)
    dtypes = {np.dtype(detail["dtype"]).kind for detail in interpreter.get_tensor_details()}
    assert dtypes <= {"i", "u"}
    assert interpreter.get_input_details()[0]["dtype"] is np.uint8


def test_bytes_are_the_same_when_written_twice(job: ExportJob) -> None:
    first, second = (integer_file(job.graph, job.calibration_set.images) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    "op",
    [
        ops.LayerNorm(name="y", inputs=("tokens",), epsilon=1e-6, gain=normal(6), bias=normal(6)),
        ops.BatchNorm(name="y", inputs=("tokens",), scale=normal(6), offset=normal(6)),
    ],
)
def test_graph_is_refused_when_an_affine_map_is_left(op: ops.Op) -> None:
    graph = DeployGraph((INPUT, SMALL, TOKENS, op))
    assert integer_refusal(graph) == "y is not folded into a dense layer"
    with pytest.raises(ValueError, match="y is not folded"):
        write_integer(graph, {})


def test_rotation_spreads_an_outlier_and_keeps_the_answers(job: ExportJob) -> None:
    rotated = rotated_residual(job.graph)
    pixels = job.held_out.pixels[:4]
    np.testing.assert_allclose(rotated.evaluate(pixels), job.held_out.reference[:4], atol=1e-4)
    norm = next(rotated.of_type(ops.LayerNorm))
    means = rotated.values(pixels)[norm.inputs[0]].mean(axis=-1)
    np.testing.assert_allclose(means, 0, atol=1e-4)

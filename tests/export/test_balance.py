"""Balances between activations and weights: exact in float, finer in eight bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgevit.calibration.ranges import RangePolicy
from edgevit.calibration.statistics import Calibration
from edgevit.export.graph import DeployGraph
from edgevit.export.job import ExportJob
from edgevit.export.ops import (
    Attention,
    Dense,
    LayerNorm,
    MaxPool2D,
    Op,
    Relu,
    Reshape,
    Softmax,
    TakeToken,
)
from edgevit.export.passes import balance as module
from edgevit.export.passes.balance import balance_convolutions, balance_norms, balance_values
from edgevit.export.passes.balance_queries import balance_queries
from edgevit.export.passes.calibrated import CalibratedPass, Rounding
from edgevit.export.passes.exact import run_passes
from edgevit.export.plan import Operand, everywhere, rounded_products, with_float
from edgevit.models.registry import ARCHITECTURES
from edgevit.preprocessing import Pixels
from tests.export.small_graphs import (
    INPUT,
    RANDOM,
    SMALL,
    TOKENS,
    dense,
    first_convolutions,
    normal,
    squares,
)
from tests.models.template import stirred

PASSES: tuple[CalibratedPass, ...] = (
    balance_convolutions,
    balance_norms,
    balance_values,
    balance_queries,
)
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 4, 6, 3), dtype=np.uint8)
# Some channels are large and some small, as training leaves them.
SPREAD = np.float32([1, 40, 1, 0.05, 1, 8])


def rounding_of(graph: DeployGraph, operand: Operand = "calibrated") -> Rounding:
    return Rounding(everywhere(operand)(graph), RangePolicy())


def with_kernel(graph: DeployGraph, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Op:
    op = graph.op(name)
    assert "kernel" in op.arrays()
    return replace(op, kernel=change(op.arrays()["kernel"]))  # type: ignore[call-arg]


def edited(graph: DeployGraph, *layers: Op) -> DeployGraph:
    return graph.edit({layer.name: (layer,) for layer in layers})


def attention_block() -> DeployGraph:
    """Tokens through a norm and an attention; ``mixed`` is what that returns."""
    return DeployGraph(
        (
            INPUT,
            SMALL,
            TOKENS,
            dense("embedding", "tokens", 6, 6),
            LayerNorm(name="norm", inputs=("embedding",), epsilon=1e-6),
            *(dense(name, "norm", 6, 6) for name in ("query", "key", "value")),
            Attention(name="mixed", inputs=("query", "key", "value"), heads=2, scale=0.5),
            dense("out", "mixed", 6, 6),
            TakeToken(name="take", inputs=("out",), index=0),
            Reshape(name="vector", inputs=("take",), target=(6,)),
            dense("logits", "vector", 6, 4),
            Softmax(name="probabilities", inputs=("logits",)),
        )
    )


def uneven_convolutions() -> DeployGraph:
    """A chain in which the first convolution's channels differ in size; pooled, and flattened."""
    graph = first_convolutions()
    spread = SPREAD[:5]
    pooled = (
        MaxPool2D(name="pool", inputs=("s",), size=2),
        Reshape(name="flat", inputs=("pool",), target=(36,)),
        dense("logits", "flat", 36, 3),
    )
    chain = graph.edit({"flat": pooled[:2], "logits": pooled[2:]})
    conv, reader = chain.op("c"), chain.op("d")
    bias = conv.arrays()["bias"] * spread
    return edited(
        chain,
        replace(with_kernel(chain, "c", lambda kernel: kernel * spread), bias=bias),
        with_kernel(chain, reader.name, lambda kernel: kernel / spread[:, np.newaxis]),
        with_kernel(chain, "logits", lambda kernel: kernel / 64),
    )


def uneven_norm() -> DeployGraph:
    """Channels of the stream differ in size: no gain of the norm is left to fold."""
    graph = attention_block()
    embedding = with_kernel(graph, "embedding", lambda kernel: kernel * SPREAD)
    rows = np.sqrt(np.mean(SPREAD**2)) / SPREAD[:, np.newaxis]
    return edited(
        graph,
        replace(embedding, bias=embedding.arrays()["bias"] * SPREAD),
        *(with_kernel(graph, n, lambda kernel: kernel * rows) for n in ("query", "key", "value")),
    )


def uneven_values() -> DeployGraph:
    graph = attention_block()
    value = with_kernel(graph, "value", lambda kernel: kernel * SPREAD)
    out = with_kernel(graph, "out", lambda kernel: kernel / SPREAD[:, np.newaxis])
    return edited(graph, replace(value, bias=value.arrays()["bias"] * SPREAD), out)


def uneven_queries() -> DeployGraph:
    graph = attention_block()
    query = with_kernel(graph, "query", lambda kernel: kernel * SPREAD / 4)
    key = with_kernel(graph, "key", lambda kernel: kernel / SPREAD)
    return edited(
        graph,
        replace(query, bias=query.arrays()["bias"] * SPREAD / 4),
        replace(key, bias=key.arrays()["bias"] / SPREAD),
    )


UNEVEN: dict[CalibratedPass, Callable[[], DeployGraph]] = {
    balance_convolutions: uneven_convolutions,
    balance_norms: uneven_norm,
    balance_values: uneven_values,
    balance_queries: uneven_queries,
}


def pixels_of(graph: DeployGraph) -> Pixels:
    shape = graph.shapes[graph.ops[0].name]
    return RANDOM.integers(0, 256, (16, *shape), dtype=np.uint8)


def assert_same_answers(before: DeployGraph, after: DeployGraph, pixels: Pixels) -> None:
    expected = before.evaluate(pixels)
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(after.evaluate(pixels), expected, atol=1e-4)


@pytest.mark.parametrize("balance", PASSES)
def test_answers_and_statistics_are_the_same_when_channels_are_uneven(
    balance: CalibratedPass,
) -> None:
    graph = UNEVEN[balance]()
    pixels = pixels_of(graph)
    after = balance(Calibration(graph, pixels), rounding_of(graph))
    assert after.graph is not graph
    assert_same_answers(graph, after.graph, pixels)
    assert_statistics_are_true(after)


def assert_statistics_are_true(calibration: Calibration) -> None:
    """What was scaled along is what would be seen."""
    seen = Calibration(calibration.graph, calibration.images).observed
    assert seen.keys() == calibration.observed.keys()
    for name, expected in seen.items():
        told = calibration.observed[name]
        least = 1e-4 * np.abs(expected.span).max() + 1e-6
        for field in ("lows", "highs", "sample"):
            pair = getattr(told, field), getattr(expected, field)
            np.testing.assert_allclose(*pair, atol=least, err_msg=name)


def error_of(calibration: Calibration, rounding: Rounding) -> float:
    """Return the squared error of what the products compute, as shares of their outputs."""
    graph = calibration.graph
    ranges = rounding.policy.ranges(graph, calibration.observed)
    products = rounded_products(graph, rounding.plan, ranges)
    total = 0.0
    for op, inputs, value in graph.walk(calibration.images):
        if op.name in products:
            total += float(np.sum(np.square(products[op.name](*inputs) - value)) / value.var())
    return total


@pytest.mark.parametrize("operand", ["calibrated", "per-token", "per-image"])
@pytest.mark.parametrize("balance", PASSES[:3])
def test_error_is_smaller_when_uneven_channels_are_balanced(
    balance: CalibratedPass, operand: Operand
) -> None:
    graph = UNEVEN[balance]()
    before, rounding = Calibration(graph, pixels_of(graph)), rounding_of(graph, operand)
    after = balance(before, rounding)
    assert error_of(after, rounding) < 0.5 * error_of(before, rounding)


def test_queries_and_keys_are_as_large_when_balanced() -> None:
    graph = uneven_queries()
    after = balance_queries(Calibration(graph, PIXELS), rounding_of(graph)).observed
    largest = [np.maximum(-after[name].low, after[name].high) for name in ("query", "key")]
    np.testing.assert_allclose(largest[0], largest[1], rtol=1e-5)


@pytest.mark.parametrize("balance", PASSES[:3])
def test_weights_stay_when_nothing_can_be_gained(
    balance: CalibratedPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = UNEVEN[balance]()
    calibration = Calibration(graph, pixels_of(graph))
    monkeypatch.setattr(module, "_WORTHWHILE", 0.0)  # no balance is good enough
    after = balance(calibration, rounding_of(graph))
    for op in graph.ops:
        for field, value in op.arrays().items():
            np.testing.assert_array_equal(after.graph.op(op.name).arrays()[field], value)
    for norm in after.graph.of_type(LayerNorm):
        assert norm.gain is None or (norm.gain == 1).all()


@pytest.mark.parametrize("balance", PASSES[:3])
def test_error_is_hardly_larger_when_channels_are_even(balance: CalibratedPass) -> None:
    graph = attention_block() if balance is not balance_convolutions else first_convolutions()
    before, rounding = Calibration(graph, pixels_of(graph)), rounding_of(graph)
    # Errors of weights count for more in the search than here.
    assert error_of(balance(before, rounding), rounding) < 1.3 * error_of(before, rounding)


OTHERS: dict[str, tuple[CalibratedPass, tuple[Op, ...]]] = {
    "norm, by a relu": (balance_norms, (Relu(name="other", inputs=("norm",)),)),
    "norm, by a relu of one token": (
        balance_norms,
        (
            TakeToken(name="one", inputs=("norm",), index=0),
            Relu(name="other", inputs=("one",)),
        ),
    ),
    "values, by a dense layer": (balance_values, (dense("other", "value", 6, 6),)),
    "attention, by a relu": (balance_values, (Relu(name="other", inputs=("mixed",)),)),
    "queries, by a relu": (balance_queries, (Relu(name="other", inputs=("query",)),)),
    "keys, by a dense layer": (balance_queries, (dense("other", "key", 6, 6),)),
}


@pytest.mark.parametrize("case", OTHERS)
def test_graph_stays_when_something_else_reads_a_value(case: str) -> None:
    balance, readers = OTHERS[case]
    *before, _ = attention_block().ops
    graph = DeployGraph((*before, *readers, Softmax(name="answer", inputs=("logits",))))
    calibration = Calibration(graph, PIXELS)
    assert balance(calibration, rounding_of(graph)) is calibration


def test_convolution_stays_when_its_relu_has_two_readers() -> None:
    graph = uneven_convolutions()
    *before, answer = graph.ops
    other = Relu(name="other", inputs=("r",))
    both = DeployGraph((*before, other, answer))
    calibration = Calibration(both, pixels_of(both))
    after = balance_convolutions(calibration, rounding_of(both))
    # Only the second convolution, which the head alone reads, may have changed.
    for name in ("c", "r"):
        np.testing.assert_array_equal(
            after.observed[name].highs, calibration.observed[name].highs, err_msg=name
        )


@pytest.mark.parametrize("balance", PASSES[:3])
def test_graph_stays_when_all_readers_are_float(balance: CalibratedPass) -> None:
    graph = UNEVEN[balance]()
    plan = everywhere("calibrated")(graph)
    calibration = Calibration(graph, pixels_of(graph))
    rounding = Rounding(with_float(plan, frozenset(plan)), RangePolicy())
    assert balance(calibration, rounding) is calibration


@pytest.mark.parametrize("balance", PASSES)
def test_graph_stays_when_it_has_nothing_to_balance(balance: CalibratedPass) -> None:
    graph = DeployGraph((INPUT, SMALL, TOKENS, dense("d", "tokens", 6, 3)))
    calibration = Calibration(graph, PIXELS)
    assert balance(calibration, rounding_of(graph)) is calibration


def test_channel_stays_when_it_is_never_active() -> None:
    graph = uneven_values()
    dead = with_kernel(graph, "value", lambda kernel: kernel * np.float32([1, 1, 0, 1, 1, 1]))
    graph = edited(graph, replace(dead, bias=dead.arrays()["bias"] * (SPREAD[2] != SPREAD)))
    with np.errstate(divide="raise", invalid="raise"):
        after = balance_values(Calibration(graph, PIXELS), rounding_of(graph))
    assert_same_answers(graph, after.graph, PIXELS)
    kernel, before = (g.op("out").arrays()["kernel"] for g in (after.graph, graph))
    assert np.isfinite(kernel).all()
    np.testing.assert_array_equal(kernel[2], before[2])


@pytest.fixture(scope="module")
def scratch() -> DeployGraph:
    """The Keras example's ViT on four patches: its head reads all tokens of a norm, flattened."""
    architecture = ARCHITECTURES.get("vit-scratch")
    spec = architecture.spec(3, 12)
    trained = architecture.build_graph(spec, stirred(architecture.build_keras(spec)))
    return run_passes(trained, squares(12))[0]


@pytest.mark.parametrize("balance", PASSES[1:])
@pytest.mark.parametrize("model", ["vit-tiny", "vit-scratch"])
def test_answers_and_statistics_are_the_same_when_a_whole_model_is_balanced(
    job: ExportJob, scratch: DeployGraph, balance: CalibratedPass, model: str
) -> None:
    graph = job.graph if model == "vit-tiny" else scratch
    pixels = job.calibration_set.images[:6] if model == "vit-tiny" else squares(12)
    after = balance(Calibration(graph, pixels), rounding_of(graph))
    assert after.graph is not graph
    expected = graph.evaluate(pixels)
    np.testing.assert_allclose(after.graph.evaluate(pixels), expected, atol=1e-4)
    assert_statistics_are_true(after)


def test_norm_has_a_gain_when_its_readers_share_a_spread(scratch: DeployGraph) -> None:
    last = [norm.name for norm in scratch.of_type(LayerNorm)][-1]
    (flat,) = scratch.consumers(last)
    (head,) = scratch.consumers(flat.name)
    assert isinstance(head, Dense)
    spread = np.exp(normal(64))
    uneven = edited(
        scratch,
        with_kernel(
            scratch,
            head.name,
            lambda kernel: (kernel.reshape(-1, 64, kernel.shape[1]) * spread[:, None]).reshape(
                kernel.shape
            ),
        ),
    )
    pixels = squares(12)
    after = balance_norms(Calibration(uneven, pixels), rounding_of(uneven)).graph
    norm = after.op(last)
    assert isinstance(norm, LayerNorm)
    assert norm.gain is not None
    # Wide rows are for large numbers now: what the gain has, the rows have no more.
    assert np.corrcoef(np.log(norm.gain), np.log(spread))[0, 1] > 0.7
    np.testing.assert_allclose(after.evaluate(pixels), uneven.evaluate(pixels), atol=1e-4)

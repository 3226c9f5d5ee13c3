"""Each pass on its own: it changes what it should, keeps the answers, and knows where to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from edgevit.errors import CheckFailedError
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import (
    Add,
    Attention,
    BatchNorm,
    Conv2D,
    Dense,
    Input,
    LayerNorm,
    Normalise,
    Op,
    Relu,
    Reshape,
    Softmax,
    TakeToken,
)
from edgevit.export.passes.exact import run_passes
from edgevit.export.passes.fold_attention_scale import fold_attention_scale
from edgevit.export.passes.fold_batch_norm import fold_batch_norm
from edgevit.export.passes.fold_layer_norm import fold_layer_norm
from edgevit.export.passes.fold_normalise import fold_normalise
from edgevit.export.passes.take_token_early import take_token_early

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
INPUT = Input(name="pixels", inputs=(), height=4, width=4)
SCALED = Normalise(
    name="scaled",
    inputs=("pixels",),
    scale=np.full(3, 1 / 64, np.float32),
    offset=np.float32([-2, -1, -3]),
    swap_channels=True,
)
TOKENS = Reshape(name="tokens", inputs=("scaled",), target=(8, 6))


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def dense(name: str, source: str, inputs: int, outputs: int) -> Dense:
    return Dense(name=name, inputs=(source,), kernel=normal(inputs, outputs), bias=normal(outputs))


def layer_norm(name: str, source: str) -> LayerNorm:
    return LayerNorm(name=name, inputs=(source,), epsilon=1e-6, gain=normal(6), bias=normal(6))


def graph_of(*ops: Op) -> DeployGraph:
    return DeployGraph((INPUT, SCALED, TOKENS, *ops))


def assert_same(before: DeployGraph, after: DeployGraph) -> None:
    expected = before.evaluate(PIXELS)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(after.evaluate(PIXELS), expected, rtol=1e-4, atol=1e-4)


def test_batch_norm_is_folded_when_dense_layers_read_it() -> None:
    norm = BatchNorm(name="norm", inputs=("tokens",), scale=normal(6), offset=normal(6))
    ops: Sequence[Op] = (norm, dense("a", "norm", 6, 5), dense("b", "norm", 6, 5))
    graph = graph_of(*ops, Add(name="sum", inputs=("a", "b")))
    folded = fold_batch_norm(graph)
    assert not list(folded.of_type(BatchNorm))
    assert_same(graph, folded)


def test_batch_norm_stays_when_something_else_reads_it() -> None:
    norm = BatchNorm(name="norm", inputs=("tokens",), scale=normal(6), offset=normal(6))
    graph = graph_of(norm, dense("a", "norm", 6, 6), Add(name="sum", inputs=("a", "norm")))
    assert fold_batch_norm(graph) is graph


@pytest.mark.parametrize("behind", ["nothing", "flatten", "take"])
def test_layer_norm_is_folded_when_dense_layers_read_it(behind: str) -> None:
    norm = layer_norm("norm", "tokens")
    graph = {
        "nothing": graph_of(norm, dense("d", "norm", 6, 5)),
        "flatten": graph_of(
            norm,
            Reshape(name="flat", inputs=("norm",), target=(48,)),
            dense("d", "flat", 48, 5),
        ),
        "take": graph_of(
            norm, TakeToken(name="take", inputs=("norm",), index=2), dense("d", "take", 6, 5)
        ),
    }[behind]
    folded = fold_layer_norm(graph)
    assert all(op.gain is None and op.bias is None for op in folded.of_type(LayerNorm))
    assert_same(graph, folded)


def test_layer_norm_keeps_its_gain_when_something_else_reads_it() -> None:
    graph = graph_of(layer_norm("norm", "tokens"), Relu(name="relu", inputs=("norm",)))
    assert fold_layer_norm(graph) is graph


def test_normalise_is_folded_when_the_convolution_is_valid() -> None:
    conv = Conv2D(name="c", inputs=("scaled",), kernel=normal(2, 2, 3, 5), bias=normal(5), stride=2)
    graph = DeployGraph((INPUT, SCALED, conv))
    folded = fold_normalise(graph)
    assert not list(folded.of_type(Normalise))
    assert_same(graph, folded)


def test_only_the_offset_stays_when_the_convolution_pads() -> None:
    conv = Conv2D(
        name="c", inputs=("scaled",), kernel=normal(3, 3, 3, 5), bias=normal(5), padding="same"
    )
    graph = DeployGraph((INPUT, SCALED, conv))
    folded = fold_normalise(graph)
    (left,) = folded.of_type(Normalise)
    assert not left.swap_channels
    np.testing.assert_array_equal(left.scale, [1, 1, 1])
    assert_same(graph, folded)
    assert fold_normalise(folded) is folded


def encoder_like() -> DeployGraph:
    """A pre-norm block whose output is read at one token."""
    query, key, value = (dense(name, "norm", 6, 6) for name in ("query", "key", "value"))
    return graph_of(
        layer_norm("norm", "tokens"),
        query,
        key,
        value,
        Attention(name="mixed", inputs=("query", "key", "value"), heads=2, scale=3**-0.5),
        dense("out", "mixed", 6, 6),
        Add(name="middle", inputs=("tokens", "out")),
        layer_norm("norm_2", "middle"),
        dense("mlp", "norm_2", 6, 6),
        Add(name="end", inputs=("middle", "mlp")),
        TakeToken(name="take", inputs=("end",), index=0),
        dense("logits", "take", 6, 4),
        Softmax(name="probabilities", inputs=("logits",)),
    )


def test_attention_scale_is_folded_when_the_query_has_one_reader() -> None:
    graph = encoder_like()
    folded = fold_attention_scale(graph)
    assert [op.scale for op in folded.of_type(Attention)] == [1.0]
    assert_same(graph, folded)


def test_one_token_is_computed_when_only_it_is_read() -> None:
    graph = encoder_like()
    early = take_token_early(graph)
    shapes = early.shapes
    assert shapes["query"] == shapes["middle"] == shapes["mlp"] == (1, 6)
    assert shapes["key"] == shapes["value"] == (8, 6)
    assert_same(graph, early)


def test_all_tokens_are_computed_when_another_reader_needs_them() -> None:
    graph = graph_of(
        dense("d", "tokens", 6, 6),
        TakeToken(name="take", inputs=("d",), index=0),
        Reshape(name="first", inputs=("take",), target=(6,)),
        Reshape(name="all", inputs=("d",), target=(48,)),
        dense("a", "all", 48, 6),
        Add(name="sum", inputs=("first", "a")),
    )
    assert take_token_early(graph) is graph


def test_a_pass_is_stopped_when_it_changes_the_answers() -> None:
    def break_bias(graph: DeployGraph) -> DeployGraph:
        logits = graph.op("logits")
        assert isinstance(logits, Dense)
        return graph.edit({"logits": (replace(logits, bias=logits.bias + normal(4)),)})

    with pytest.raises(CheckFailedError, match="the pass break_bias changed a probability by"):
        run_passes(encoder_like(), PIXELS, [break_bias])


def test_a_pass_is_stopped_when_the_answers_become_nan() -> None:
    def poison(graph: DeployGraph) -> DeployGraph:
        logits = graph.op("logits")
        assert isinstance(logits, Dense)
        return graph.edit({"logits": (replace(logits, bias=logits.bias * np.float32("nan")),)})

    with pytest.raises(CheckFailedError, match="the pass poison changed a probability by nan"):
        run_passes(encoder_like(), PIXELS, [poison])

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
    AddConstant,
    Attention,
    BatchNorm,
    Conv2D,
    Dense,
    Gelu,
    Input,
    LayerNorm,
    Normalise,
    Op,
    Padding,
    PrependToken,
    Relu,
    Reshape,
    Softmax,
    SpaceToDepth,
    TakeToken,
)
from edgevit.export.passes.centre_residual import centre_residual
from edgevit.export.passes.exact import run_passes
from edgevit.export.passes.fold_attention_scale import fold_attention_scale
from edgevit.export.passes.fold_batch_norm import fold_batch_norm
from edgevit.export.passes.fold_layer_norm import fold_layer_norm
from edgevit.export.passes.fold_normalise import fold_normalise
from edgevit.export.passes.take_token_early import take_token_early
from edgevit.export.passes.unfold_patches import unfold_patches
from tests.export.small_graphs import RANDOM, dense, normal

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
    logits = dense("logits", "take", 6, 4)
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
        replace(logits, kernel=logits.kernel / 32),  # no answer is certain, or none would change
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


def patches(
    kernel: tuple[int, int] = (2, 2), stride: int = 2, padding: Padding = "valid"
) -> DeployGraph:
    """A patch embedding: a convolution whose image is read as tokens."""
    conv = Conv2D(
        name="embedding",
        inputs=("scaled",),
        kernel=normal(*kernel, 3, 6),
        bias=normal(6),
        stride=stride,
        padding=padding,
    )
    graph = DeployGraph((INPUT, SCALED, conv))
    rows, columns, width = graph.shapes["embedding"]
    tokens = Reshape(name="tokens", inputs=("embedding",), target=(rows * columns, width))
    return DeployGraph((*graph.ops, tokens, dense("d", "tokens", 6, 5)))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_patches_are_unfolded_when_squares_do_not_overlap(size: int) -> None:
    graph = patches((size, size), size)
    unfolded = unfold_patches(graph)
    kinds = [type(op) for op in unfolded.ops]
    assert kinds == [Input, Normalise, SpaceToDepth, Reshape, Dense, Dense]
    # The dense layer has the convolution's name, under which the file's weights are checked.
    assert unfolded.shapes["embedding"] == ((4 // size) ** 2, 6)
    assert unfolded.parameter_count == graph.parameter_count
    assert_same(graph, unfolded)
    assert unfold_patches(unfolded) is unfolded


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        ((2, 2), 1, "valid"),  # squares overlap
        ((1, 1), 2, "valid"),  # pixels are skipped
        ((2, 1), 2, "valid"),
        ((1, 2), 2, "valid"),
        ((3, 3), 3, "valid"),  # the image is no whole number of squares
        ((1, 1), 1, "same"),
        ((3, 3), 1, "same"),
    ],
)
def test_convolution_stays_when_it_is_no_patch_embedding(
    kernel: tuple[int, int], stride: int, padding: Padding
) -> None:
    graph = patches(kernel, stride, padding)
    assert unfold_patches(graph) is graph


def test_convolution_stays_when_its_image_is_not_read_as_tokens() -> None:
    *before, embedding, tokens, _ = patches().ops
    images: tuple[tuple[Op, ...], ...] = (
        (),  # it is the answer itself
        (Relu(name="relu", inputs=("embedding",)),),
        (Reshape(name="flat", inputs=("embedding",), target=(24,)),),
        (Reshape(name="transposed", inputs=("embedding",), target=(6, 4)),),
        (
            tokens,
            Relu(name="relu", inputs=("embedding",)),
            Reshape(name="other", inputs=("relu",), target=(4, 6)),
            Add(name="sum", inputs=("tokens", "other")),
        ),
    )
    for behind in images:
        graph = DeployGraph((*before, embedding, *behind))
        assert unfold_patches(graph) is graph


def residual_stream(*behind: Op) -> DeployGraph:
    """A stream of every kind of writer, which only layer norms read; ``end`` is its last value."""
    return graph_of(
        dense("embedding", "tokens", 6, 6),
        PrependToken(name="with_token", inputs=("embedding",), token=normal(6) + 2),
        AddConstant(name="placed", inputs=("with_token",), value=normal(9, 6) + 1),
        LayerNorm(name="norm", inputs=("placed",), epsilon=1e-6),
        dense("hidden", "norm", 6, 8),
        Gelu(name="gelu", inputs=("hidden",)),
        dense("mlp", "gelu", 8, 6),
        Add(name="middle", inputs=("placed", "mlp")),
        TakeToken(name="end", inputs=("middle",), index=1),
        *behind,
    )


LAST_NORM = layer_norm("last", "end")


def test_residual_stream_has_no_mean_when_only_layer_norms_read_it() -> None:
    graph = residual_stream(LAST_NORM, dense("d", "last", 6, 5))
    centred = centre_residual(graph)
    assert [op.centred for op in centred.of_type(LayerNorm)] == [True, True]
    before, after = graph.values(PIXELS), centred.values(PIXELS)
    for name in ("embedding", "with_token", "placed", "mlp", "middle", "end"):
        assert np.abs(before[name].mean(axis=-1)).max() > 0.1
        np.testing.assert_allclose(after[name].mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_array_equal(
        *(g.op("hidden").arrays()["kernel"] for g in (graph, centred))  # reads no stream
    )
    assert_same(graph, centred)
    assert centre_residual(centred) is centred


@pytest.mark.parametrize(
    "other",
    [
        Relu(name="other", inputs=("end",)),
        Relu(name="other", inputs=("embedding",)),
        Gelu(name="other", inputs=("mlp",)),
        dense("other", "placed", 6, 6),
    ],
    ids=["of the end", "of the first writer", "of a later writer", "a dense layer"],
)
def test_residual_stream_stays_when_something_else_reads_it(other: Op) -> None:
    graph = residual_stream(
        LAST_NORM,
        other,
        dense("a", "last", 6, 6),
        TakeToken(name="b", inputs=("other",), index=0),
        Add(name="sum", inputs=("a", "b")),
    )
    assert centre_residual(graph) is graph


@pytest.mark.parametrize("kind", [Relu, Gelu])
def test_residual_stream_stays_when_its_writer_cannot_be_centred(kind: type[Relu | Gelu]) -> None:
    graph = graph_of(
        dense("a", "tokens", 6, 6),
        kind(name="b", inputs=("a",)),
        dense("c", "tokens", 6, 6),
        Add(name="sum", inputs=("b", "c")),
        layer_norm("norm", "sum"),
    )
    assert centre_residual(graph) is graph


def test_residual_stream_stays_when_it_is_the_answer() -> None:
    graph = graph_of(
        dense("a", "tokens", 6, 6),
        layer_norm("norm", "a"),
        dense("b", "norm", 6, 6),
        Add(name="sum", inputs=("a", "b")),
    )
    assert centre_residual(graph) is graph


def test_one_stream_is_centred_when_another_cannot_be() -> None:
    graph = graph_of(
        layer_norm("of_tokens", "tokens"),
        dense("a", "of_tokens", 6, 6),
        layer_norm("of_stream", "a"),
        dense("d", "of_stream", 6, 5),
    )
    centred = centre_residual(graph)
    assert {op.name: op.centred for op in centred.of_type(LayerNorm)} == {
        "of_tokens": False,
        "of_stream": True,
    }
    assert_same(graph, centred)


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

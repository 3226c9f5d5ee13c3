from __future__ import annotations

import numpy as np
import pytest

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Add, Dense, Input, Relu, Reshape, Softmax

PIXELS = Input(name="pixels", inputs=(), height=2, width=2)
FLATTEN = Reshape(name="flat", inputs=("pixels",), target=(12,))


def dense(name: str, source: str, inputs: int = 12, outputs: int = 12) -> Dense:
    kernel = np.eye(inputs, outputs, dtype=np.float32)
    return Dense(
        name=name, inputs=(source,), kernel=kernel, bias=np.zeros(outputs, dtype=np.float32)
    )


def test_graph_is_refused_when_names_repeat() -> None:
    with pytest.raises(ValueError, match="two ops are named 'flat'"):
        DeployGraph((PIXELS, FLATTEN, FLATTEN))


def test_graph_is_refused_when_a_value_comes_later() -> None:
    with pytest.raises(ValueError, match="relu reads 'd', which is not computed before it"):
        DeployGraph((PIXELS, FLATTEN, Relu(name="relu", inputs=("d",)), dense("d", "flat")))


def test_graph_is_refused_when_shapes_clash() -> None:
    with pytest.raises(ValueError, match=r"d: \(12,\) for a kernel \(5, 12\)"):
        DeployGraph((PIXELS, FLATTEN, dense("d", "flat", inputs=5)))


def test_graph_is_refused_when_it_has_no_input() -> None:
    with pytest.raises(ValueError, match="starts with its Input"):
        DeployGraph((FLATTEN,))


def test_readers_skip_an_op_when_it_is_removed() -> None:
    graph = DeployGraph((PIXELS, FLATTEN, Relu(name="relu", inputs=("flat",)), dense("d", "relu")))
    edited = graph.edit({"relu": ()})
    assert [op.name for op in edited.ops] == ["pixels", "flat", "d"]
    assert edited.op("d").inputs == ("flat",)


def test_output_moves_when_the_last_op_is_removed() -> None:
    graph = DeployGraph((PIXELS, FLATTEN, Relu(name="relu", inputs=("flat",))))
    assert graph.edit({"relu": ()}).output == "flat"


def test_unread_ops_go_when_a_graph_is_edited() -> None:
    ops = (PIXELS, FLATTEN, dense("a", "flat"), dense("b", "flat"))
    graph = DeployGraph((*ops, Add(name="sum", inputs=("a", "b"))))
    edited = graph.edit({"sum": (Relu(name="sum", inputs=("a",)),)})
    assert [op.name for op in edited.ops] == ["pixels", "flat", "a", "sum"]


def test_batches_agree_when_evaluated_apart() -> None:
    graph = DeployGraph((PIXELS, FLATTEN, dense("d", "flat"), Softmax(name="p", inputs=("d",))))
    pixels = np.random.default_rng(0).integers(0, 9, (5, 2, 2, 3), dtype=np.uint8)
    np.testing.assert_allclose(graph.evaluate(pixels, batch_size=2), graph.values(pixels)["p"])

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


def three_layers() -> DeployGraph:
    layers = (dense("a", "flat"), Relu(name="b", inputs=("a",)), dense("c", "b"))
    return DeployGraph((PIXELS, FLATTEN, *layers, Add(name="sum", inputs=("c", "a"))))


NINE = np.random.default_rng(0).integers(0, 9, (5, 2, 2, 3), dtype=np.uint8)


def test_walk_yields_each_op_with_its_inputs_when_computed() -> None:
    graph = three_layers()
    values = graph.values(NINE)
    steps = list(graph.walk(NINE))
    assert [op.name for op, _, _ in steps] == [op.name for op in graph.ops] == list(values)
    for op, inputs, value in steps:
        np.testing.assert_array_equal(value, values[op.name])
        for source, given in zip(op.inputs, inputs, strict=True):  # none of the first
            np.testing.assert_array_equal(given, values[source])
    np.testing.assert_array_equal(steps[0][2], NINE)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_another_function_is_computed_when_it_stands_instead_of_an_op(batch_size: int) -> None:
    graph = three_layers()
    values = graph.values(NINE)
    twice = graph.evaluate(NINE, batch_size, {"a": lambda x: 2 * x, "b": lambda x: x - 7})
    np.testing.assert_allclose(twice, (2 * values["flat"] - 7) + 2 * values["flat"])
    np.testing.assert_allclose(graph.evaluate(NINE, batch_size), values["sum"])


@pytest.mark.parametrize("name", ["pixels", "flat", "a", "b", "c", "sum"])
def test_answer_is_that_of_another_value_when_one_is_replaced(name: str) -> None:
    graph = three_layers()
    values = graph.values(NINE)
    other = values[name] * np.float32(0.5) + 1
    expected = graph.evaluate(NINE, instead={name: lambda *inputs: other}, batch_size=5)
    np.testing.assert_array_equal(graph.answer_after(values, name, other), expected)
    assert not np.array_equal(expected, values["sum"])


def test_answer_stays_when_a_value_is_replaced_that_nothing_reads() -> None:
    # The order of ops decides: what comes before the value cannot read it.
    graph = three_layers()
    values = graph.values(NINE)
    unread = DeployGraph((*graph.ops[:-1], dense("dead", "a"), graph.ops[-1]))
    values = unread.values(NINE)
    np.testing.assert_array_equal(
        unread.answer_after(values, "dead", values["dead"] + 1), values["sum"]
    )


def test_names_are_in_a_graph_when_an_op_has_them() -> None:
    graph = three_layers()
    assert "flat" in graph
    assert "flat/part" not in graph
    assert None not in graph

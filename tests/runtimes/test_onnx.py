from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgevit.runtimes.onnx import OnnxSession, open_session
from edgevit.runtimes.onnx_providers import CPU
from tests.bench.standin import SIZE
from tests.runtimes.template import PHOTOS, RuntimeTemplate

_PIXELS = (1, SIZE, SIZE, 3)


def value(name: str, kind: int, shape: tuple[Any, ...]) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def write_model(path: Path, inputs: list[Any], outputs: list[Any], nodes: list[Any]) -> Path:
    graph = helper.make_graph(nodes, "foreign", inputs, outputs)
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, ir_version=9, opset_imports=opsets), path)
    return path


class TestOnnx(RuntimeTemplate):
    format_name = "onnx"
    module = "onnxruntime"

    def write_foreign(self, folder: Path, kind: str) -> Path:
        pixel_type = TensorProto.FLOAT if kind == "float" else TensorProto.UINT8
        shape: tuple[Any, ...] = {
            "channels first": (1, 3, SIZE, SIZE),
            "any size": (1, "rows", None, 3),
            "any batch": ("batch", SIZE, SIZE, 3),
        }.get(kind, _PIXELS)
        inputs, outputs = (
            [value("x", pixel_type, shape)],
            [value("y", TensorProto.FLOAT, (1, None))],
        )
        nodes = [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)]
        if kind == "two inputs":
            inputs.append(value("size", TensorProto.FLOAT, (1,)))
            nodes.append(helper.make_node("Mul", ["f", "size"], ["g"]))
        else:
            nodes.append(helper.make_node("Identity", ["f"], ["g"]))
        if kind == "image":
            outputs = [value("y", TensorProto.FLOAT, _PIXELS)]
            nodes.append(helper.make_node("Identity", ["g"], ["y"]))
        else:
            nodes.append(helper.make_node("Flatten", ["g"], ["y"]))
        if kind == "levels":
            outputs = [value("y", TensorProto.UINT8, (1, 768))]
            nodes = [helper.make_node("Flatten", ["x"], ["y"])]
        if kind == "two outputs":
            outputs.append(value("f", TensorProto.FLOAT, _PIXELS))
        return write_model(folder / "foreign.onnx", inputs, outputs, nodes)

    def test_answer_stays_when_invoked_again(self, tmp_path: Path) -> None:
        session = self.opened(tmp_path)
        first = session.invoke(PHOTOS[:1])
        kept = first.tolist()
        assert session.invoke(PHOTOS[1:2]).tolist() != kept
        assert first.tolist() == kept

    def test_threads_are_those_of_one_op_when_given(self, tmp_path: Path) -> None:
        options = open_session(self.write(tmp_path), 2).get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)

    def test_placement_counts_the_optimised_graph_when_ops_were_fused(self, tmp_path: Path) -> None:
        optimised = tmp_path / "optimised.onnx"
        session = OnnxSession(open_session(self.write(tmp_path), 1, optimised), "model")
        placement = session.placement()
        assert placement.ops == {CPU: len(onnx.load(optimised).graph.node)}
        assert placement.summary == f"{CPU}: {placement.ops[CPU]} nodes"

    def test_placement_names_the_providers_when_the_list_of_ops_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = self.opened(tmp_path)
        name = "get_provider_graph_assignment_info"
        (owner,) = (owner for owner in onnxruntime.InferenceSession.__mro__ if name in vars(owner))
        monkeypatch.delattr(owner, name)
        placement = session.placement()
        assert placement.ops == {}
        assert placement.summary.startswith(f"{CPU}; this ONNX Runtime does not list")

    def test_open_refuses_when_the_file_was_cut_by_a_byte(self, tmp_path: Path) -> None:
        path = self.write(tmp_path)
        path.write_bytes(path.read_bytes()[:-1])
        with self.refused("cannot be loaded"):
            self.runtime.open(path, 1)

    def test_open_refuses_when_an_op_is_unknown(self, tmp_path: Path) -> None:
        path = write_model(
            tmp_path / "newer.onnx",
            [value("x", TensorProto.UINT8, _PIXELS)],
            [value("y", TensorProto.FLOAT, (1, 3))],
            [helper.make_node("Classify", ["x"], ["y"])],
        )
        with self.refused("cannot be loaded .*Classify"):
            self.runtime.open(path, 1)

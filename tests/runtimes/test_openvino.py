from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
from openvino import opset13 as ov

from edgevit.export.graph import DeployGraph
from edgevit.export.lowering import Source
from edgevit.export.ops import Conv2D, Reshape, Softmax
from edgevit.export.registry import LOWERINGS
from edgevit.runtimes.openvino import PRECISION_KEY, compile_model, executed_ops
from tests.bench.standin import SIZE
from tests.runtimes.template import CARD, PHOTOS, RuntimeTemplate, colour_graph

_PIXELS = (1, SIZE, SIZE, 3)


class TestOpenVino(RuntimeTemplate):
    format_name = "openvino"
    module = "openvino"

    def write_foreign(self, folder: Path, kind: str) -> Path:
        shape = {
            "channels first": (1, 3, SIZE, SIZE),
            "any size": (1, -1, -1, 3),
            "any batch": (-1, SIZE, SIZE, 3),
        }.get(kind, _PIXELS)
        inputs = [ov.parameter(shape, np.float32 if kind == "float" else np.uint8, name="x")]
        floats = ov.convert(inputs[0], "f32")
        answer = floats
        if kind == "two inputs":
            inputs.append(ov.parameter((1,), np.float32, name="size"))
            answer = ov.multiply(floats, inputs[1])
        if kind == "levels":
            answer = inputs[0]
        if kind != "image":
            answer = ov.reshape(answer, np.array([1, -1]), special_zero=False)
        outputs = [answer, floats] if kind == "two outputs" else [answer]
        path = folder / "foreign.xml"
        openvino.save_model(openvino.Model(outputs, inputs, "foreign"), path)
        return path

    def test_threads_are_taken_when_given(self, tmp_path: Path) -> None:
        path = self.write(tmp_path)
        for threads in (1, 2):
            compiled = compile_model(path, threads)
            assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
            assert compiled.get_property("NUM_STREAMS") == 1

    def test_open_names_the_bin_file_when_it_is_missing(self, tmp_path: Path) -> None:
        path = self.write(tmp_path)
        path.with_suffix(".bin").unlink()
        with self.refused(r"model\.bin does not exist\. Copy the \.xml and the \.bin file again"):
            self.runtime.open(path, 1)

    def test_answers_are_apart_when_kept_as_the_protocol_says(self, tmp_path: Path) -> None:
        session = self.opened(tmp_path)
        first = session.invoke(PHOTOS[:1]).copy()  # the array may be the request's own memory
        second = session.invoke(PHOTOS[1:2]).copy()
        assert (first.argmax(), second.argmax()) == (0, 1)
        np.testing.assert_array_equal(session.invoke(PHOTOS[:1]), first)

    def test_float_ops_stay_float32_when_the_file_asks_for_it(self, tmp_path: Path) -> None:
        for precision in ("fp32", "int8"):
            path = self.write(tmp_path, precision)
            hint = openvino.Core().read_model(path).get_rt_info(list(PRECISION_KEY))
            assert hint.astype(str) == "f32"
            compiled = compile_model(path, 1)
            assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
            found = {dtype for _, dtype, _ in executed_ops(compiled)}
            assert found <= {"float32", "int8"}

    def test_placement_tells_int8_from_float_when_the_dense_layer_is_quantised(
        self, tmp_path: Path
    ) -> None:
        for precision, dtype in (("fp32", "float32"), ("int8", "int8")):
            path = self.write(tmp_path, precision)
            ops = executed_ops(compile_model(path, 1))
            assert [found for kind, found, _ in ops if kind == "FullyConnected"] == [dtype]
            placement = self.runtime.open(path, 1).placement()
            assert placement.ops == {"CPU": len(ops)}
            assert f"OpenVINO CPU, {len(ops)} fused ops: " in placement.summary
            assert f"{sum(found == dtype for _, found, _ in ops)} {dtype}" in placement.summary

    def test_ops_on_constants_are_not_counted_when_a_bias_is_reshaped(self, tmp_path: Path) -> None:
        random = np.random.default_rng(0)
        kernel = random.normal(size=(3, 3, 3, 8)).astype(np.float32)
        bias = random.normal(size=8).astype(np.float32)
        conv = Conv2D(name="conv", inputs=("pixels",), kernel=kernel, bias=bias, padding="same")
        flat = Reshape(name="flat", inputs=("conv",), target=(SIZE * SIZE * 8,))
        graph = DeployGraph(
            (colour_graph().ops[0], conv, flat, Softmax(name="s", inputs=("flat",)))
        )
        recipe = LOWERINGS.get("openvino").recipes(graph)["fp32"]
        for name, data in recipe.write(Source(graph, CARD)).items():
            (tmp_path / name).write_bytes(data)
        kinds = [kind for kind, _, _ in executed_ops(compile_model(tmp_path / "model.xml", 1))]
        assert kinds.count("Convolution") == 1
        assert kinds.count("Reshape") == 1  # of the image, not of the bias
        assert not {"Input", "Output", "Const", "Reorder"} & set(kinds)

    def test_type_is_named_when_numpy_has_none_such(self, tmp_path: Path) -> None:
        for given, returned in (("u4", "f32"), ("u8", "bf16")):
            pixels = ov.parameter(_PIXELS, getattr(openvino.Type, given), name="x")
            flat = ov.reshape(ov.convert(pixels, returned), np.array([1, -1]), special_zero=False)
            path = tmp_path / "foreign.xml"
            openvino.save_model(openvino.Model([flat], [pixels], "m"), path, compress_to_fp16=False)
            with self.refused("takes u4" if given == "u4" else "returns bf16"):
                self.runtime.open(path, 1)

    def test_open_refuses_when_the_weights_are_another_files(self, tmp_path: Path) -> None:
        path = self.write(tmp_path)
        weights = path.with_suffix(".bin")
        weights.write_bytes(np.random.default_rng(0).bytes(weights.stat().st_size))
        with self.refused("cannot be loaded"):
            self.runtime.open(path, 1)

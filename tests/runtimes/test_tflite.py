from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgevit.bundle import Bundle
from edgevit.errors import InputError
from edgevit.export.precision import Precision
from edgevit.run import Run
from edgevit.runtimes import tflite
from edgevit.runtimes.base import Session
from edgevit.runtimes.classifier import open_classifier, predict_all
from edgevit.runtimes.tflite import TFLiteRuntime, placement_of
from tests.bench.standin import COLOURS, SIZE, colour_model, photo_of
from tests.runtimes.template import FOREIGN, RuntimeTemplate, colour_files

KINDS = ("float", "uint8", "int8", "partitions")


class TestTFLite(RuntimeTemplate):
    format_name = "tflite"
    module = "ai_edge_litert.interpreter"
    # LiteRT gives an open dimension the size 1; levels with a scale are probabilities.
    foreign = tuple(kind for kind in FOREIGN if not kind.startswith(("any", "levels")))

    def write_foreign(self, folder: Path, kind: str) -> Path:
        import tensorflow as tf

        shape = [1, 3, SIZE, SIZE] if kind == "channels first" else [1, SIZE, SIZE, 3]
        signature = [tf.TensorSpec(shape, tf.float32 if kind == "float" else tf.uint8)]
        if kind == "two inputs":
            signature.append(tf.TensorSpec([1], tf.float32))

        @tf.function(input_signature=signature)
        def forward(pixels: Any, factor: Any = 0.5) -> Any:
            floats = tf.cast(pixels, tf.float32) * factor
            answer = floats if kind == "image" else tf.reshape(floats, [1, -1])
            return (answer, floats) if kind == "two outputs" else answer

        function = forward.get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        path = folder / "foreign.tflite"
        path.write_bytes(converter.convert())
        return path


def opened(tmp_path: Path, kind: str, threads: int = 1) -> Session:
    path = tmp_path / f"{kind}.tflite"
    path.write_bytes(colour_model(kind))
    return TFLiteRuntime().open(path, threads)


@pytest.mark.parametrize("kind", KINDS)
def test_invoke_returns_float_probabilities_when_the_model_is_of_any_kind(
    tmp_path: Path, kind: str
) -> None:
    session = opened(tmp_path, kind)
    for label, colour in enumerate(COLOURS):
        scores = session.invoke(photo_of(colour)[None])
        assert scores.dtype == np.float32
        assert scores.shape == (1, 3)
        assert scores.sum() == pytest.approx(1, abs=0.02)
        assert scores.argmax() == label


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_invoke_agrees_with_float_when_inputs_and_outputs_are_integers(
    tmp_path: Path, kind: str
) -> None:
    exact, integer = opened(tmp_path, "float"), opened(tmp_path, kind)
    for colour in COLOURS:
        pixels = photo_of(colour, 7)[None]
        np.testing.assert_allclose(integer.invoke(pixels), exact.invoke(pixels), atol=0.03)


def test_invoke_leaves_the_last_answer_alone_when_called_again(tmp_path: Path) -> None:
    session = opened(tmp_path, "float")
    first = session.invoke(photo_of("red")[None])
    kept = first.copy()
    session.invoke(photo_of("blue")[None])
    np.testing.assert_array_equal(first, kept)


def test_placement_counts_one_partition_when_only_the_cast_stays_outside(tmp_path: Path) -> None:
    placement = opened(tmp_path, "float").placement()
    assert placement.partitions == 1
    assert placement.ops["CPU kernels"] == 1
    assert "CAST" in placement.summary


def test_placement_counts_two_partitions_when_an_unsupported_op_splits_the_graph(
    tmp_path: Path,
) -> None:
    placement = opened(tmp_path, "partitions").placement()
    assert placement.partitions == 2
    assert "CUMSUM" in placement.summary


def test_placement_of_says_no_xnnpack_when_nothing_is_delegated() -> None:
    ops = [{"index": 0, "op_name": "ADD", "inputs": [0, 1], "outputs": [2]}]
    placement = placement_of(ops)
    assert placement.ops == {"XNNPACK": 0, "CPU kernels": 1}
    assert placement.partitions == 0
    assert "no XNNPACK" in placement.summary


def test_placement_is_unknown_when_the_private_list_of_ops_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(tmp_path, "float")
    monkeypatch.delattr("ai_edge_litert.interpreter.Interpreter._get_ops_details")
    placement = session.placement()
    assert placement.ops == {}
    assert "unknown" in placement.summary


def test_open_prints_nothing_and_loads_no_tensorflow_when_all_is_well(
    tmp_path: Path, bundle: Path
) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from edgevit.runtimes.classifier import open_classifier\n"
        f"open_classifier(Path({str(bundle)!r}), 1)\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_open_classifier_tells_a_bundle_when_given_one(bundle: Path, run: Run) -> None:
    classifier = open_classifier(bundle, 1)
    assert (classifier.kind, classifier.format) == ("bundle", "tflite")
    assert classifier.run_sha256 == run.sha256
    assert classifier.size_bytes == len(colour_model())
    assert classifier.labels == COLOURS


def test_open_classifier_names_sha256_when_a_byte_was_changed(bundle: Path) -> None:
    model = Bundle.load(bundle).model_path
    data = bytearray(model.read_bytes())
    data[-20] ^= 1
    model.write_bytes(data)
    with pytest.raises(InputError, match="sha256"):
        open_classifier(bundle, 1)


def test_open_classifier_refuses_when_the_folder_is_neither(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a run nor a bundle"):
        open_classifier(tmp_path, 1)
    with pytest.raises(InputError, match="does not exist"):
        open_classifier(tmp_path / "nothing", 1)


def test_predict_all_returns_one_row_per_photo_when_given_many(bundle: Path) -> None:
    pixels = np.stack([photo_of(colour) for colour in COLOURS])
    scores = predict_all(open_classifier(bundle, 1).session, pixels)
    assert scores.dtype == np.float32
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]


def test_predict_all_refuses_when_there_are_no_photos(bundle: Path) -> None:
    pixels = np.zeros((0, 16, 16, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="no photo"):
        predict_all(open_classifier(bundle, 1).session, pixels)


@pytest.mark.parametrize(("precision", "refused"), [("int8-dynamic", True), ("fp16", False)])
def test_run_time_ranges_are_refused_when_the_old_runtime_gets_them_wrong(
    tmp_path: Path, precision: Precision, refused: bool
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(colour_files("tflite", precision)["model.tflite"])
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    if not refused:
        tflite._refuse_run_time_ranges(interpreter, path)
        return
    with pytest.raises(
        InputError, match=r"which tflite-runtime computes wrongly\. Export it as fp16"
    ):
        tflite._refuse_run_time_ranges(interpreter, path)

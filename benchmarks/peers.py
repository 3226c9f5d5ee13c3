"""The obvious way of each toolchain from a Keras model to a file, as its documentation shows it.

No tricks and no sabotage: batch 1, 64 calibration photos (the same ones that edgevit takes), and
defaults otherwise. :func:`build_peer` is called in a process of its own, because some converters
need most of a machine's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.calibration.sampling import sample
from edgevit.data.dataset import Dataset
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import WEIGHTS_FILE, Run
from edgevit.runtimes.keras import assign_weights

CALIBRATION_IMAGES = 64

FloatImages = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """What a peer is made from.

    Attributes:
        run: A trained run.
        work: Folder in which each peer has a folder of its name.
        data: The run's prepared photos; ``None`` if they are where they were when it was trained.
    """

    run: Run
    work: Path
    data: Path | None = None

    @cached_property
    def model(self) -> Any:
        """The Keras model for one image, float32 pixels 0–255 in and probabilities out."""
        import keras

        spec = self.run.record.spec
        model = ARCHITECTURES.get(spec.model).build_keras(spec)
        assign_weights(model, self.run.weights(), self.run.root / WEIGHTS_FILE)
        pixels = keras.Input(batch_shape=(1, *spec.input_shape), name="pixels")
        return keras.Model(pixels, keras.layers.Softmax(name="probabilities")(model(pixels)))

    def images(self) -> list[FloatImages]:
        """Calibration photos, each ``float32 [1, height, width, 3]``."""
        dataset = Dataset.load(self.data or Path(self.run.record.dataset.path))
        preprocessing = self.run.record.spec.preprocessing
        pixels = sample(dataset, preprocessing, images=CALIBRATION_IMAGES).images
        return list(pixels.astype(np.float32)[:, np.newaxis])

    def path_of(self, name: str) -> Path:
        """Return where a peer's file is."""
        return self.work / name / PEERS[name].file

    @property
    def is_transformer(self) -> bool:
        """Whether a tool that asks for the model's type is told that it is a transformer."""
        return self.run.record.spec.model.startswith("vit")


def build_tflite_fp32(source: Source, target: Path) -> None:
    """Convert with TensorFlow's converter, nothing set."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(source.model)
    target.write_bytes(converter.convert())


def build_tflite_dynamic(source: Source, target: Path) -> None:
    """Convert with dynamic-range quantisation."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(source.model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    target.write_bytes(converter.convert())


def build_tflite_int8(source: Source, target: Path) -> None:
    """Convert with full integer quantisation, inputs and outputs included."""
    import tensorflow as tf

    def representative_dataset() -> Iterator[list[FloatImages]]:
        for image in source.images():
            yield [image]

    converter = tf.lite.TFLiteConverter.from_keras_model(source.model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative_dataset
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    target.write_bytes(converter.convert())


def build_onnx_fp32(source: Source, target: Path) -> None:
    """Convert with tf2onnx; repair the one op with which ONNX Runtime refuses the file."""
    import onnx
    import tensorflow as tf
    import tf2onnx

    model = source.model
    # Not from_keras: it reads an attribute that Keras 3 has removed.
    converted, _ = tf2onnx.convert.from_function(
        tf.function(lambda pixels: model(pixels, training=False)),
        input_signature=[tf.TensorSpec(model.input_shape, tf.float32, name="pixels")],
    )
    _replace_erfc(converted)
    onnx.save(converted, target)


def _replace_erfc(model: Any) -> None:
    """Write Erfc(x), which no ONNX opset has, as 1 − Erf(x)."""
    from onnx import helper, numpy_helper

    nodes = model.graph.node
    if not any(node.op_type == "Erfc" for node in nodes):
        return
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1.0), "erfc_one"))
    repaired = []
    for node in nodes:
        if node.op_type != "Erfc":
            repaired.append(node)
            continue
        erf = f"{node.output[0]}__erf"
        repaired.append(helper.make_node("Erf", list(node.input), [erf]))
        repaired.append(helper.make_node("Sub", ["erfc_one", erf], list(node.output)))
    del nodes[:]
    nodes.extend(repaired)


def build_onnx_static(source: Source, target: Path) -> None:
    """Quantise the repaired file with ONNX Runtime's static quantisation (QDQ, MinMax)."""
    _quantise_statically(source, target)


def build_onnx_static_u8(source: Source, target: Path) -> None:
    """The same with unsigned activations, which are not the default and faster on x86."""
    from onnxruntime.quantization import QuantType

    _quantise_statically(source, target, activation_type=QuantType.QUInt8)


def _quantise_statically(source: Source, target: Path, **options: Any) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self._images = iter(source.images())

        def get_next(self) -> dict[str, FloatImages] | None:
            image = next(self._images, None)
            return None if image is None else {"pixels": image}

    prepared = target.with_name("prepared.onnx")
    # Symbolic shapes would need sympy, and every shape is fixed.
    quant_pre_process(source.path_of("onnx-fp32"), prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared, target, Reader(), per_channel=True, weight_type=QuantType.QInt8, **options
    )
    prepared.unlink()


def build_onnx_dynamic(source: Source, target: Path) -> None:
    """Quantise the repaired file with ONNX Runtime's dynamic quantisation."""
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(source.path_of("onnx-fp32"), target)


def build_saved_model(source: Source, target: Path) -> None:
    """Export a SavedModel, which OpenVINO reads."""
    source.model.export(target, verbose=False)


def build_openvino_fp32(source: Source, target: Path) -> None:
    """Convert the SavedModel, weights kept in float32."""
    import openvino

    model = openvino.convert_model(source.path_of("saved-model"))
    openvino.save_model(model, target, compress_to_fp16=False)


def build_openvino_int8(source: Source, target: Path) -> None:
    """Quantise the converted SavedModel with NNCF."""
    import nncf
    import openvino

    model_type = nncf.ModelType.TRANSFORMER if source.is_transformer else None
    model = openvino.convert_model(source.path_of("saved-model"))
    quantised = nncf.quantize(model, nncf.Dataset(source.images()), model_type=model_type)
    openvino.save_model(quantised, target)


@dataclass(frozen=True)
class Peer:
    """One obvious way.

    Attributes:
        name: Of its folder.
        build: Writes the file.
        file: The file's name; its ending says which runtime opens it.
        libraries: Distributions whose versions decide what the file is.
        needs: Name of a peer that must have been built before.
        config: What the runtime is told beside the number of threads.
        timed: False for a mere stage on the way to others.
    """

    name: str
    build: Callable[[Source, Path], None]
    file: str
    libraries: tuple[str, ...]
    needs: str | None = None
    config: dict[str, str] = field(default_factory=dict)
    timed: bool = True


_KERAS = ("tensorflow", "keras")
_ONNX = (*_KERAS, "tf2onnx", "onnx")
_QUANTISED_ONNX = (*_ONNX, "onnxruntime")
# Left alone, OpenVINO computes in bfloat16 where the processor can, which is no fp32.
_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("tflite-fp32", build_tflite_fp32, "model.tflite", _KERAS),
        Peer("tflite-int8", build_tflite_int8, "model.tflite", _KERAS),
        Peer("tflite-dynamic", build_tflite_dynamic, "model.tflite", _KERAS),
        Peer("onnx-fp32", build_onnx_fp32, "model.onnx", _ONNX),
        Peer("onnx-static", build_onnx_static, "model.onnx", _QUANTISED_ONNX, "onnx-fp32"),
        Peer("onnx-static-u8", build_onnx_static_u8, "model.onnx", _QUANTISED_ONNX, "onnx-fp32"),
        Peer("onnx-dynamic", build_onnx_dynamic, "model.onnx", _QUANTISED_ONNX, "onnx-fp32"),
        Peer("saved-model", build_saved_model, "model", _KERAS, timed=False),
        Peer(
            "openvino-fp32",
            build_openvino_fp32,
            "model.xml",
            (*_KERAS, "openvino"),
            "saved-model",
            _FLOAT32,
        ),
        Peer(
            "openvino-int8",
            build_openvino_int8,
            "model.xml",
            (*_KERAS, "openvino", "nncf"),
            "saved-model",
        ),
    )
}


def build_peer(name: str, run: Path, work: Path, data: Path | None = None) -> None:
    """Make one peer's file from a run: ``work/NAME/FILE``."""
    source = Source(Run.load(run), work, data)
    source.path_of(name).parent.mkdir(parents=True, exist_ok=True)
    PEERS[name].build(source, source.path_of(name))

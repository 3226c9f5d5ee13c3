"""The full-precision model itself, as Keras runs it: the reference of every other runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgevit import console
from edgevit.errors import InputError, MissingDependencyError
from edgevit.machine import version_of
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.run import WEIGHTS_FILE, Run, Weights, require_finite
from edgevit.runtimes.base import Availability, Placement

if TYPE_CHECKING:
    import keras

_INSTALL = "pip install 'edgevit[train]'"
_DAMAGED_REMEDY = "The run does not fit this version of edgevit: train it again"


class KerasSession:
    """A Keras model in ``float32``, with the softmax on top.

    Args:
        model: Takes ``float32`` pixels 0–255, returns logits.
    """

    def __init__(self, model: keras.Model) -> None:
        import tensorflow as tf

        def logits_of(pixels: tf.Tensor) -> tf.Tensor:
            return tf.cast(model(tf.cast(pixels, tf.float32), training=False), tf.float32)

        def probabilities_of(pixels: tf.Tensor) -> tf.Tensor:
            return tf.nn.softmax(logits_of(pixels))

        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)]
        self._logits = tf.function(logits_of, input_signature=signature)
        self._probabilities = tf.function(probabilities_of, input_signature=signature)
        self._device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"

    def invoke(self, pixels: Pixels) -> Scores:
        """Run any number of images.

        Args:
            pixels: ``uint8 [n, height, width, 3]``, RGB.

        Returns:
            Probabilities, ``float32 [n, classes]``.
        """
        result: Scores = self._probabilities(pixels).numpy()
        return result

    def logits(self, pixels: Pixels) -> Scores:
        """Run any number of images; returns logits, ``float32 [n, classes]``."""
        result: Scores = self._logits(pixels).numpy()
        return result

    def placement(self) -> Placement:
        """Say where the ops run."""
        graph = self._probabilities.get_concrete_function().graph
        device = self._device
        return Placement(
            summary=f"TensorFlow on the {device}, float32",
            ops={f"TensorFlow {device}": len(graph.get_operations())},
            partitions=0,
        )


class KerasRuntime:
    """Runs a trained run in full precision."""

    name = "keras"

    def availability(self) -> Availability:
        """Say whether TensorFlow and Keras are installed, without importing them."""
        versions = {package: version_of(package) for package in ("keras", "tensorflow")}
        for package, version in versions.items():
            if version is None:
                return Availability(package=package, version=None, remedy=_INSTALL)
        return Availability(package="tensorflow", version=versions["tensorflow"], remedy="")

    def open(self, path: Path, threads: int) -> KerasSession:
        """Open a run's folder.

        Args:
            path: The run.
            threads: Of TensorFlow; only what is set before its first op counts.

        Raises:
            MissingDependencyError: naming the command that installs TensorFlow.
            InputError: if there is no run, or its weights do not fit its model.
        """
        availability = self.availability()
        if not availability.available:
            raise MissingDependencyError(
                f"{path} needs {availability.package}, which is not installed",
                availability.remedy,
            )
        from edgevit.models.registry import ARCHITECTURES
        from edgevit.training.backend import dtype_policy, load_tensorflow

        run = Run.load(path)
        weights = run.weights()
        load_tensorflow()
        _limit_threads(threads)
        spec = run.record.spec
        with dtype_policy("float32"):
            model = ARCHITECTURES.get(spec.model).build_keras(spec)
        assign_weights(model, weights, path / WEIGHTS_FILE)
        return KerasSession(model)


def assign_weights(model: keras.Model, weights: Weights, source: Path) -> None:
    """Give a model its weights by variable path.

    Args:
        model: The model.
        weights: ``float32`` arrays by Keras variable path.
        source: Where they were read, for messages.

    Raises:
        InputError: naming the first tensor that is missing, unknown, misshapen or not finite.
    """
    require_finite(weights, source)
    variables = {variable.path: variable for variable in model.weights}
    for path in sorted(variables.keys() | weights.keys()):
        if path not in weights:
            raise InputError(f"{source} lacks the tensor {path!r}", _DAMAGED_REMEDY)
        if path not in variables:
            raise InputError(f"{source} holds the unknown tensor {path!r}", _DAMAGED_REMEDY)
        array, expected = weights[path], tuple(variables[path].shape)
        if array.shape != expected:
            raise InputError(
                f"{source}: the tensor {path!r} has shape {array.shape}, the model's is {expected}",
                _DAMAGED_REMEDY,
            )
        variables[path].assign(array)


def _limit_threads(threads: int) -> None:
    """Set TensorFlow's threads, or say that they are set already."""
    import tensorflow as tf

    threading = tf.config.threading
    if threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # TensorFlow takes the number only before its first op.
        set_before = threading.get_intra_op_parallelism_threads() or "all"
        console.note(f"TensorFlow is running already and keeps {set_before} threads")

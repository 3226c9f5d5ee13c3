"""The full-precision model itself, as Keras runs it: the reference of every other runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit import console
from edgevit.errors import InputError, MissingDependencyError
from edgevit.machine import describe_machine, version_of
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.run import WEIGHTS_FILE, Run, Weights, require_finite
from edgevit.runtimes.base import (
    CPU_DEVICE,
    Availability,
    Device,
    DeviceKind,
    DeviceSupport,
    Placement,
)
from edgevit.runtimes.devices import not_installed
from edgevit.runtimes.keras_backends import (
    BACKENDS,
    KERAS_CPU,
    Backend,
    KerasDevice,
    running_backend,
)

if TYPE_CHECKING:
    import keras

_INSTALL = "pip install 'edgevit[train]'"
_DAMAGED_REMEDY = "The run does not fit this version of edgevit: train it again"


class KerasSession:
    """A Keras model in ``float32``, with the softmax on top, on the backend that Keras runs on.

    From then on this process multiplies with all bits of ``float32`` (no TensorFloat-32).

    Args:
        model: Takes ``float32`` pixels 0–255, returns logits.
        place: Where it was built; ``None`` for where Keras puts models by itself, which is the
            first accelerator, else the CPU.

    Attributes:
        backend: What computes it.
        place: Where.
    """

    def __init__(self, model: keras.Model, place: KerasDevice | None = None) -> None:
        self.backend: Backend = BACKENDS.get(str(running_backend()))
        self.backend.use_full_float32()
        self.place = place or self.backend.default_device()
        self._compiled = self.backend.compile(model, self.place)

    def invoke(self, pixels: Pixels) -> Scores:
        """Run any number of images.

        Args:
            pixels: ``uint8 [n, height, width, 3]``, RGB.

        Returns:
            Probabilities, ``float32 [n, classes]``.
        """
        return self._compiled.probabilities(pixels)

    def logits(self, pixels: Pixels) -> Scores:
        """Run any number of images; returns logits, ``float32 [n, classes]``."""
        return self._compiled.logits(pixels)

    def placement(self) -> Placement:
        """Say where the ops run; only TensorFlow has a number of ops."""
        title, kind = self.backend.title, self.place.device.kind.upper()
        count = self._compiled.op_count
        return Placement(
            summary=f"{title} on {self.place.label}, float32",
            ops={f"{title} {kind}": count} if count else {},
            partitions=0,
        )

    @property
    def processor(self) -> str:
        """Name of the accelerator, else of the processor."""
        on_cpu = self.place.device.kind == "cpu"
        return describe_machine().cpu.model if on_cpu else self.place.label


class KerasRuntime:
    """Runs a trained run in full precision on TensorFlow; :func:`open_run` has other backends."""

    name = "keras"

    def availability(self) -> Availability:
        """Say whether TensorFlow and Keras are installed, without importing them."""
        versions = {package: version_of(package) for package in ("keras", "tensorflow")}
        for package, version in versions.items():
            if version is None:
                return Availability(package=package, version=None, remedy=_INSTALL)
        return Availability(package="tensorflow", version=versions["tensorflow"], remedy="")

    def preload(self) -> None:
        """Import TensorFlow and Keras.

        Raises:
            MissingDependencyError: if one of them is not installed.
        """
        BACKENDS.get("tensorflow").load()

    def devices(self, kind: DeviceKind, delegate: Path | None) -> tuple[DeviceSupport, ...]:
        """Say which devices TensorFlow finds: never an NPU; it takes no delegate."""
        if kind == "cpu":
            return (DeviceSupport(CPU_DEVICE, ""),)
        if kind == "npu":
            return (DeviceSupport(Device("npu", "NPU"), "TensorFlow computes on no NPU"),)
        availability = self.availability()
        if not availability.available:
            return not_installed("gpu", "gpu:0", availability)
        tensorflow = BACKENDS.get("tensorflow")
        tensorflow.load()
        found = tuple(DeviceSupport(each.device, "") for each in tensorflow.accelerators())
        return found or (
            DeviceSupport(
                Device("gpu", "gpu:0"), f"TensorFlow sees no GPU: {tensorflow.remedy_gpu}"
            ),
        )

    def open(self, path: Path, threads: int, device: Device = CPU_DEVICE) -> KerasSession:
        """Open a run's folder.

        Args:
            path: The run.
            threads: Of TensorFlow; only what is set before its first op counts.
            device: The CPU, or a GPU of :meth:`devices`.

        Raises:
            MissingDependencyError: naming the command that installs TensorFlow.
            InputError: if there is no run, its weights do not fit its model, or the device is
                absent.
        """
        availability = self.availability()
        if not availability.available:
            raise MissingDependencyError(
                f"{path} needs {availability.package}, which is not installed",
                availability.remedy,
            )
        run, tensorflow = Run.load(path), BACKENDS.get("tensorflow")
        tensorflow.load()
        _limit_threads(threads)
        return open_run(run, tensorflow, _place_of(device, tensorflow))

    def accelerator_share(
        self, path: Path, threads: int, device: Device, pixels: Pixels
    ) -> tuple[float | None, float | None, str]:
        """Say how much of a run a device computes.

        Returns:
            Share of ops, 0–1; the share of time, which TensorFlow does not tell; and both in words.
        """
        if device.kind == "cpu":
            return 0.0, 0.0, "every op on the CPU"
        self.open(path, threads, device).invoke(pixels)
        return 1.0, None, f"every op on {device.name}: one that it cannot run would be an error"


def _place_of(device: Device, backend: Backend) -> KerasDevice:
    """Find a device among those of a backend.

    Raises:
        InputError: if it is not there.
    """
    if device.kind == "cpu":
        return KERAS_CPU
    for found in backend.accelerators():
        if found.device == device:
            return found
    raise InputError(
        f"{backend.title} sees no device {device.name!r} here",
        "Measure on the CPU instead: --target cpu",
    )


def open_run(run: Run, backend: Backend, place: KerasDevice) -> KerasSession:
    """Build a run's model on a backend that is loaded, with the run's weights.

    On an accelerator it computes one black photo to be sure that the model runs there, all of it.

    Raises:
        InputError: if the weights do not fit the model, or the accelerator cannot compute it.
        MissingDependencyError: if the model needs a package that is not installed.
    """
    import keras

    from edgevit.models.registry import ARCHITECTURES
    from edgevit.training.backend import dtype_policy

    spec = run.record.spec
    with keras.device(place.device.name):
        with dtype_policy("float32"):
            model = ARCHITECTURES.get(spec.model).build_keras(spec)
        assign_weights(model, run.weights(), run.root / WEIGHTS_FILE)
        if place.device.kind == "cpu":
            return KerasSession(model, place)
        backend.forbid_fallback()
        try:
            session = KerasSession(model, place)
            session.invoke(np.zeros((1, *spec.input_shape), dtype=np.uint8))
        except Exception as error:
            # Too little memory, a missing library, an op without a kernel: each backend has its
            # own errors for these.
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise InputError(
                f"{backend.title} cannot compute {run.name} on {place.label} ({reason})",
                "Try another --backend",
            ) from error
    return session


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

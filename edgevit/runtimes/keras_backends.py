"""What can compute a Keras model: TensorFlow, JAX or PyTorch, on the CPU or an accelerator.

Keras takes its backend when it is imported and keeps it, so a process has exactly one. Only what
differs between them lives here; none is imported before :meth:`Backend.load`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevit.console import without_native_chatter
from edgevit.errors import InputError, MissingDependencyError
from edgevit.machine import cpu_affinity, logical_cores, version_of
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.registry import Registry
from edgevit.runtimes.base import Device

if TYPE_CHECKING:
    import keras

Answer = Callable[[Pixels], Scores]


@dataclass(frozen=True)
class KerasDevice:
    """Where a backend can compute.

    Attributes:
        device: Named as ``keras.device`` takes it, such as ``gpu:0``.
        label: What people call it, such as ``NVIDIA H100 80GB HBM3``.
    """

    device: Device
    label: str


# Not cpu:0: PyTorch takes that for another device and copies weights, which Keras cannot train.
KERAS_CPU = KerasDevice(Device("cpu", "cpu"), "the CPU")


@dataclass(frozen=True)
class Compiled:
    """A model, ready to answer; each answer is in the host's memory when its call returns.

    Attributes:
        logits: From ``uint8 [n, height, width, 3]`` to ``float32 [n, classes]``.
        probabilities: The same after the softmax.
        op_count: Of the compiled graph; 0 where the backend has none.
    """

    logits: Answer
    probabilities: Answer
    op_count: int


class Backend(ABC):
    """One of Keras's backends.

    Attributes:
        name: As ``KERAS_BACKEND`` and ``--backend`` take it; also the module that is imported.
        title: As its makers write it.
        packages: Distributions whose versions a result must state.
        remedy: How it is installed.
        remedy_gpu: What it needs for an NVIDIA GPU.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    remedy: str
    remedy_gpu: str

    def is_installed(self) -> bool:
        """Say whether the backend can be found, without importing it."""
        return importlib.util.find_spec(self.name) is not None

    def load(self) -> None:
        """Import Keras on this backend, without their chatter on the user's terminal.

        Raises:
            MissingDependencyError: if the backend or Keras is not installed.
            InputError: if this process runs Keras on another backend already.
        """
        running = running_backend()
        if running not in (None, self.name):
            raise InputError(
                f"this process runs Keras on {running} and cannot change to {self.name}",
                "Use one backend in a process: start edgevit again",
            )
        os.environ["KERAS_BACKEND"] = self.name
        # Level 3 also hides "failed call to cuInit", which machines without a GPU print.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        try:
            with without_native_chatter():
                importlib.import_module(self.name)
                importlib.import_module("keras")
        except ImportError as error:
            missing = "Keras" if self.is_installed() else f"the Keras backend {self.name}"
            reason = " ".join(str(error).split())
            raise MissingDependencyError(
                f"{missing} cannot be imported ({reason})", self.remedy
            ) from None

    def default_device(self) -> KerasDevice:
        """Return the first accelerator, else the CPU."""
        return next(iter(self.accelerators()), KERAS_CPU)

    def cpu_threads(self) -> int:
        """Return how many threads it computes with on the CPU."""
        return len(cpu_affinity()) or logical_cores()

    def described(self) -> str:
        """Return the backend's name and version, such as ``TensorFlow 2.21.0``."""
        return f"{self.title} {version_of(self.packages[0]) or ''}".rstrip()

    def versions(self) -> dict[str, str]:
        """Return the versions of Keras and the backend, as far as they are known."""
        found = {package: version_of(package) for package in ("keras", *self.packages)}
        return {package: version for package, version in found.items() if version}

    @abstractmethod
    def accelerators(self) -> tuple[KerasDevice, ...]:
        """Return the devices beside the CPU that the backend can use here, the best first."""

    def forbid_fallback(self) -> None:
        """Make an op that an accelerator cannot run an error; only TensorFlow has another way."""
        return

    @abstractmethod
    def use_full_float32(self) -> None:
        """Make products of ``float32`` keep all their bits, for the rest of the process.

        GPUs else round the factors to 10 bits (TensorFloat-32), which is not full precision.
        """

    @abstractmethod
    def compile(self, model: keras.Model, place: KerasDevice) -> Compiled:
        """Make a model callable; it was built inside ``keras.device`` of the same place."""


def running_backend() -> str | None:
    """Return the backend that Keras runs on in this process; ``None`` if it is not imported."""
    keras = sys.modules.get("keras")
    return None if keras is None else str(keras.backend.backend())


class _TensorFlow(Backend):
    name = "tensorflow"
    title = "TensorFlow"
    packages = ("tensorflow",)
    remedy = "pip install 'edgevit[train]'"
    remedy_gpu = "pip install 'tensorflow[and-cuda]'"

    def accelerators(self) -> tuple[KerasDevice, ...]:
        import tensorflow as tf

        found = []
        for index, gpu in enumerate(tf.config.list_physical_devices("GPU")):
            details = tf.config.experimental.get_device_details(gpu)
            label = str(details.get("device_name", gpu.name))
            found.append(KerasDevice(Device("gpu", f"gpu:{index}"), label))
        return tuple(found)

    def forbid_fallback(self) -> None:
        import tensorflow as tf

        tf.config.set_soft_device_placement(False)

    def use_full_float32(self) -> None:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)

    def compile(self, model: keras.Model, place: KerasDevice) -> Compiled:
        import tensorflow as tf

        def logits_of(pixels: Any) -> Any:
            with tf.device(place.device.name):
                return _logits(model, pixels)

        def probabilities_of(pixels: Any) -> Any:
            with tf.device(place.device.name):
                return tf.nn.softmax(_logits(model, pixels))

        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)]
        logits = tf.function(logits_of, input_signature=signature)
        probabilities = tf.function(probabilities_of, input_signature=signature)
        graph = probabilities.get_concrete_function().graph
        return Compiled(
            logits=lambda pixels: logits(pixels).numpy(),
            probabilities=lambda pixels: probabilities(pixels).numpy(),
            op_count=len(graph.get_operations()),
        )


class _Jax(Backend):
    name = "jax"
    title = "JAX"
    packages = ("jax", "jaxlib")
    remedy = "pip install 'edgevit[train]' jax"
    remedy_gpu = "pip install 'jax[cuda13]'"

    def accelerators(self) -> tuple[KerasDevice, ...]:
        import jax

        try:
            devices = jax.devices()
        except RuntimeError as error:  # JAX_PLATFORMS asks for what is not here
            reason = " ".join(str(error).split())
            raise InputError(f"JAX finds no device ({reason})", "Unset JAX_PLATFORMS") from None
        return tuple(
            KerasDevice(
                # A TPU is the one accelerator of JAX's that is no GPU.
                Device("npu" if found.platform == "tpu" else "gpu", f"{found.platform}:{found.id}"),
                str(found.device_kind),
            )
            for found in devices
            if found.platform != "cpu"
        )

    def use_full_float32(self) -> None:
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")

    def compile(self, model: keras.Model, place: KerasDevice) -> Compiled:
        import jax

        platform, _, number = place.device.name.partition(":")
        (device,) = (each for each in jax.devices(platform) if each.id == int(number or 0))
        trained, other = (
            [jax.device_put(variable.value, device) for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        )

        # Weights are arguments: as constants they would be compiled into each program.
        def logits_of(trained: Any, other: Any, pixels: Any) -> Any:
            def run(values: Any, training: bool) -> Any:
                return model.stateless_call(trained, other, values, training=training)[0]

            return _logits(run, pixels)

        def probabilities_of(trained: Any, other: Any, pixels: Any) -> Any:
            return jax.nn.softmax(logits_of(trained, other, pixels))

        def answer(function: Any) -> Answer:
            compiled = jax.jit(function)
            return lambda pixels: np.asarray(
                compiled(trained, other, jax.device_put(_checked(pixels), device))
            )

        return Compiled(answer(logits_of), answer(probabilities_of), op_count=0)


class _Torch(Backend):
    name = "torch"
    title = "PyTorch"
    packages = ("torch",)
    remedy = "pip install 'edgevit[train]' torch"
    remedy_gpu = "pip install torch, a build with CUDA"

    def cpu_threads(self) -> int:
        import torch

        return int(torch.get_num_threads())

    def accelerators(self) -> tuple[KerasDevice, ...]:
        import torch

        found = [
            KerasDevice(Device("gpu", f"cuda:{index}"), torch.cuda.get_device_name(index))
            for index in range(torch.cuda.device_count())
        ]
        if hasattr(torch, "xpu") and torch.xpu.is_available():
            found.append(KerasDevice(Device("gpu", "xpu:0"), torch.xpu.get_device_name(0)))
        if torch.backends.mps.is_available():
            found.append(KerasDevice(Device("gpu", "mps"), "Apple GPU (Metal)"))
        return tuple(found)

    def use_full_float32(self) -> None:
        import torch

        if hasattr(torch.backends, "fp32_precision"):
            # Since 2.9, for every op and library; the older switches must not be mixed with it.
            torch.backends.fp32_precision = "ieee"
        else:
            torch.set_float32_matmul_precision("highest")
            torch.backends.cudnn.allow_tf32 = False

    def compile(self, model: keras.Model, place: KerasDevice) -> Compiled:
        import keras
        import torch

        def logits_of(pixels: Pixels) -> Any:
            # PyTorch takes only writable memory without a complaint.
            held = np.require(_checked(pixels), requirements=["C", "W"])
            return _logits(model, torch.from_numpy(held).to(place.device.name))

        def answer(function: Callable[[Pixels], Any]) -> Answer:
            def run(pixels: Pixels) -> Scores:
                with torch.inference_mode(), keras.device(place.device.name):
                    scores: Scores = function(pixels).cpu().numpy()
                return scores

            return run

        return Compiled(
            logits=answer(logits_of),
            probabilities=answer(lambda pixels: torch.softmax(logits_of(pixels), dim=-1)),
            op_count=0,
        )


def _logits(model: Callable[..., Any], pixels: Any) -> Any:
    """Give pixels of a backend to a model of the same: ``uint8`` to ``float32`` logits."""
    from keras import ops

    return ops.cast(model(ops.cast(pixels, "float32"), training=False), "float32")


def _checked(pixels: Pixels) -> Pixels:
    """Refuse what TensorFlow's signature refuses."""
    if pixels.dtype != np.uint8:
        raise ValueError(f"pixels are uint8, not {pixels.dtype}")
    return pixels


BACKENDS: Registry[Backend] = Registry("backend", [_TensorFlow(), _Jax(), _Torch()])


def choose_backend(name: str | None) -> Backend:
    """Return the backend of that name; without one, the first that is installed.

    Raises:
        MissingDependencyError: if it, or all of them, are not installed.
    """
    if name is not None:
        chosen = BACKENDS.get(name)
        if not chosen.is_installed():
            raise MissingDependencyError(
                f"the Keras backend {name} is not installed", chosen.remedy
            )
        return chosen
    for backend in BACKENDS:
        if backend.is_installed():
            return backend
    raise MissingDependencyError(
        f"none of Keras's backends is installed ({', '.join(BACKENDS.names())})",
        next(iter(BACKENDS)).remedy,
    )

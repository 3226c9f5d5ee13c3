"""ONNX files through ONNX Runtime, on the CPU or through one execution provider."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgevit import console
from edgevit.errors import InputError, MissingDependencyError
from edgevit.machine import version_of
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.runtimes import onnx_providers as providers
from edgevit.runtimes.base import (
    CPU_DEVICE,
    Availability,
    Device,
    DeviceKind,
    DeviceSupport,
    Placement,
    Port,
    Session,
    check_classifier,
)
from edgevit.runtimes.devices import not_installed, share_of

# The first is the plain one; the others bring the same module with other providers built in.
_PACKAGES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-rocm",
    "onnxruntime-migraphx",
    "onnxruntime-cann",
)
_INSTALL = "pip install 'edgevit[onnx]'"
_DAMAGED_REMEDY = "Copy the file again, or export it again"
_ERRORS_ONLY = 3


class OnnxRuntime:
    """Runs ``.onnx`` files with ONNX Runtime's CPU kernels or an execution provider."""

    name = "onnx"

    def availability(self) -> Availability:
        """Say which version is installed, without importing it."""
        for package in _PACKAGES:
            if version := version_of(package):
                return Availability(package, version, remedy="")
        return Availability(_PACKAGES[0], None, remedy=_INSTALL)

    def preload(self) -> None:
        """Import ONNX Runtime.

        Raises:
            MissingDependencyError: if it is not installed or cannot be imported.
        """
        load_onnxruntime("running ONNX files")

    def open(self, path: Path, threads: int, device: Device = CPU_DEVICE) -> Session:
        """Open an ``.onnx`` file.

        Args:
            path: The file.
            threads: Of one op on the CPU; ops run one after the other.
            device: The CPU, an execution provider by name, or a provider's library.

        Raises:
            MissingDependencyError: if ONNX Runtime is not installed.
            InputError: if the file is missing, damaged, or no classifier of pixels, or the provider
                cannot start.
        """
        return OnnxSession(open_session(path, threads, device=device), str(path))

    def devices(self, kind: DeviceKind, delegate: Path | None) -> tuple[DeviceSupport, ...]:
        """Say which execution providers there are for a kind of device."""
        availability = self.availability()
        name = CPU_DEVICE.name if kind == "cpu" else providers.NO_PROVIDER
        if not availability.available:
            return not_installed(kind, name, availability)
        try:
            onnxruntime = load_onnxruntime("looking for devices")
        except MissingDependencyError as error:
            return (DeviceSupport(Device(kind, name), str(error)),)
        return providers.provider_devices(onnxruntime, kind, delegate)

    def accelerator_share(
        self, path: Path, threads: int, device: Device, pixels: Pixels
    ) -> tuple[float | None, float | None, str]:
        """Count the ops that went to the provider, and time them in ONNX Runtime's own profile."""
        with tempfile.TemporaryDirectory(prefix="edgevit-") as folder:
            prefix = Path(folder) / "profile"
            session = open_session(path, threads, device=device, profile_prefix=prefix)
            opened = OnnxSession(session, str(path))
            for index in range(len(pixels)):
                opened.invoke(pixels[index : index + 1])
            times_us = providers.profiled_times_us(Path(session.end_profiling()))
        provider = session.get_providers()[0]
        ops = providers.assigned_ops(session)
        return (
            None if ops is None else share_of(ops, provider),
            share_of(times_us, provider),
            opened.placement().summary,
        )


def load_onnxruntime(purpose: str) -> Any:
    """Import ONNX Runtime, without letting it report its use over the network.

    Args:
        purpose: What it is needed for, for the error.

    Raises:
        MissingDependencyError: if it is not installed or cannot be imported.
    """
    # On import it writes an id of this device and, later, sends usage data.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        broken = " ".join(str(error).split())
        reason = "" if isinstance(error, ModuleNotFoundError) else f" ({broken})"
        raise MissingDependencyError(f"{purpose} needs onnxruntime{reason}", _INSTALL) from None
    return onnxruntime


def open_session(
    path: Path,
    threads: int,
    optimised: Path | None = None,
    *,
    device: Device = CPU_DEVICE,
    profile_prefix: Path | None = None,
) -> Any:
    """Open a file with explicit threads.

    Args:
        path: The ``.onnx`` file.
        threads: Of one op; ops run one after the other.
        optimised: Where to write the graph as ONNX Runtime will run it.
        device: Where to compute; what that cannot goes to the CPU.
        profile_prefix: Where to write the time of every op, which slows it down.

    Raises:
        MissingDependencyError: if ONNX Runtime is not installed.
        InputError: if the file is missing or damaged, or the device's provider cannot start.
    """
    onnxruntime = load_onnxruntime("running ONNX files")
    if not path.is_file():
        raise InputError(f"{path} does not exist", "Give an .onnx file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # So that the session can say where its ops run; older versions ignore it.
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_prefix)
    provider, chosen = providers.choose_provider(onnxruntime, options, device, threads)
    where, remedy = "", _DAMAGED_REMEDY
    if device != CPU_DEVICE:
        where, remedy = f" on {device}", "Measure it on the CPU, or update the provider"
    try:
        with console.without_native_chatter():
            # Without its own fallback: it would open the file again on the CPU.
            session = onnxruntime.InferenceSession(
                str(path), options, providers=chosen, enable_fallback=0
            )
    except Exception as error:  # each of its own kinds of failure derives from Exception only
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be loaded{where} ({reason})", remedy) from error
    providers.require_provider(session, provider, str(path))
    return session


class OnnxSession:
    """An opened ONNX classifier.

    Args:
        session: Of ONNX Runtime.
        name: The file, for error messages.

    Raises:
        InputError: if the inputs or outputs are not those of a classifier of pixels.
    """

    def __init__(self, session: Any, name: str) -> None:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        check_classifier(name, _ports(inputs), _ports(outputs), format_name=OnnxRuntime.name)
        self._session = session
        self._input: str = inputs[0].name
        self._outputs: list[str] = [outputs[0].name]

    def invoke(self, pixels: Pixels) -> Scores:
        """Run one image, ``uint8 [1, H, W, 3]``; returns ``float32 [1, classes]``."""
        try:
            (scores,) = self._session.run(self._outputs, {self._input: pixels})
        except Exception as error:  # an image of another shape
            raise ValueError(str(error)) from error
        return np.asarray(scores, dtype=np.float32)

    def placement(self) -> Placement:
        """Count the ops on each execution provider."""
        ops = providers.assigned_ops(self._session)
        if ops is None:
            names = ", ".join(self._session.get_providers())
            return Placement(f"{names}; this ONNX Runtime does not list its ops", {}, 0)
        summary = ", ".join(f"{name}: {count} nodes" for name, count in ops.items())
        return Placement(summary, dict(ops), 0)


# Its own names of what NumPy calls otherwise.
_NUMPY_NAMES = {"float": "float32", "double": "float64"}


def _ports(nodes: Sequence[Any]) -> list[Port]:
    """Read what ONNX Runtime says; its types look like ``tensor(uint8)``."""
    names = [re.sub(r"^tensor\((.*)\)$", r"\1", node.type) for node in nodes]
    return [
        Port(_NUMPY_NAMES.get(name, name), tuple(node.shape))
        for name, node in zip(names, nodes, strict=True)
    ]

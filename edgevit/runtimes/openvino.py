"""OpenVINO IR files through OpenVINO, on the one device that is asked for."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.errors import InputError, MissingDependencyError
from edgevit.machine import version_of
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
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

_PACKAGE = "openvino"
_INSTALL = "pip install 'edgevit[openvino]'"
_DAMAGED_REMEDY = "Copy the .xml and the .bin file again, or export the bundle again"

# The root element, behind the XML declaration.
_IR_MARK, _HEAD_BYTES = b"<net", 256

# Where a file says in what its float ops shall be computed.
PRECISION_KEY = ("edgevit", "inference_precision")

_CPU = CPU_DEVICE.name
_DRIVER_REMEDIES: dict[DeviceKind, str] = {
    "npu": "install Intel's NPU driver and add this user to the group render",
    "gpu": "install Intel's OpenCL driver and add this user to the group render",
}


class OpenVinoRuntime:
    """Runs OpenVINO IR (``.xml`` with a ``.bin`` beside it).

    A model is compiled for one device by name, never for ``AUTO`` or ``HETERO``, which move to
    another without a word: what the device cannot compute makes the file fail to load.
    """

    name = "openvino"

    def availability(self) -> Availability:
        """Say which version is installed, without importing it."""
        version = version_of(_PACKAGE)
        return Availability(_PACKAGE, version, remedy="" if version else _INSTALL)

    def preload(self) -> None:
        """Import OpenVINO.

        Raises:
            MissingDependencyError: if it is not installed or cannot be imported.
        """
        load_openvino("running OpenVINO files", _INSTALL)

    def open(self, path: Path, threads: int, device: Device = CPU_DEVICE) -> Session:
        """Open an ``.xml`` file.

        Args:
            path: The file.
            threads: Of the CPU device; others choose their own.
            device: By OpenVINO's name: ``CPU``, ``NPU``, ``GPU`` or ``GPU.1``.

        Raises:
            MissingDependencyError: if OpenVINO is not installed.
            InputError: if a file is missing, damaged, or no classifier of pixels, or the device
                cannot compute it.
        """
        return OpenVinoSession(compile_model(path, threads, device), str(path))

    def devices(self, kind: DeviceKind, delegate: Path | None) -> tuple[DeviceSupport, ...]:
        """Say which devices OpenVINO finds; it takes no delegate."""
        wanted = kind.upper()
        availability = self.availability()
        if not availability.available:
            return not_installed(kind, wanted, availability)
        try:
            names = load_openvino("looking for devices", _INSTALL).Core().available_devices
        except (MissingDependencyError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            return (DeviceSupport(Device(kind, wanted), f"OpenVINO cannot say ({reason})"),)
        found = [name for name in names if name.partition(".")[0] == wanted]
        if found:
            return tuple(DeviceSupport(Device(kind, name), "") for name in found)
        remedy = _DRIVER_REMEDIES.get(kind, _INSTALL)
        absent = f"OpenVINO finds only {', '.join(names) or 'nothing'} here: {remedy}"
        return (DeviceSupport(Device(kind, wanted), absent),)

    def accelerator_share(
        self, path: Path, threads: int, device: Device, pixels: Pixels
    ) -> tuple[float | None, float | None, str]:
        """Count and time the ops that a device computed and those that it left to the host."""
        compiled = compile_model(path, threads, device, profiled=True)
        elsewhere = [
            place
            for place in execution_devices(compiled)
            if place.partition(".")[0] != device.name.partition(".")[0]
        ]
        if elsewhere:
            return 0.0, 0.0, f"compiled for {', '.join(elsewhere)} instead of {device.name}"
        ops, times_us = profile(compiled, device.name, pixels)
        counts = ", ".join(f"{place}: {count} ops" for place, count in ops.items())
        return (
            share_of(ops, device.name),
            share_of(times_us, device.name),
            f"{counts or 'OpenVINO gives no profile'} ({full_name(device.name)})",
        )


def load_openvino(purpose: str, install: str) -> Any:
    """Import OpenVINO, without letting it report its use over the network.

    Args:
        purpose: What it is needed for, for the error.
        install: The command that installs it.

    Raises:
        MissingDependencyError: if it is not installed or cannot be imported.
    """
    # On import it sends usage data if this package is there, and waits where there is no network.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        broken = " ".join(str(error).split())
        reason = "" if isinstance(error, ModuleNotFoundError) else f" ({broken})"
        raise MissingDependencyError(f"{purpose} needs openvino{reason}", install) from None
    return openvino


# Which of OpenVINO's own lines raised.
_SOURCE_LINES = re.compile(r"Exception from \S+:\d+: |Check '[^']*' failed at \S+:\d+: ")


def compile_model(
    path: Path, threads: int, device: Device = CPU_DEVICE, *, profiled: bool = False
) -> Any:
    """Compile a file for one device, for the lowest latency of one image.

    Args:
        path: The ``.xml`` file.
        threads: Of the CPU device.
        device: Where to compute.
        profiled: Whether every op is timed, which slows it down.

    Raises:
        MissingDependencyError: if OpenVINO is not installed.
        InputError: if a file is missing or damaged, or the device cannot compute it.
    """
    openvino = load_openvino("running OpenVINO files", _INSTALL)
    for part in (path, path.with_suffix(".bin")):
        if not part.is_file():
            raise InputError(f"{part} does not exist", _DAMAGED_REMEDY)
    _check_is_ir(path)
    core = openvino.Core()
    where = ""
    try:
        model = core.read_model(path)
        where = "" if device.name == _CPU else f" for {device}"
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if profiled:
            settings["PERF_COUNT"] = True
        if device.name == _CPU:
            settings |= {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
        if model.has_rt_info(list(PRECISION_KEY)):
            hint = model.get_rt_info(list(PRECISION_KEY)).astype(str)
            if _computes(core, device.name, hint):
                settings["INFERENCE_PRECISION_HINT"] = hint
        return core.compile_model(model, device.name, settings)
    except Exception as error:  # OpenVINO raises RuntimeError and kinds of its own
        reason = _SOURCE_LINES.sub("", " ".join(str(error).split()))
        remedy = "Measure it on the CPU, or update the driver" if where else _DAMAGED_REMEDY
        raise InputError(f"{path} cannot be loaded{where} ({reason})", remedy) from error


# What devices call the arithmetic that a file may ask for.
_CAPABILITIES = {"f32": "FP32", "f16": "FP16", "bf16": "BF16"}


def _computes(core: Any, device_name: str, hint: str) -> bool:
    """Say whether a device can be told to compute in a precision: NPUs know no float32."""
    supported = core.get_property(device_name, "SUPPORTED_PROPERTIES")
    capabilities = core.get_property(device_name, "OPTIMIZATION_CAPABILITIES")
    return "INFERENCE_PRECISION_HINT" in supported and _CAPABILITIES.get(hint) in capabilities


def _check_is_ir(path: Path) -> None:
    """Refuse what is no IR: OpenVINO would try its readers of other formats, which all complain."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if _IR_MARK not in head:
        raise InputError(f"{path} is no OpenVINO IR file", _DAMAGED_REMEDY)


class OpenVinoSession:
    """An opened OpenVINO classifier.

    Args:
        compiled: A compiled model.
        name: The file, for error messages.

    Raises:
        InputError: if the inputs or outputs are not those of a classifier of pixels.
    """

    def __init__(self, compiled: Any, name: str) -> None:
        check_classifier(
            name,
            _ports(compiled.inputs),
            _ports(compiled.outputs),
            format_name=OpenVinoRuntime.name,
        )
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._input = self._request.get_input_tensor().data
        self._output = self._request.get_output_tensor().data

    def invoke(self, pixels: Pixels) -> Scores:
        """Run one image, ``uint8 [1, H, W, 3]``; returns ``float32 [1, classes]``."""
        expected = (self._input.dtype, self._input.shape)
        if (pixels.dtype, pixels.shape) != expected:
            given = f"{pixels.dtype} {pixels.shape}"
            raise ValueError(f"{given} pixels for an input of {expected[0]} {expected[1]}")
        # Copied into the request's own memory: 150 KB in 4 µs, and no wrapper is made each time.
        np.copyto(self._input, pixels)
        self._request.infer(share_inputs=True, share_outputs=True)
        return np.asarray(self._output, dtype=np.float32)

    def placement(self) -> Placement:
        """Count the ops by the arithmetic that the device chose for them."""
        devices = ", ".join(execution_devices(self._compiled)) or "device unknown"
        try:
            ops = Counter(precision for _, precision, _ in executed_ops(self._compiled))
        except (KeyError, RuntimeError):  # devices other than the CPU need not tell
            return Placement(f"OpenVINO {devices}; it does not list its ops", {}, 0)
        kinds = ", ".join(f"{count} {precision}" for precision, count in sorted(ops.items()))
        summary = f"OpenVINO {devices}, {ops.total()} fused ops: {kinds}"
        return Placement(summary, {devices: ops.total()}, 0)


def profile(
    compiled: Any, device_name: str, pixels: Pixels
) -> tuple[dict[str, float], dict[str, float]]:
    """Run photos and add up what each op took.

    Args:
        compiled: A profiled model.
        device_name: Where it was compiled for.
        pixels: ``uint8 [n, height, width, 3]``.

    Returns:
        Number of ops, and microseconds over all photos, by where they ran: the device, or the
        host (``CPU``), which computes what the GPU has no kernel for.
    """
    request = compiled.create_infer_request()
    ops: dict[str, float] = {}
    times_us: dict[str, float] = {}
    for index in range(len(pixels)):
        request.infer([np.ascontiguousarray(pixels[index : index + 1])])
        executed = [
            info
            for info in request.profiling_info
            if info.status.name == "EXECUTED" and info.node_type not in _NO_OPS
        ]
        ops = {}
        for info in executed:
            # The GPU's word for an op on the host; the CPU device itself has other words.
            place = _CPU if info.exec_type.lower().startswith("cpu") else device_name
            ops[place] = ops.get(place, 0) + 1
            microseconds = info.real_time.total_seconds() * 1e6
            times_us[place] = times_us.get(place, 0.0) + microseconds
    return ops, times_us


def execution_devices(compiled: Any) -> tuple[str, ...]:
    """Return the devices that a model was really compiled for; empty where it does not say."""
    try:
        return tuple(str(name) for name in compiled.get_property("EXECUTION_DEVICES"))
    except RuntimeError:
        return ()


def full_name(device_name: str) -> str:
    """Return the maker's name of a device, such as ``Intel(R) AI Boost``."""
    core = load_openvino("naming a device", _INSTALL).Core()
    return str(core.get_property(device_name, "FULL_DEVICE_NAME")).strip()


# What the CPU device lists beside the ops that compute.
_NO_OPS = {"Input", "Output", "Const", "Reorder"}


def executed_ops(compiled: Any) -> list[tuple[str, str, str]]:
    """Return kind, arithmetic (such as ``int8``) and name of every op after fusion."""
    found = []
    for node in compiled.get_runtime_model().get_ops():
        info = node.get_rt_info()
        kind = info["layerType"].astype(str)
        inputs = (port.get_node().get_rt_info() for port in node.input_values())
        constant = all(item["layerType"].astype(str) == "Const" for item in inputs)
        if kind in _NO_OPS or constant:  # weights are brought into their order once
            continue
        precision = info["runtimePrecision"].astype(str).lower()
        found.append((kind, _DTYPES.get(precision, precision), node.get_friendly_name()))
    return found


# Activations are unsigned where they can be; both are the device's int8 arithmetic.
_DTYPES = {"u8": "int8", "i8": "int8", "f32": "float32", "f16": "float16", "bf16": "bfloat16"}


# bf16, u4 and the like have no NumPy type: OpenVINO would give one that looks like another.
_NUMPY_NAMES = {"u8": "uint8", "i8": "int8", "f32": "float32", "f16": "float16"}


def _ports(nodes: Any) -> list[Port]:
    return [
        Port(
            _NUMPY_NAMES.get(name := node.get_element_type().get_type_name(), name),
            tuple(
                size.get_length() if size.is_static else str(size)
                for size in node.get_partial_shape()
            ),
        )
        for node in nodes
    ]

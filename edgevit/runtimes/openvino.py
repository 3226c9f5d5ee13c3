"""OpenVINO IR files through OpenVINO, on the CPU."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.errors import InputError, MissingDependencyError
from edgevit.machine import version_of
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.runtimes.base import Availability, Placement, Port, Session, check_classifier

_PACKAGE = "openvino"
_INSTALL = "pip install 'edgevit[openvino]'"
_DAMAGED_REMEDY = "Copy the .xml and the .bin file again, or export the bundle again"

# The root element, behind the XML declaration.
_IR_MARK, _HEAD_BYTES = b"<net", 256

# Where a file says in what a CPU shall compute its float ops.
PRECISION_KEY = ("edgevit", "inference_precision")


class OpenVinoRuntime:
    """Runs OpenVINO IR (``.xml`` with a ``.bin`` beside it) on OpenVINO's CPU device."""

    name = "openvino"

    def availability(self) -> Availability:
        """Say which version is installed, without importing it."""
        version = version_of(_PACKAGE)
        return Availability(_PACKAGE, version, remedy="" if version else _INSTALL)

    def open(self, path: Path, threads: int) -> Session:
        """Open an ``.xml`` file.

        Raises:
            MissingDependencyError: if OpenVINO is not installed.
            InputError: if a file is missing, damaged, or no classifier of pixels.
        """
        return OpenVinoSession(compile_model(path, threads), str(path))


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


def compile_model(path: Path, threads: int) -> Any:
    """Compile a file for the CPU, for the lowest latency of one image.

    Raises:
        MissingDependencyError: if OpenVINO is not installed.
        InputError: if a file is missing or damaged.
    """
    openvino = load_openvino("running OpenVINO files", _INSTALL)
    for part in (path, path.with_suffix(".bin")):
        if not part.is_file():
            raise InputError(f"{part} does not exist", _DAMAGED_REMEDY)
    _check_is_ir(path)
    core = openvino.Core()
    try:
        model = core.read_model(path)
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
        }
        if model.has_rt_info(list(PRECISION_KEY)):
            hint = model.get_rt_info(list(PRECISION_KEY)).astype(str)
            settings["INFERENCE_PRECISION_HINT"] = hint
        return core.compile_model(model, "CPU", settings)
    except Exception as error:  # OpenVINO raises RuntimeError and kinds of its own
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be loaded ({reason})", _DAMAGED_REMEDY) from error


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
        """Count the ops by the arithmetic that the CPU device chose for them."""
        ops = Counter(precision for _, precision, _ in executed_ops(self._compiled))
        devices = ", ".join(self._compiled.get_property("EXECUTION_DEVICES"))
        kinds = ", ".join(f"{count} {precision}" for precision, count in sorted(ops.items()))
        summary = f"OpenVINO {devices}, {ops.total()} fused ops: {kinds}"
        return Placement(summary, {devices: ops.total()}, 0)


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

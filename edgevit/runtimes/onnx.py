"""ONNX files through ONNX Runtime, on the CPU."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgevit import console
from edgevit.errors import InputError, MissingDependencyError
from edgevit.machine import version_of
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.runtimes.base import Availability, Placement, Port, Session, check_classifier

_PACKAGE = "onnxruntime"
_INSTALL = "pip install 'edgevit[onnx]'"
_DAMAGED_REMEDY = "Copy the file again, or export it again"
CPU = "CPUExecutionProvider"
_ERRORS_ONLY = 3


class OnnxRuntime:
    """Runs ``.onnx`` files with ONNX Runtime's CPU execution provider."""

    name = "onnx"

    def availability(self) -> Availability:
        """Say which version is installed, without importing it."""
        version = version_of(_PACKAGE)
        return Availability(_PACKAGE, version, remedy="" if version else _INSTALL)

    def open(self, path: Path, threads: int) -> Session:
        """Open an ``.onnx`` file.

        Raises:
            MissingDependencyError: if ONNX Runtime is not installed.
            InputError: if the file is missing, damaged, or no classifier of pixels.
        """
        return OnnxSession(open_session(path, threads), str(path))


def open_session(path: Path, threads: int, optimised: Path | None = None) -> Any:
    """Open a file with explicit threads.

    Args:
        path: The ``.onnx`` file.
        threads: Of one op; ops run one after the other.
        optimised: Where to write the graph as ONNX Runtime will run it.

    Raises:
        MissingDependencyError: if ONNX Runtime is not installed.
        InputError: if the file is missing or damaged.
    """
    # On import it writes an id of this device and, later, sends usage data.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        broken = " ".join(str(error).split())
        reason = "" if isinstance(error, ModuleNotFoundError) else f" ({broken})"
        raise MissingDependencyError(
            f"running ONNX files needs onnxruntime{reason}", _INSTALL
        ) from None
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
    try:
        with console.without_native_chatter():
            return onnxruntime.InferenceSession(str(path), options, providers=[CPU])
    except Exception as error:  # each of its own kinds of failure derives from Exception only
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be loaded ({reason})", _DAMAGED_REMEDY) from error


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
        try:
            assigned = self._session.get_provider_graph_assignment_info()
            ops = Counter(str(part.ep_name) for part in assigned for _ in part.get_nodes())
        except (AttributeError, RuntimeError):  # before ONNX Runtime 1.24
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

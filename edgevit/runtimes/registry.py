"""The runtimes that edgevit knows. Importing this imports none of the frameworks."""

from __future__ import annotations

from edgevit.errors import MissingDependencyError
from edgevit.registry import Registry
from edgevit.runtimes.base import Runtime
from edgevit.runtimes.keras import KerasRuntime
from edgevit.runtimes.onnx import OnnxRuntime
from edgevit.runtimes.openvino import OpenVinoRuntime
from edgevit.runtimes.tflite import TFLiteRuntime

_ENTRIES: tuple[Runtime, ...] = (
    KerasRuntime(),
    TFLiteRuntime(),
    OnnxRuntime(),
    OpenVinoRuntime(),
)
RUNTIMES: Registry[Runtime] = Registry("runtime", _ENTRIES)


def require_runtime(name: str) -> None:
    """Check that a runtime is installed, without importing it.

    Raises:
        MissingDependencyError: naming the command that installs it.
    """
    availability = RUNTIMES.get(name).availability()
    if not availability.available:
        problem = f"checking {name} files needs {availability.package}"
        raise MissingDependencyError(problem, availability.remedy)

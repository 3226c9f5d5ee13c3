"""The runtimes that edgevit knows. Importing this imports none of the frameworks."""

from __future__ import annotations

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

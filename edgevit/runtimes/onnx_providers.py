"""ONNX Runtime's execution providers: which there are, and whether they were really used.

A provider that cannot start is dropped by ONNX Runtime with a warning, and ops that it has no
kernel for go to the CPU without one. So a session is asked afterwards which providers it has, which
ops went to each, and, in a profiled pass, how long they took.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from edgevit.errors import InputError
from edgevit.runtimes.base import CPU_DEVICE, Device, DeviceKind, DeviceSupport
from edgevit.runtimes.libraries import exports, find_libraries, require_library

CPU = "CPUExecutionProvider"
_OPENVINO = "OpenVINOExecutionProvider"
_REMEDY = "Install the drivers and libraries that it needs, or measure on the CPU"

# Providers of each kind, with the options that keep them to that kind. TensorRT's is left out: it
# is listed wherever CUDA's is, needs a library of its own and builds for minutes.
PROVIDERS: Mapping[DeviceKind, Mapping[str, Mapping[str, str]]] = {
    "cpu": {
        "XnnpackExecutionProvider": {},
        "DnnlExecutionProvider": {},
        _OPENVINO: {"device_type": "CPU"},
    },
    "npu": {
        "QNNExecutionProvider": {"backend_type": "htp"},
        "VitisAIExecutionProvider": {},
        _OPENVINO: {"device_type": "NPU"},
        "CoreMLExecutionProvider": {"MLComputeUnits": "CPUAndNeuralEngine"},
        "NnapiExecutionProvider": {},
        "VSINPUExecutionProvider": {},
        "RknpuExecutionProvider": {},
        "CANNExecutionProvider": {},
    },
    "gpu": {
        # All bits of float32, as everywhere else.
        "CUDAExecutionProvider": {"use_tf32": "0"},
        "MIGraphXExecutionProvider": {},
        "ROCMExecutionProvider": {},
        "DmlExecutionProvider": {},
        _OPENVINO: {"device_type": "GPU"},
        "CoreMLExecutionProvider": {"MLComputeUnits": "CPUAndGPU"},
        "WebGpuExecutionProvider": {},
    },
}
# Packages that bring one, for the kind that has none.
_PACKAGES: Mapping[DeviceKind, str] = {
    "npu": "onnxruntime-qnn, onnxruntime-openvino or the maker's",
    "gpu": "onnxruntime-gpu, onnxruntime-openvino or onnxruntime-directml",
}
# Its place in a result where there is none.
NO_PROVIDER = "execution provider"

# A provider in a library of its own, from ONNX Runtime 1.22 on.
_SYMBOL = "CreateEpFactories"
_PURPOSE = "an ONNX Runtime provider"


def provider_devices(
    onnxruntime: Any, kind: DeviceKind, delegate: Path | None
) -> tuple[DeviceSupport, ...]:
    """Say which providers could be used; no session is made and no library loaded.

    Args:
        onnxruntime: The module.
        kind: Of the device behind the provider.
        delegate: A provider's library, or its bare name; those that are built in if ``None`` or
            if it is a delegate of LiteRT.
    """
    built_in = _built_in(onnxruntime)
    found = [
        DeviceSupport(Device(kind, name), _absence(onnxruntime, name, options))
        for name, options in PROVIDERS[kind].items()
        if name in built_in
    ]
    if kind == "cpu":
        return (DeviceSupport(CPU_DEVICE, ""), *found)
    if delegate is not None:
        if delegate.parent == Path() and not delegate.exists():
            delegate = next(iter(find_libraries([delegate.name])), delegate)
        if exports(delegate, _SYMBOL):
            return (DeviceSupport(Device(kind, str(delegate)), ""),)
    if found:
        return tuple(found)
    absent = (
        f"this ONNX Runtime only has {', '.join(built_in)}: install {_PACKAGES[kind]} in its place"
    )
    return (DeviceSupport(Device(kind, NO_PROVIDER), absent),)


def _built_in(onnxruntime: Any) -> list[str]:
    """Return the providers that need no library; one that was loaded is listed among them."""
    list_devices = getattr(onnxruntime, "get_ep_devices", list)  # from ONNX Runtime 1.22 on
    loaded = {known.ep_name for known in list_devices() if "library_path" in known.ep_metadata}
    return [name for name in onnxruntime.get_available_providers() if name not in loaded]


def _absence(onnxruntime: Any, name: str, options: Mapping[str, str]) -> str:
    """Say why a provider that is built in has no device here, where it can be asked."""
    if name != _OPENVINO:
        return ""
    list_devices = getattr(
        onnxruntime.capi._pybind_state, "get_available_openvino_device_ids", None
    )
    names = list_devices() if list_devices is not None else [options["device_type"]]
    if any(found.partition(".")[0] == options["device_type"] for found in names):
        return ""
    return f"{name} finds only {', '.join(names)} here: install the device's driver"


def choose_provider(
    onnxruntime: Any, options: Any, device: Device, threads: int
) -> tuple[str, list[Any] | None]:
    """Choose a device's provider for a session, with the CPU's behind it.

    Args:
        onnxruntime: The module.
        options: ``SessionOptions``; a provider of a library is added to them.
        device: One of :func:`provider_devices`.
        threads: Of the providers that compute on the CPU.

    Returns:
        The provider's name, and what ``InferenceSession`` takes as ``providers``.

    Raises:
        InputError: if it is not there.
    """
    if device == CPU_DEVICE:
        return CPU, [CPU]
    if device.name in PROVIDERS[device.kind]:
        if device.name not in _built_in(onnxruntime):
            raise InputError(f"this ONNX Runtime has no {device.name}", _REMEDY)
        chosen = dict(PROVIDERS[device.kind][device.name])
        if device.name == "XnnpackExecutionProvider":
            chosen["intra_op_num_threads"] = str(threads)
        return device.name, [(device.name, chosen), CPU]
    path = Path(device.name)
    require_library(path, _SYMBOL, _PURPOSE)
    found = [
        known for known in _register(onnxruntime, path.resolve()) if _kind_of(known) == device.kind
    ]
    if not found:
        kinds = {_kind_of(known) for known in _register(onnxruntime, path.resolve())}
        has = f"only finds {', '.join(sorted(kinds))}" if kinds else "finds no device"
        raise InputError(f"the provider {path} {has} here", _REMEDY)
    options.add_provider_for_devices(found[:1], {})
    return str(found[0].ep_name), None


def _kind_of(known: Any) -> str:
    return str(known.device.type.name).lower()


@cache
def _register(onnxruntime: Any, path: Path) -> tuple[Any, ...]:
    """Load a provider's library, once in a process; returns its devices.

    Raises:
        InputError: if ONNX Runtime refuses it.
    """
    try:
        before = {known.ep_name for known in onnxruntime.get_ep_devices()}
        onnxruntime.register_execution_provider_library(path.name, str(path))
    except Exception as error:  # each of its own kinds of failure derives from Exception only
        reason = " ".join(str(error).split())
        raise InputError(f"the provider {path} cannot be used ({reason})", _REMEDY) from error
    return tuple(
        known
        for known in onnxruntime.get_ep_devices()
        # OpenVINO's AUTO moves to another device without a word.
        if known.ep_name not in before and not known.ep_name.endswith(".AUTO")
    )


def require_provider(session: Any, provider: str, name: str) -> None:
    """Check that a session kept the provider that it was given.

    Raises:
        InputError: if ONNX Runtime dropped it.
    """
    kept = session.get_providers()
    if provider not in kept:
        raise InputError(
            f"{provider} could not start, {name} would run on {', '.join(kept)}", _REMEDY
        )


def assigned_ops(session: Any) -> Counter[str] | None:
    """Count a model's ops by provider; ``None`` before ONNX Runtime 1.24."""
    try:
        assigned = session.get_provider_graph_assignment_info()
    except (AttributeError, RuntimeError):
        return None
    return Counter(str(part.ep_name) for part in assigned for _ in part.get_nodes())


def profiled_times_us(path: Path) -> Counter[str]:
    """Add up the times of all ops by provider from a session's profile, microseconds.

    The first run is left out where there are more: providers build their kernels in it.
    """
    events = json.loads(path.read_text(encoding="utf-8"))
    runs = [index for index, event in enumerate(events) if event["name"] == "model_run"]
    first = runs[0] + 1 if len(runs) > 1 else 0
    times_us: Counter[str] = Counter()
    for event in events[first:]:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times_us[event["args"]["provider"]] += event["dur"]
    return times_us

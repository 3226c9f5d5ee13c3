"""LiteRT delegates: libraries that take ops of a TFLite model to an accelerator."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgevit.errors import InputError
from edgevit.runtimes.base import CPU_DEVICE, Device, DeviceKind, DeviceSupport
from edgevit.runtimes.libraries import exports, find_libraries, require_library

# What LiteRT's external delegate interface calls first.
SYMBOL = "tflite_plugin_create_delegate"
_PURPOSE = "a LiteRT delegate"
# Those that speak the interface and need no options: Coral Edge TPU; VeriSilicon (NXP i.MX 8M
# Plus, Amlogic); Arm Ethos-U (i.MX 93); NXP eIQ Neutron (i.MX 95).
NPU_LIBRARIES = (
    "libedgetpu.so.1",
    "libvx_delegate.so",
    "libethosu_delegate.so",
    "libneutron_delegate.so",
)
# Its place in a result where none is found.
_NO_DELEGATE = "delegate"


def delegate_devices(kind: DeviceKind, delegate: Path | None) -> tuple[DeviceSupport, ...]:
    """Say which delegates could be used; none is loaded.

    Args:
        kind: The CPU needs no delegate.
        delegate: The library that was asked for, of whatever runtime, or its bare name; a known
            one if ``None``.
    """
    if kind == "cpu":
        return (DeviceSupport(CPU_DEVICE, ""),)
    if delegate is not None:
        if delegate.parent == Path() and not delegate.exists():
            delegate = next(iter(find_libraries([delegate.name])), delegate)
        # A missing file or one that is no library is an error of the row, not an absent device.
        other = exports(delegate, "CreateEpFactories") and not exports(delegate, SYMBOL)
        absent = f"{delegate} is an ONNX Runtime provider, not {_PURPOSE}" if other else ""
        return (DeviceSupport(Device(kind, str(delegate)), absent),)
    if kind == "npu" and (found := find_libraries(NPU_LIBRARIES)):
        return tuple(DeviceSupport(Device(kind, str(path)), "") for path in found)
    return (DeviceSupport(Device(kind, _NO_DELEGATE), _absence(kind)),)


def _absence(kind: DeviceKind) -> str:
    if kind == "gpu":
        return "no delegate for a GPU is known: give its library with --delegate PATH"
    names = f"{', '.join(NPU_LIBRARIES[:-1])} or {NPU_LIBRARIES[-1]}"
    return f"none of {names} is installed: install the accelerator's, or give --delegate PATH"


def load(path: Path, load_delegate: Callable[[str], Any]) -> Any:
    """Load a delegate's library, which runs its code.

    Args:
        path: The library.
        load_delegate: Of the interpreter's module.

    Raises:
        InputError: if it is no such library, or finds no device.
    """
    require_library(path, SYMBOL, _PURPOSE)
    try:
        # First by itself: LiteRT's own class complains again, past us, where this fails.
        ctypes.CDLL(str(path.resolve()))
        return load_delegate(str(path.resolve()))
    except (ValueError, OSError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the delegate {path} cannot be used ({reason})",
            "Check that its device is plugged in and that this user may open it",
        ) from error

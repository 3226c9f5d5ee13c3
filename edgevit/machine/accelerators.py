"""Devices beside the CPU, seen by their files whether or not edgevit can use them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgevit.machine.files import first_value, key_values, read_text

_EDGE_TPU_USB_IDS = {("1a6e", "089a"), ("18d1", "9302")}
_NVIDIA_SMI_SECONDS = 2.0

AcceleratorKind = Literal["gpu", "npu", "edge-tpu"]


@dataclass(frozen=True)
class Accelerator:
    """A device beside the CPU that was seen, whether or not edgevit can use it."""

    kind: AcceleratorKind
    name: str


def find_accelerators(root: Path) -> tuple[Accelerator, ...]:
    """Return what is there, GPUs first."""
    return (*_gpus(root), *_npus(root), *_edge_tpus(root))


def _gpus(root: Path) -> list[Accelerator]:
    names = [
        " ".join(key_values(read_text(path), ":").get("Model", ["NVIDIA GPU"]))
        for path in sorted(root.glob("proc/driver/nvidia/gpus/*/information"))
    ]
    if not names and root == Path("/"):
        names = _nvidia_smi()
    for path in sorted(root.glob("dev/dri/renderD*")):
        uevent = read_text(root / "sys/class/drm" / path.name / "device/uevent")
        driver = first_value(key_values(uevent, "="), "DRIVER") or "unknown"
        if driver != "nvidia" or not names:
            names.append(f"/dev/dri/{path.name} (driver {driver})")
    return [Accelerator("gpu", name) for name in names]


def _nvidia_smi() -> list[str]:
    """Ask the driver's tool, for systems such as WSL that have no /proc/driver/nvidia."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        answer = subprocess.run(
            [program, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=_NVIDIA_SMI_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def _npus(root: Path) -> list[Accelerator]:
    nodes = [
        *sorted(root.glob("dev/accel/accel*")),
        *sorted(root.glob("dev/accel[0-9]*")),
        *sorted(root.glob("dev/hailo[0-9]*")),
    ]
    return [Accelerator("npu", f"/{path.relative_to(root)}") for path in nodes]


def _edge_tpus(root: Path) -> list[Accelerator]:
    names = [f"/dev/{path.name}" for path in sorted(root.glob("dev/apex_*"))]
    names += [
        f"Coral USB ({vendor.parent.name})"
        for vendor in sorted(root.glob("sys/bus/usb/devices/*/idVendor"))
        if (read_text(vendor), read_text(vendor.with_name("idProduct"))) in _EDGE_TPU_USB_IDS
    ]
    return [Accelerator("edge-tpu", name) for name in names]

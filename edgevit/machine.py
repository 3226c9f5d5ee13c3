"""What this machine is: what a result or a bug report must say about where it was made.

Everything is read from files that the kernel provides, below one root folder, so that a test can
stand in an Arm board for this machine. Nothing heavy is imported.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import psutil

from edgevit import __version__

SYSTEM_ROOT = Path("/")

# Kernel names of the CPU features that decide how fast quantised models run.
X86_FEATURES: tuple[str, ...] = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "amx_bf16",
)
# asimd: NEON; asimddp: int8 dot products; i8mm: int8 matrix products; fphp and asimdhp: fp16.
ARM64_FEATURES: tuple[str, ...] = ("asimd", "asimddp", "i8mm", "fphp", "asimdhp", "bf16", "sve")
ARM32_FEATURES: tuple[str, ...] = ("neon", "vfpv4")

# MIDR implementer and part numbers, from Linux's arch/arm64/include/asm/cputype.h.
_ARM_PARTS = {
    (0x41, 0xC07): "Cortex-A7",
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4F): "Neoverse-V2",
}
_EDGE_TPU_USB_IDS = {("1a6e", "089a"), ("18d1", "9302")}
_NVIDIA_SMI_SECONDS = 2.0

# Distributions that a result or a bug report names, with the extra that brings each.
LIBRARIES: dict[str, str | None] = {
    "numpy": None,
    "pillow": None,
    "ai-edge-litert": "tflite",
    "tflite-runtime": "tflite",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "tensorflow": "train",
    "keras": "train",
    "vit-keras": "train",
    "litert-quantizer": "export",
    "onnx": "export",
}

AcceleratorKind = Literal["gpu", "npu", "edge-tpu"]


@dataclass(frozen=True)
class Cpu:
    """A processor.

    Attributes:
        model: Its name; several kinds of cores are joined with " + ".
        physical_cores: ``None`` where the system does not say.
        logical_cores: Hardware threads, at least 1.
        features: Which of the features that matter on this kind of processor it has.
        governor: The clock policy of core 0, such as ``ondemand``; ``None`` where unknown.
    """

    model: str
    physical_cores: int | None
    logical_cores: int
    features: dict[str, bool]
    governor: str | None


@dataclass(frozen=True)
class Accelerator:
    """A device beside the CPU that was seen, whether or not edgevit can use it."""

    kind: AcceleratorKind
    name: str


@dataclass(frozen=True)
class Machine:
    """A computer.

    Attributes:
        board: Such as ``Raspberry Pi 5 Model B Rev 1.0``; ``None`` where no device tree names it.
        memory_bytes: Of RAM.
    """

    system: str
    architecture: str
    python: str
    cpu: Cpu
    memory_bytes: int
    board: str | None
    accelerators: tuple[Accelerator, ...]


def describe_machine(root: Path | None = None) -> Machine:
    """Describe this machine.

    Args:
        root: The folder that holds ``proc/``, ``sys/`` and ``dev/``; :data:`SYSTEM_ROOT` if none.
    """
    root = SYSTEM_ROOT if root is None else root
    return Machine(
        system=_system(root),
        architecture=platform.machine(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        cpu=_cpu(root),
        memory_bytes=psutil.virtual_memory().total,
        board=_read(root / "proc/device-tree/model").rstrip("\0") or None,
        accelerators=_accelerators(root),
    )


def installed_versions() -> dict[str, str]:
    """Return the versions of edgevit and of those :data:`LIBRARIES` that are installed."""
    found = {library: version_of(library) for library in LIBRARIES}
    return {"edgevit": __version__, **{name: text for name, text in found.items() if text}}


def version_of(package: str) -> str | None:
    """Return the version of an installed distribution, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def logical_cores() -> int:
    """Return the number of hardware threads of this machine, at least 1."""
    return os.cpu_count() or 1


def cpu_affinity() -> tuple[int, ...]:
    """Return the numbers of the cores that this process may use; empty where unknown."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    return tuple(sorted(os.sched_getaffinity(0)))


def _read(path: Path) -> str:
    """Return the file's text, or nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _fields(text: str, separator: str) -> dict[str, list[str]]:
    """Return every value of every key of ``key SEPARATOR value`` lines."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, divider, value = line.partition(separator)
        if divider:
            found.setdefault(key.strip(), []).append(value.strip().strip('"'))
    return found


def _system(root: Path) -> str:
    pretty = _fields(_read(root / "etc/os-release"), "=").get("PRETTY_NAME", [""])[0]
    kernel = f"{platform.system()} {platform.release()}"
    return f"{pretty} ({kernel})" if pretty else kernel


def _cpu(root: Path) -> Cpu:
    fields = _fields(_read(root / "proc/cpuinfo"), ":")
    return Cpu(
        model=_cpu_model(fields),
        physical_cores=psutil.cpu_count(logical=False),
        logical_cores=logical_cores(),
        features=_cpu_features(fields),
        governor=_read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
    )


def _cpu_model(fields: dict[str, list[str]]) -> str:
    if names := fields.get("model name"):
        return " + ".join(dict.fromkeys(names))
    parts = zip(fields.get("CPU implementer", []), fields.get("CPU part", []), strict=False)
    # 64-bit Arm kernels give numbers instead of names.
    names = [_arm_part(implementer, part) for implementer, part in parts]
    return " + ".join(dict.fromkeys(names)) or platform.processor() or platform.machine()


def _arm_part(implementer: str, part: str) -> str:
    try:
        name = _ARM_PARTS.get((int(implementer, 16), int(part, 16)))
    except ValueError:
        name = None
    return name or f"Arm implementer {implementer} part {part}"


def _cpu_features(fields: dict[str, list[str]]) -> dict[str, bool]:
    if flags := fields.get("flags"):
        known, wanted = set(flags[0].split()), X86_FEATURES
    elif flags := fields.get("Features"):
        # Little and big cores may differ: a feature counts if every core has it.
        known = set.intersection(*(set(line.split()) for line in flags))
        wanted = ARM64_FEATURES if "asimd" in known else ARM32_FEATURES
    else:
        return {}
    return {feature: feature in known for feature in wanted}


def _accelerators(root: Path) -> tuple[Accelerator, ...]:
    return (*_gpus(root), *_npus(root), *_edge_tpus(root))


def _gpus(root: Path) -> list[Accelerator]:
    names = [
        " ".join(_fields(_read(path), ":").get("Model", ["NVIDIA GPU"]))
        for path in sorted(root.glob("proc/driver/nvidia/gpus/*/information"))
    ]
    if not names and root == Path("/"):
        names = _nvidia_smi()
    for path in sorted(root.glob("dev/dri/renderD*")):
        uevent = _read(root / "sys/class/drm" / path.name / "device/uevent")
        driver = _fields(uevent, "=").get("DRIVER", ["unknown"])[0]
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
        if (_read(vendor), _read(vendor.with_name("idProduct"))) in _EDGE_TPU_USB_IDS
    ]
    return [Accelerator("edge-tpu", name) for name in names]

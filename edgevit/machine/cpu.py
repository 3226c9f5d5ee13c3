"""What kind of processor a machine has, and how fast it may run."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from edgevit.machine.files import (
    format_core_list,
    key_values,
    parse_core_list,
    read_int,
    read_text,
)

CPU_FOLDER = "sys/devices/system/cpu"
KHZ_PER_MHZ = 1000.0

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

# MIDR implementer and part numbers, from Linux's arch/arm{,64}/include/asm/cputype.h.
_ARM_PARTS = {
    (0x41, 0xB76): "ARM1176",
    (0x41, 0xC07): "Cortex-A7",
    (0x41, 0xC09): "Cortex-A9",
    (0x41, 0xC0F): "Cortex-A15",
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4B): "Cortex-A78C",
    (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4E): "Cortex-X3",
    (0x41, 0xD4F): "Neoverse-V2",
    (0x41, 0xD80): "Cortex-A520",
    (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD82): "Cortex-X4",
}


@dataclass(frozen=True)
class ClockDomain:
    """Cores with the same choice of clocks.

    Attributes:
        cores: Their numbers, as the kernel lists them: ``0-3``.
        min_mhz: The slowest clock that the governor may choose, megahertz; ``None`` where unknown.
        max_mhz: The fastest.
        hardware_max_mhz: What the hardware could do; more than ``max_mhz`` where a limit is set.
        current_mhz: Of the slowest of them, when this was read. It is what the kernel asked for:
            a Raspberry Pi's firmware may throttle below it and only says so in other ways.
        governor: The clock policy, such as ``ondemand``.
    """

    cores: str
    min_mhz: float | None
    max_mhz: float | None
    hardware_max_mhz: float | None
    current_mhz: float | None
    governor: str | None


@dataclass(frozen=True)
class Cpu:
    """A processor.

    Attributes:
        model: Its name; several kinds of cores are joined with " + ".
        physical_cores: ``None`` where the system does not say.
        logical_cores: Hardware threads, at least 1.
        features: Which of the features that matter on this kind of processor it has.
        governor: The clock policy of core 0, such as ``ondemand``; ``None`` where unknown.
        clocks: Slowest and fastest by group of cores; empty where unknown.
    """

    model: str
    physical_cores: int | None
    logical_cores: int
    features: dict[str, bool]
    governor: str | None
    clocks: tuple[ClockDomain, ...] = ()


def describe_cpu(root: Path) -> Cpu:
    """Describe the processor of the machine whose files are below ``root``."""
    fields = key_values(read_text(root / "proc/cpuinfo"), ":")
    clocks = _clocks(root)
    return Cpu(
        model=_model(fields),
        physical_cores=_physical_cores(root),
        logical_cores=_online_cores(root, fields),
        features=_features(fields),
        governor=clocks[0].governor if clocks else None,
        clocks=clocks,
    )


def logical_cores() -> int:
    """Return the number of hardware threads of this machine, at least 1."""
    return os.cpu_count() or 1


def cpu_affinity() -> tuple[int, ...]:
    """Return the numbers of the cores that this process may use; empty where unknown."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    return tuple(sorted(os.sched_getaffinity(0)))


def clock_policies(root: Path) -> list[Path]:
    """Return the folders of files about clocks: one for each group of cores that share a clock."""
    folder = root / CPU_FOLDER
    # Linux before 4.3 has no policy folders but one in the first core of each group.
    found = [*folder.glob("cpufreq/policy[0-9]*")] or [*folder.glob("cpu[0-9]*/cpufreq")]
    return sorted(found, key=lambda path: (_policy_cores(path) or (0,), path))


def _policy_cores(policy: Path) -> tuple[int, ...]:
    return parse_core_list(
        read_text(policy / "affected_cpus") or read_text(policy / "related_cpus")
    )


def _clocks(root: Path) -> tuple[ClockDomain, ...]:
    """Join the policies that allow the same: a PC has one for every core."""
    cores: dict[tuple[float | None, float | None, float | None, str | None], list[int]] = {}
    current: dict[tuple[float | None, float | None, float | None, str | None], list[float]] = {}
    for policy in clock_policies(root):
        kind = (
            _megahertz(policy / "scaling_min_freq"),
            _megahertz(policy / "scaling_max_freq"),
            _megahertz(policy / "cpuinfo_max_freq"),
            read_text(policy / "scaling_governor") or None,
        )
        cores.setdefault(kind, []).extend(_policy_cores(policy))
        now = _megahertz(policy / "scaling_cur_freq")
        current.setdefault(kind, []).extend([] if now is None else [now])
    return tuple(
        ClockDomain(
            format_core_list(numbers),
            *kind[:3],
            current_mhz=min(current[kind], default=None),
            governor=kind[3],
        )
        for kind, numbers in cores.items()
    )


def _megahertz(path: Path) -> float | None:
    kilohertz = read_int(path)
    return None if kilohertz is None or kilohertz <= 0 else kilohertz / KHZ_PER_MHZ


def _physical_cores(root: Path) -> int | None:
    cores = {
        read_text(topology / "core_cpus_list") or read_text(topology / "thread_siblings_list")
        for topology in (root / CPU_FOLDER).glob("cpu[0-9]*/topology")
    } - {""}
    if cores:
        return len(cores)
    if platform.system() == "Linux":
        return None
    # Only where there are no files, and then not for every command.
    import psutil

    return psutil.cpu_count(logical=False)


def _online_cores(root: Path, fields: dict[str, list[str]]) -> int:
    listed = parse_core_list(read_text(root / CPU_FOLDER / "online"))
    return len(listed) or len(fields.get("processor", [])) or logical_cores()


def _model(fields: dict[str, list[str]]) -> str:
    parts = zip(fields.get("CPU implementer", []), fields.get("CPU part", []), strict=False)
    known = [_arm_part(implementer, part) for implementer, part in parts]
    # 64-bit Arm kernels give numbers instead of names; 32-bit ones a name of the instruction set.
    if known and (None not in known or "model name" not in fields):
        names = [name or _unknown_part(fields, index) for index, name in enumerate(known)]
    else:
        names = fields.get("model name", [])
    return " + ".join(dict.fromkeys(names)) or platform.processor() or platform.machine()


def _arm_part(implementer: str, part: str) -> str | None:
    try:
        return _ARM_PARTS.get((int(implementer, 16), int(part, 16)))
    except ValueError:
        return None


def _unknown_part(fields: dict[str, list[str]], index: int) -> str:
    implementer, part = fields["CPU implementer"][index], fields["CPU part"][index]
    return f"Arm implementer {implementer} part {part}"


def _features(fields: dict[str, list[str]]) -> dict[str, bool]:
    if flags := fields.get("flags"):
        known, wanted = set(flags[0].split()), X86_FEATURES
    elif flags := fields.get("Features"):
        # Little and big cores may differ: a feature counts if every core has it.
        known = set.intersection(*(set(line.split()) for line in flags))
        wanted = ARM64_FEATURES if "asimd" in known else ARM32_FEATURES
    else:
        return {}
    return {feature: feature in known for feature in wanted}

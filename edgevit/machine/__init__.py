"""What this machine is: what a result or a bug report must say about where it was made.

Everything is read from files that the kernel provides, below one root folder, so that a test can
stand in an Arm board for this machine. Nothing heavy is imported, and what cannot be read is
unknown, never an error.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from edgevit.machine.accelerators import Accelerator, AcceleratorKind, find_accelerators
from edgevit.machine.board import (
    PiRevision,
    board_name,
    decode_revision,
    pi_revision,
    power_supply_ma,
    soc_name,
)
from edgevit.machine.cpu import ClockDomain, Cpu, cpu_affinity, describe_cpu, logical_cores
from edgevit.machine.libraries import LIBRARIES, VARIANTS, installed_versions, version_of
from edgevit.machine.sensors import Sensors, decode_throttled
from edgevit.machine.system import (
    describe_memory,
    describe_surroundings,
    describe_system,
    describe_userland,
)

__all__ = [
    "LIBRARIES",
    "SYSTEM_ROOT",
    "VARIANTS",
    "Accelerator",
    "AcceleratorKind",
    "ClockDomain",
    "Cpu",
    "Machine",
    "PiRevision",
    "Sensors",
    "cpu_affinity",
    "decode_revision",
    "decode_throttled",
    "describe_machine",
    "installed_versions",
    "is_raspberry_pi",
    "logical_cores",
    "version_of",
]

SYSTEM_ROOT = Path("/")


@dataclass(frozen=True)
class Machine:
    """A computer.

    Attributes:
        memory_bytes: Of RAM; 0 where the system does not say.
        board: Such as ``Raspberry Pi 5 Model B Rev 1.0``, or the maker and product of a PC;
            ``None`` where neither device tree nor firmware names it.
        revision: Of a Raspberry Pi; ``None`` on other boards.
        soc: The system on a chip, such as ``brcm,bcm2712``; ``None`` where unknown.
        memory_available_bytes: What programs could take when this was read; ``None`` where unknown.
        swap_bytes: Size of the swap space; ``None`` where unknown.
        userland_bits: Of this Python, 32 or 64; ``None`` in results of old versions.
        kernel_bits: Of the kernel.
        emulated: True if an emulator such as QEMU translates this program's instructions; its times
            are then not those of any device. False where that cannot be told.
        runs_in: Containers and virtual machines around the system, in words.
        temperature_c: Of the processor when this was read, degrees Celsius; ``None`` where unknown.
        throttled: Bits of ``vcgencmd get_throttled`` when this was read; ``None`` on other boards.
        power_supply_ma: Milliamperes that a Pi 5's power supply promised; ``None`` on other boards.
    """

    system: str
    architecture: str
    python: str
    cpu: Cpu
    memory_bytes: int
    board: str | None
    accelerators: tuple[Accelerator, ...]
    revision: PiRevision | None = None
    soc: str | None = None
    memory_available_bytes: int | None = None
    swap_bytes: int | None = None
    userland_bits: int | None = None
    kernel_bits: int | None = None
    emulated: bool = False
    runs_in: tuple[str, ...] = ()
    temperature_c: float | None = None
    throttled: int | None = None
    power_supply_ma: int | None = None

    @property
    def is_mixed(self) -> bool:
        """True if 32-bit programs run on a 64-bit kernel, as on many a Raspberry Pi."""
        return (self.userland_bits, self.kernel_bits) == (32, 64)


def describe_machine(root: Path | None = None) -> Machine:
    """Describe this machine.

    Args:
        root: The folder that holds ``proc/``, ``sys/`` and ``dev/``; :data:`SYSTEM_ROOT` if none.
    """
    root = SYSTEM_ROOT if root is None else root
    memory, userland, sensors = describe_memory(root), describe_userland(root), Sensors(root)
    return Machine(
        system=describe_system(root),
        architecture=platform.machine(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        cpu=describe_cpu(root),
        memory_bytes=memory.total_bytes,
        board=board_name(root),
        accelerators=find_accelerators(root),
        revision=pi_revision(root),
        soc=soc_name(root),
        memory_available_bytes=memory.available_bytes,
        swap_bytes=memory.swap_bytes,
        userland_bits=userland.bits,
        kernel_bits=userland.kernel_bits,
        emulated=userland.emulated,
        runs_in=describe_surroundings(root),
        temperature_c=sensors.temperature_c(),
        throttled=sensors.throttled(),
        power_supply_ma=power_supply_ma(root),
    )


def is_raspberry_pi(machine: Machine) -> bool:
    """Return whether a machine is a Raspberry Pi of any model."""
    return machine.revision is not None or (machine.board or "").startswith("Raspberry Pi")

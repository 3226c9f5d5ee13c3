"""The system that a machine runs: kernel, userland, memory, and what lies between it and it."""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass
from pathlib import Path

from edgevit.machine.board import is_virtual_board
from edgevit.machine.files import first_value, key_values, read_text

_BYTES_PER_KIB = 1024
# The ELF header: class (1: 32-bit, 2: 64-bit) at byte 4, machine at bytes 18 and 19.
_ELF_MAGIC = b"\x7fELF"
_ELF_BITS = {1: 32, 2: 64}
_ELF_FAMILIES = {3: "x86", 62: "x86", 40: "arm", 183: "arm"}


@dataclass(frozen=True)
class Memory:
    """Memory of a machine, bytes.

    Attributes:
        total_bytes: Of RAM; 0 where the system does not say.
        available_bytes: What programs could take when this was read; ``None`` where unknown.
        swap_bytes: Size of the swap space; ``None`` where unknown.
    """

    total_bytes: int
    available_bytes: int | None
    swap_bytes: int | None


@dataclass(frozen=True)
class Userland:
    """How this Python and the kernel below it fit.

    Attributes:
        bits: Of this Python, 32 or 64.
        kernel_bits: Of the kernel.
        emulated: True if an emulator such as QEMU translates this program's instructions.
    """

    bits: int
    kernel_bits: int
    emulated: bool


def describe_system(root: Path) -> str:
    """Return the names of the system and its kernel."""
    pretty = first_value(key_values(read_text(root / "etc/os-release"), "="), "PRETTY_NAME")
    kernel = f"{platform.system()} {platform.release()}"
    return f"{pretty} ({kernel})" if pretty else kernel


def describe_memory(root: Path) -> Memory:
    """Return how much memory there is."""
    fields = key_values(read_text(root / "proc/meminfo"), ":")
    total = _meminfo_bytes(fields, "MemTotal")
    if total is None and platform.system() != "Linux":
        # Only where there are no files, and then not for every command.
        import psutil

        seen = psutil.virtual_memory()
        return Memory(seen.total, seen.available, psutil.swap_memory().total)
    return Memory(
        total or 0, _meminfo_bytes(fields, "MemAvailable"), _meminfo_bytes(fields, "SwapTotal")
    )


def describe_userland(root: Path) -> Userland:
    """Return how this Python and the kernel below it fit."""
    # Linux 6.1 and later. Emulators of single programs change what uname says, but not this file.
    kernel = read_text(root / "proc/sys/kernel/arch") or platform.machine()
    # QEMU answers for this file itself: it is the emulated program, not the emulator.
    header = _elf_header(root / "proc/self/exe")
    if header is None:
        return Userland(struct.calcsize("P") * 8, _bits(kernel), emulated=False)
    bits, family = header
    emulated = None not in (family, _family(kernel)) and family != _family(kernel)
    return Userland(bits, _bits(kernel), emulated)


def describe_surroundings(root: Path) -> tuple[str, ...]:
    """Return what the system runs in, in words; empty where it seems to have the machine alone."""
    found = []
    if (root / ".dockerenv").exists():
        found.append("a Docker container")
    elif (root / "run/.containerenv").exists():
        found.append("a Podman container")
    elif kind := read_text(root / "run/systemd/container"):
        found.append(f"a container ({kind})")
    if "microsoft" in read_text(root / "proc/sys/kernel/osrelease").lower():
        found.append("Windows Subsystem for Linux")
    elif _is_virtual(root):
        found.append("a virtual machine")
    return tuple(found)


def _is_virtual(root: Path) -> bool:
    flags = first_value(key_values(read_text(root / "proc/cpuinfo"), ":"), "flags").split()
    return (
        "hypervisor" in flags or is_virtual_board(root) or (root / "sys/hypervisor/type").exists()
    )


def _meminfo_bytes(fields: dict[str, list[str]], key: str) -> int | None:
    number = first_value(fields, key).partition(" ")[0]
    return int(number) * _BYTES_PER_KIB if number.isdecimal() else None


def _elf_header(path: Path) -> tuple[int, str | None] | None:
    """Return the bits and the processor family of a program; ``None`` where it is not readable."""
    try:
        with open(path, "rb") as file:
            header = file.read(20)
    except OSError:
        return None
    if len(header) < 20 or not header.startswith(_ELF_MAGIC) or header[4] not in _ELF_BITS:
        return None
    machine = int.from_bytes(header[18:20], "little")
    return _ELF_BITS[header[4]], _ELF_FAMILIES.get(machine)


def _bits(architecture: str) -> int:
    return 64 if "64" in architecture or architecture == "s390x" else 32


def _family(architecture: str) -> str | None:
    if architecture.startswith(("aarch64", "arm")):
        return "arm"
    if architecture.startswith("x86") or architecture in ("i386", "i586", "i686", "amd64"):
        return "x86"
    return None

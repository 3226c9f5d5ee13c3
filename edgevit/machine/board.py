"""Which board or computer a machine is, from its device tree or its firmware."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevit.machine.files import first_value, key_values, read_bytes, read_text

_DEVICE_TREE = "proc/device-tree"
_DMI = "sys/class/dmi/id"
# What makers leave in the firmware of boards that have no name.
_DMI_PLACEHOLDERS = {
    "default string",
    "none",
    "not applicable",
    "not specified",
    "o.e.m.",
    "system manufacturer",
    "system product name",
    "to be filled by o.e.m.",
}

# Raspberry Pi's documentation of new-style revision codes: NOQuuuWuFMMMCCCCPPPPTTTTTTTTRRRR.
_NEW_STYLE_FLAG = 1 << 23
_MEMORY_MIB = {0: 256, 1: 512, 2: 1024, 3: 2048, 4: 4096, 5: 8192, 6: 16384}
_MANUFACTURERS = {
    0: "Sony UK",
    1: "Egoman",
    2: "Embest",
    3: "Sony Japan",
    4: "Embest",
    5: "Stadium",
}
_PROCESSORS = {0: "BCM2835", 1: "BCM2836", 2: "BCM2837", 3: "BCM2711", 4: "BCM2712"}
_MODELS = {
    0x00: "A",
    0x01: "B",
    0x02: "A+",
    0x03: "B+",
    0x04: "2B",
    0x05: "Alpha",
    0x06: "CM1",
    0x08: "3B",
    0x09: "Zero",
    0x0A: "CM3",
    0x0C: "Zero W",
    0x0D: "3B+",
    0x0E: "3A+",
    0x10: "CM3+",
    0x11: "4B",
    0x12: "Zero 2 W",
    0x13: "400",
    0x14: "CM4",
    0x15: "CM4S",
    0x17: "5",
    0x18: "CM5",
    0x19: "500",
    0x1A: "CM5 Lite",
}
_BYTES_PER_MIB = 1 << 20


@dataclass(frozen=True)
class PiRevision:
    """A Raspberry Pi's revision code and what it says.

    Attributes:
        code: Hexadecimal, such as ``c04170``. Of an old-style code, up to the first Compute
            Module, nothing else is known.
        model: Such as ``4B`` or ``Zero 2 W``; ``None`` where the code is old or unknown.
        board_revision: Such as ``1.2``.
        memory_bytes: Fitted to the board; the system sees less.
        processor: Such as ``BCM2711``.
        manufacturer: Who made the board.
    """

    code: str
    model: str | None = None
    board_revision: str | None = None
    memory_bytes: int | None = None
    processor: str | None = None
    manufacturer: str | None = None


def decode_revision(code: int) -> PiRevision:
    """Decode a Raspberry Pi's revision code."""
    text = f"{code:04x}"
    if not code & _NEW_STYLE_FLAG:
        return PiRevision(text)
    memory_mib = _MEMORY_MIB.get(code >> 20 & 0x7)
    return PiRevision(
        code=text,
        model=_MODELS.get(code >> 4 & 0xFF),
        board_revision=f"1.{code & 0xF}",
        memory_bytes=None if memory_mib is None else memory_mib * _BYTES_PER_MIB,
        processor=_PROCESSORS.get(code >> 12 & 0xF),
        manufacturer=_MANUFACTURERS.get(code >> 16 & 0xF),
    )


def board_name(root: Path) -> str | None:
    """Return the name of the board or computer, ``None`` where nothing names it."""
    model = read_text(root / _DEVICE_TREE / "model")
    # Containers hide the device tree, and Raspberry Pi's kernels repeat its model here.
    return model or _pi_model_in_cpuinfo(root) or _dmi_name(root)


def pi_revision(root: Path) -> PiRevision | None:
    """Return a Raspberry Pi's revision; ``None`` on other boards, whose codes mean other things."""
    name = board_name(root) or ""
    if not name.startswith("Raspberry Pi") and "raspberrypi," not in _compatible(root):
        return None
    code = int.from_bytes(read_bytes(root / _DEVICE_TREE / "system/linux,revision")[:4], "big")
    if code == 0:
        text = first_value(key_values(read_text(root / "proc/cpuinfo"), ":"), "Revision")
        try:
            code = int(text, 16)
        except ValueError:
            return None
    return decode_revision(code)


def soc_name(root: Path) -> str | None:
    """Return the system on a chip, such as ``brcm,bcm2712``; ``None`` where nothing names it."""
    # From the board to what it is compatible with: the chip comes last.
    if compatible := _compatible(root):
        return compatible.split("\0")[-1]
    soc = root / "sys/devices/soc0"
    names = (read_text(soc / name) for name in ("family", "machine", "soc_id"))
    return " ".join(dict.fromkeys(name for name in names if name)) or None


def power_supply_ma(root: Path) -> int | None:
    """Return the milliamperes that a Pi 5's power supply promised; ``None`` on other boards."""
    promised = read_bytes(root / _DEVICE_TREE / "chosen/power/max_current")
    return int.from_bytes(promised, "big") or None if len(promised) == 4 else None


def is_virtual_board(root: Path) -> bool:
    """Return whether the device tree is that of a virtual machine."""
    node = root / _DEVICE_TREE / "hypervisor/compatible"
    return "linux,dummy-virt" in _compatible(root) or bool(read_bytes(node))


def _compatible(root: Path) -> str:
    return read_text(root / _DEVICE_TREE / "compatible")


def _pi_model_in_cpuinfo(root: Path) -> str:
    model = first_value(key_values(read_text(root / "proc/cpuinfo"), ":"), "Model")
    return model if model.startswith("Raspberry Pi") else ""


def _dmi_name(root: Path) -> str | None:
    for maker, product in (("sys_vendor", "product_name"), ("board_vendor", "board_name")):
        names = (read_text(root / _DMI / name) for name in (maker, product))
        if all(known := [name if _is_name(name) else "" for name in names]):
            return " ".join(known)
    return None


def _is_name(text: str) -> bool:
    return text.lower() not in _DMI_PLACEHOLDERS

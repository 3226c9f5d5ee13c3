"""The targets that ``edgevit bench --target`` knows."""

from __future__ import annotations

from edgevit.bench.targets.accelerators import AcceleratorTarget
from edgevit.bench.targets.base import Target
from edgevit.bench.targets.cpu import CpuTarget
from edgevit.bench.targets.pi import PiTarget
from edgevit.machine import Machine, is_raspberry_pi
from edgevit.registry import Registry

_ENTRIES: tuple[Target, ...] = (
    CpuTarget(),
    PiTarget(),
    AcceleratorTarget("npu"),
    AcceleratorTarget("gpu"),
)
TARGETS: Registry[Target] = Registry("target", _ENTRIES)
AUTO = "auto"


def resolve(name: str, machine: Machine) -> Target:
    """Return the target of a name; ``auto`` is ``pi`` on a Raspberry Pi and ``cpu`` elsewhere.

    Raises:
        InputError: listing the valid names.
    """
    if name == AUTO:
        return TARGETS.get("pi" if is_raspberry_pi(machine) else "cpu")
    return TARGETS.get(name)

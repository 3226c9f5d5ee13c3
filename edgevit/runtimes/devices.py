"""What every runtime says about devices in the same words."""

from __future__ import annotations

from collections.abc import Mapping

from edgevit.runtimes.base import Availability, Device, DeviceKind, DeviceSupport


def not_installed(
    kind: DeviceKind, name: str, availability: Availability
) -> tuple[DeviceSupport, ...]:
    """Say that a device is absent because its runtime is.

    Args:
        kind: Of the device.
        name: What the runtime calls such a device.
        availability: Of the runtime, which is not installed.
    """
    absent = f"{availability.package} is not installed: {availability.remedy}"
    return (DeviceSupport(Device(kind, name), absent),)


def share_of(parts: Mapping[str, float], name: str) -> float | None:
    """Return one part of the sum of all, 0–1; ``None`` where nothing was counted."""
    total = sum(parts.values())
    return parts.get(name, 0) / total if total else None

"""The processor of any machine."""

from __future__ import annotations

from pathlib import Path

from edgevit.bench.targets.base import PublishedLatency, accelerator_notes, usable_cores
from edgevit.machine import Machine
from edgevit.runtimes.base import CPU_DEVICE, DeviceSupport, Runtime


class CpuTarget:
    """Measures on the CPU, with one thread and with all cores."""

    name = "cpu"

    def check(self, machine: Machine) -> None:
        """Accept every machine."""

    def default_threads(self, machine: Machine) -> tuple[int, ...]:
        """Return 1 and the number of cores."""
        return tuple(sorted({1, usable_cores(machine)}))

    def devices(self, runtime: Runtime, delegate: Path | None) -> tuple[DeviceSupport, ...]:
        """Return the CPU, whatever the delegate."""
        return (DeviceSupport(CPU_DEVICE, ""),)

    def notes(self, machine: Machine) -> tuple[str, ...]:
        """Say which accelerators were left aside."""
        return accelerator_notes(machine)

    def expected_latency_ms(
        self, machine: Machine, model: str, precision: str
    ) -> PublishedLatency | None:
        """Return nothing: processors differ too much."""
        return None

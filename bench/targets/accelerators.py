"""NPUs and GPUs, through whatever each runtime has for them."""

from __future__ import annotations

from pathlib import Path

from edgevit.bench.targets.base import PublishedLatency, usable_cores
from edgevit.machine import Machine
from edgevit.runtimes.base import DeviceKind, DeviceSupport, Runtime

# What the system calls an accelerator, by the target that measures it.
_SEEN_AS = {"npu": ("npu", "edge-tpu"), "gpu": ("gpu",)}


class AcceleratorTarget:
    """Measures on every accelerator of a kind that a runtime has.

    Args:
        kind: ``npu`` or ``gpu``, which is also the name.
    """

    def __init__(self, kind: DeviceKind) -> None:
        self._kind = kind

    @property
    def name(self) -> str:
        """``npu`` or ``gpu``."""
        return self._kind

    def check(self, machine: Machine) -> None:
        """Accept every machine: what a runtime finds absent is a row of the result."""

    def default_threads(self, machine: Machine) -> tuple[int, ...]:
        """Return the number of cores: threads only matter to the ops that are left to the CPU."""
        return (usable_cores(machine),)

    def devices(self, runtime: Runtime, delegate: Path | None) -> tuple[DeviceSupport, ...]:
        """Return the runtime's accelerators, or why it has none."""
        return runtime.devices(self._kind, delegate)

    def notes(self, machine: Machine) -> tuple[str, ...]:
        """Say what the system lists, which need not be what a runtime can use."""
        seen = [item.name for item in machine.accelerators if item.kind in _SEEN_AS[self._kind]]
        if not seen:
            return (f"the system lists no {self._kind.upper()}; a runtime may still know one",)
        return (f"the system lists {', '.join(seen)}",)

    def expected_latency_ms(
        self, machine: Machine, model: str, precision: str
    ) -> PublishedLatency | None:
        """Return nothing: none is known."""
        return None

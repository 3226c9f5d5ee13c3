"""The seam between a benchmark and what it is pointed at.

A target says which devices of a runtime it means, with how many threads they are measured, and what
must be known about the machine. Adding one is a file with these members and one line in
:mod:`edgevit.bench.targets.registry`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgevit.machine import Machine, cpu_affinity
from edgevit.runtimes.base import DeviceSupport, Runtime


@dataclass(frozen=True)
class PublishedLatency:
    """A latency that others measured with software of their own: for orientation, never ours.

    Attributes:
        latency_ms: One inference, milliseconds.
        source: Who published it, and of what.
    """

    latency_ms: float
    source: str


class Target(Protocol):
    """What a benchmark is pointed at."""

    @property
    def name(self) -> str:
        """As a user types it."""

    def check(self, machine: Machine) -> None:
        """Check that a machine can be this target.

        Raises:
            InputError: if it cannot.
        """

    def default_threads(self, machine: Machine) -> tuple[int, ...]:
        """Return the numbers of threads that are measured if none are asked for, each once."""

    def devices(self, runtime: Runtime, delegate: Path | None) -> tuple[DeviceSupport, ...]:
        """Return a runtime's devices that this target means; at least one, maybe absent.

        Args:
            runtime: Which would run the model.
            delegate: A library that brings an accelerator.
        """

    def notes(self, machine: Machine) -> tuple[str, ...]:
        """Return what must be known about the machine, a sentence each, without a full stop."""

    def expected_latency_ms(
        self, machine: Machine, model: str, precision: str
    ) -> PublishedLatency | None:
        """Return what others published for this machine; ``None`` where nothing is known.

        Args:
            machine: The device.
            model: Such as ``vgg16``.
            precision: Such as ``int8``.
        """


def usable_cores(machine: Machine) -> int:
    """Return how many cores a model can keep busy: no hardware threads, none that are forbidden."""
    cores = machine.cpu.physical_cores or machine.cpu.logical_cores
    return min(cores, len(cpu_affinity()) or cores)


def accelerator_notes(machine: Machine) -> tuple[str, ...]:
    """Say which target measures each accelerator that was seen."""
    targets = {"gpu": "gpu", "npu": "npu", "edge-tpu": "npu"}
    return tuple(
        f"{seen.name} is here: --target {targets[seen.kind]} measures it"
        for seen in machine.accelerators
    )

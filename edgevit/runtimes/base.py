"""The seam between edgevit and whatever runs a model.

A runtime says whether it can run here, and opens a model as a :class:`Session`. Timing, accuracy
and printing live elsewhere and are the same for every runtime: a session only supplies
:meth:`Session.invoke`. Adding a runtime is one file with these members and one line in
:mod:`edgevit.runtimes.registry`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from edgevit.errors import InputError
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels


@dataclass(frozen=True)
class Availability:
    """Whether a runtime can run here.

    Attributes:
        package: The distribution that provides it, with its version where it is installed.
        available: True if a model can be opened.
        remedy: The command that installs it; empty where it is available.
    """

    package: str
    version: str | None
    remedy: str

    @property
    def available(self) -> bool:
        """True if a model can be opened."""
        return self.version is not None


@dataclass(frozen=True)
class Placement:
    """Where a model's ops run.

    Attributes:
        summary: In words, for people.
        ops: Number of ops by where they run, such as ``{"XNNPACK": 210, "CPU kernels": 2}``.
        partitions: Number of delegated partitions; one is best, 0 where nothing is delegated.
    """

    summary: str
    ops: dict[str, int]
    partitions: int


DeviceKind = Literal["cpu", "gpu", "npu"]


@dataclass(frozen=True)
class Device:
    """Where a session shall compute.

    Attributes:
        name: The runtime's own word: ``CPU``, ``GPU.0``, ``CUDAExecutionProvider``, or the path of
            a delegate's library.
    """

    kind: DeviceKind
    name: str

    def __str__(self) -> str:
        return "cpu" if self.kind == "cpu" else f"{self.kind} {self.name}"


CPU_DEVICE = Device("cpu", "CPU")


@dataclass(frozen=True)
class DeviceSupport:
    """A device that a runtime knows of.

    Attributes:
        absent: Why it cannot be used here; empty where it can.
    """

    device: Device
    absent: str


@dataclass(frozen=True)
class AcceleratorUse:
    """How much of a model an accelerator really computes, and whether its answers are right.

    Attributes:
        device: As asked for.
        ops_share: Ops on the accelerator, 0–1; ``None`` where the runtime does not say.
        time_share: Share of the time of all ops that was spent on it, 0–1, from a profiled,
            untimed pass; ``None`` where the runtime does not say.
        compared_count: Photos whose answers were compared with the CPU's before anything was timed.
        agreement: Share of them with the CPU's top-1 label, 0–1.
        max_abs_difference: Largest difference of a probability.
        detail: Where each kind of op ran, in words.
    """

    device: str
    ops_share: float | None
    time_share: float | None
    compared_count: int
    agreement: float
    max_abs_difference: float
    detail: str


@dataclass(frozen=True)
class Port:
    """An input or output of a model file, as its runtime states it.

    Attributes:
        dtype: NumPy name; the runtime's own word where NumPy has none.
        shape: With the batch dimension; what is not fixed is no integer.
    """

    dtype: str
    shape: tuple[object, ...]


def check_classifier(
    name: str,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    *,
    format_name: str,
    pixel_dtypes: Collection[str] = ("uint8",),
    score_dtypes: Collection[str] = ("float32",),
) -> None:
    """Check that a file is a classifier of pixels.

    Raises:
        InputError: if it does not take ``uint8 [1, height, width, 3]`` (or another of
            ``pixel_dtypes``), or does not return ``float32 [1, classes]`` (or another of
            ``score_dtypes``).
    """
    remedy = f"Export the model with edgevit: edgevit export RUN --format {format_name}"
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            f"{name} has {len(inputs)} inputs and {len(outputs)} outputs, one of each is needed",
            remedy,
        )
    taken, given = inputs[0].shape, outputs[0].shape
    if (
        inputs[0].dtype not in pixel_dtypes
        or len(taken) != 4
        or (taken[0], taken[3]) != (1, 3)
        or not all(isinstance(size, int) for size in taken)
    ):
        raise InputError(
            f"{name} takes {inputs[0].dtype} {list(taken)}, pixels are uint8 [1, height, width, 3]",
            remedy,
        )
    if outputs[0].dtype not in score_dtypes or len(given) != 2 or given[0] != 1:
        raise InputError(
            f"{name} returns {outputs[0].dtype} {list(given)}, probabilities are "
            "float32 [1, classes]",
            remedy,
        )


class Session(Protocol):
    """An opened model."""

    def invoke(self, pixels: Pixels) -> Scores:
        """Run one image.

        Args:
            pixels: ``uint8 [1, height, width, 3]``, RGB.

        Returns:
            Probabilities, ``float32 [1, classes]``. The array may be reused by the next call:
            copy what is kept.
        """

    def placement(self) -> Placement:
        """Say where the ops run."""


class Runtime(Protocol):
    """A program that runs model files of one format."""

    @property
    def name(self) -> str:
        """The format it runs, which is also its registry name."""

    def availability(self) -> Availability:
        """Say whether it can run here, without importing it in full."""

    def preload(self) -> None:
        """Import what :meth:`open` imports, so that the two can be timed apart.

        Raises:
            MissingDependencyError: naming the command that installs the runtime.
        """

    def open(self, path: Path, threads: int, device: Device = CPU_DEVICE) -> Session:
        """Open a model file (for ``keras``: a run's folder).

        Args:
            path: The file.
            threads: Of the CPU.
            device: Where to compute; one of :meth:`devices`.

        Raises:
            MissingDependencyError: naming the command that installs the runtime.
            InputError: if the file cannot be loaded, or the device cannot be used.
        """

    def devices(self, kind: DeviceKind, delegate: Path | None) -> tuple[DeviceSupport, ...]:
        """Say which devices of a kind there are; at least one, absent with the reason if need be.

        Args:
            kind: Of the devices.
            delegate: A library that brings one, where the runtime takes such.
        """

    def accelerator_share(
        self, path: Path, threads: int, device: Device, pixels: Pixels
    ) -> tuple[float | None, float | None, str]:
        """Say how much of a model a device computes, from a profiled pass that is not timed.

        Args:
            path: As for :meth:`open`.
            threads: As for :meth:`open`.
            device: As for :meth:`open`.
            pixels: Photos to run, ``uint8 [n, height, width, 3]``, at least one.

        Returns:
            Share of the ops, 0–1, and of their time; ``None`` where the runtime does not say. And
            where they ran, in words.

        Raises:
            MissingDependencyError: as :meth:`open`.
            InputError: as :meth:`open`.
        """

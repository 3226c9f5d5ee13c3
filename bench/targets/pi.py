"""Raspberry Pis: what to expect of each model, and what spoils its times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevit.bench.targets.base import PublishedLatency, accelerator_notes, usable_cores
from edgevit.errors import InputError
from edgevit.machine import Machine, is_raspberry_pi
from edgevit.runtimes.base import CPU_DEVICE, DeviceSupport, Runtime

_NAME = "Raspberry Pi"
# All models, says Raspberry Pi's documentation: slower from the first, everything from the second.
_THROTTLE_C, _LIMIT_C = 80, 85
_NCNN = "ncnn's benchmark page, its own runtime, 4 threads, fastest run"


@dataclass(frozen=True)
class PiModel:
    """What a Raspberry Pi is made of.

    Attributes:
        board: How its device tree names it, from the start.
        soc: System on a chip.
        core: Kind of its cores.
        core_count: Cores.
        clock_ghz: Highest clock as delivered, gigahertz.
        has_dot_products: Whether a core multiplies int8 four at a time (``asimddp``).
        cooling: Advice.
        has_64_bit: Whether a 64-bit system runs on it.
    """

    board: str
    soc: str
    core: str
    core_count: int
    clock_ghz: float
    has_dot_products: bool
    cooling: str
    has_64_bit: bool = True


_ACTIVE_COOLER = "fit the Active Cooler for runs of minutes on all cores"
_FAN = "fit a heat sink and a fan for runs of minutes on all cores"
_CASE = "its case cools it; keep the keyboard uncovered"
_CARRIER = "how it is cooled is up to its carrier board: a heat sink at the least"
_SOFT_LIMIT = "its clock falls from 1.4 to 1.2 GHz at 60 °C already (temp_soft_limit)"
_SMALL = "fit a heat sink; it is as small as its chip"
_NONE_NEEDED = "it needs no heat sink"

# Of models whose names begin alike the longer name comes first.
PI_MODELS: tuple[PiModel, ...] = (
    PiModel("Raspberry Pi 5 ", "BCM2712", "Cortex-A76", 4, 2.4, True, _ACTIVE_COOLER),
    PiModel("Raspberry Pi 500", "BCM2712", "Cortex-A76", 4, 2.4, True, _CASE),
    PiModel("Raspberry Pi Compute Module 5", "BCM2712", "Cortex-A76", 4, 2.4, True, _CARRIER),
    PiModel("Raspberry Pi 4 Model B", "BCM2711", "Cortex-A72", 4, 1.8, False, _FAN),
    PiModel("Raspberry Pi 400", "BCM2711", "Cortex-A72", 4, 1.8, False, _CASE),
    PiModel("Raspberry Pi Compute Module 4", "BCM2711", "Cortex-A72", 4, 1.5, False, _CARRIER),
    PiModel("Raspberry Pi 3 Model B Plus", "BCM2837B0", "Cortex-A53", 4, 1.4, False, _SOFT_LIMIT),
    PiModel("Raspberry Pi 3 Model A Plus", "BCM2837B0", "Cortex-A53", 4, 1.4, False, _SOFT_LIMIT),
    PiModel("Raspberry Pi 3 Model B", "BCM2837", "Cortex-A53", 4, 1.2, False, _FAN),
    PiModel("Raspberry Pi Compute Module 3", "BCM2837", "Cortex-A53", 4, 1.2, False, _CARRIER),
    PiModel("Raspberry Pi Zero 2", "BCM2710A1", "Cortex-A53", 4, 1.0, False, _SMALL),
    PiModel("Raspberry Pi 2", "BCM2836", "Cortex-A7", 4, 0.9, False, _NONE_NEEDED, False),
    PiModel("Raspberry Pi Zero", "BCM2835", "ARM1176", 1, 1.0, False, _NONE_NEEDED, False),
    PiModel("Raspberry Pi Model", "BCM2835", "ARM1176", 1, 0.7, False, _NONE_NEEDED, False),
)

# (chip, model, precision): milliseconds, and what ncnn calls the network.
_PUBLISHED = {
    ("BCM2712", "vgg16", "fp32"): (128.0, "VGG16"),
    ("BCM2712", "vgg16", "int8"): (106.0, "VGG16 in int8"),
    ("BCM2712", "vit-b32", "fp32"): (601.0, "a vision transformer at 384×384 pixels"),
    ("BCM2711", "vgg16", "fp32"): (542.0, "VGG16"),
    ("BCM2711", "vgg16", "int8"): (391.0, "VGG16 in int8"),
    ("BCM2711", "vit-b32", "fp32"): (1872.0, "a vision transformer at 384×384 pixels"),
}
_PUBLISHED_BOARDS = ("Raspberry Pi 5 ", "Raspberry Pi 4 Model B")


def find_model(board: str | None) -> PiModel | None:
    """Return the model of a board's name; ``None`` of other boards and of models still to come."""
    name = f"{board or ''} "
    return next((model for model in PI_MODELS if name.startswith(model.board)), None)


class PiTarget:
    """Measures on a Raspberry Pi's processor, with one thread and with all cores."""

    name = "pi"

    def check(self, machine: Machine) -> None:
        """Check that the machine is a Raspberry Pi.

        Raises:
            InputError: naming the board, or saying that none is named.
        """
        if is_raspberry_pi(machine):
            return
        found = f"this is a {machine.board}" if machine.board else "no board names itself here"
        raise InputError(f"--target pi needs a {_NAME}, {found}", "Choose --target cpu")

    def default_threads(self, machine: Machine) -> tuple[int, ...]:
        """Return 1 and the number of cores, which is 4 on every Pi that is worth measuring."""
        return tuple(sorted({1, usable_cores(machine)}))

    def devices(self, runtime: Runtime, delegate: Path | None) -> tuple[DeviceSupport, ...]:
        """Return the CPU: no runtime computes on a Pi's own GPU."""
        return (DeviceSupport(CPU_DEVICE, ""),)

    def notes(self, machine: Machine) -> tuple[str, ...]:
        """Say what to expect of this model, and what slows it down."""
        model = find_model(machine.board)
        known = _model_notes(model) if model is not None else _unknown_notes(machine)
        return (*known, *_system_notes(machine, model), *accelerator_notes(machine))

    def expected_latency_ms(
        self, machine: Machine, model: str, precision: str
    ) -> PublishedLatency | None:
        """Return what ncnn published for its own runtime on this model of Pi."""
        pi = find_model(machine.board)
        if pi is None or pi.board not in _PUBLISHED_BOARDS:
            return None
        found = _PUBLISHED.get((pi.soc, model, precision))
        if found is None:
            return None
        latency_ms, network = found
        return PublishedLatency(latency_ms, f"{_NCNN}: {network} on a {pi.board.strip()}")


def _model_notes(model: PiModel) -> tuple[str, ...]:
    cores = f"{model.core_count} × {model.core}" if model.core_count > 1 else model.core
    dots = (
        "with int8 dot products (asimddp), so int8 gains much"
        if model.has_dot_products
        else "without int8 dot products (asimddp), so int8 gains less than on a Pi 5"
    )
    return (
        f"{model.board.strip()}: {model.soc}, {cores} at up to {model.clock_ghz:g} GHz, {dots}",
        f"cooling: {model.cooling}; every Pi slows down at {_THROTTLE_C} °C, and more at "
        f"{_LIMIT_C} °C",
    )


def _unknown_notes(machine: Machine) -> tuple[str, ...]:
    return (
        f"{machine.board or _NAME} is not among the models that edgevit knows: nothing is expected",
        f"every Pi slows down at {_THROTTLE_C} °C, and more at {_LIMIT_C} °C",
    )


def _system_notes(machine: Machine, model: PiModel | None) -> tuple[str, ...]:
    if model is not None and model.core == "ARM1176":
        return ("no runtime has a wheel for ARMv6: nothing can be measured here",)
    if machine.userland_bits != 32:
        return ()
    change = (
        "; a 64-bit system runs ai-edge-litert, ONNX Runtime and OpenVINO too, and faster"
        if model is None or model.has_64_bit
        else ""
    )
    return (f"this is a 32-bit system, for which only tflite-runtime 2.14 has a wheel{change}",)

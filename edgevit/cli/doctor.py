"""``edgevit doctor``: what this machine has and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgevit.machine import ClockDomain, Machine

_BYTES_PER_GIB = 1 << 30


@dataclass(frozen=True)
class Component:
    """A runtime or a library.

    Attributes:
        name: As edgevit (a runtime) or the registry (a library) calls it.
        package: The distribution that provides it.
        version: ``None`` where it is not installed.
        remedy: The command that installs it; empty where it is installed.
    """

    name: str
    package: str
    version: str | None
    remedy: str


@dataclass(frozen=True)
class DoctorReport:
    """All that ``edgevit doctor`` says."""

    edgevit: str
    machine: Machine
    runtimes: tuple[Component, ...]
    libraries: tuple[Component, ...]


@click.command(short_help="Say what this machine has and what is missing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Say what this machine has and what is missing.

    Nothing is installed, changed or sent. Paste the output into a bug report.

    \b
    Examples:
      edgevit doctor
      edgevit doctor --json > doctor.json
    """
    import json

    from edgevit import documents

    report = build_report()
    if as_json:
        click.echo(json.dumps(documents.encode(report), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(render(report)))


def build_report() -> DoctorReport:
    """Look at this machine without importing any framework."""
    from edgevit import __version__
    from edgevit.machine import LIBRARIES, VARIANTS, describe_machine, installed_versions
    from edgevit.runtimes.registry import RUNTIMES

    versions = installed_versions()
    runtimes = []
    for runtime in RUNTIMES:
        found = runtime.availability()
        runtimes.append(Component(runtime.name, found.package, found.version, found.remedy))
    libraries = []
    for name, extra in LIBRARIES.items():
        if name in VARIANTS and name not in versions:
            continue
        install = f"pip install 'edgevit[{extra}]'" if extra else "pip install edgevit"
        remedy = "" if name in versions else install
        libraries.append(Component(name, name, versions.get(name), remedy))
    return DoctorReport(__version__, describe_machine(), tuple(runtimes), tuple(libraries))


def render(report: DoctorReport) -> list[str]:
    """Return the report as lines of plain text."""
    return [
        f"edgevit {report.edgevit}",
        "",
        "Machine",
        *_machine_lines(report.machine),
        "",
        "Runtimes",
        *map(_component_line, report.runtimes),
        "",
        "Libraries",
        *map(_component_line, report.libraries),
    ]


def _machine_lines(machine: Machine) -> list[str]:
    cpu = machine.cpu
    physical = "" if cpu.physical_cores is None else f"{cpu.physical_cores} physical, "
    have = " ".join(name for name, present in cpu.features.items() if present)
    lack = " ".join(name for name, present in cpu.features.items() if not present)
    seen = [f"{accelerator.kind}: {accelerator.name}" for accelerator in machine.accelerators]
    lines = {
        "board": machine.board,
        "revision": _revision(machine),
        "chip": machine.soc,
        "system": f"{machine.system}, {machine.architecture}",
        "userland": _userland(machine),
        "runs in": ", ".join(machine.runs_in) or None,
        "python": machine.python,
        "processor": cpu.model,
        "cores": f"{physical}{cpu.logical_cores} logical",
        "features": have or "none known",
        "without": lack or None,
        "governor": cpu.governor,
        "clocks": "; ".join(map(_clock, cpu.clocks)) or None,
        "temperature": _with_unit(machine.temperature_c, "°C"),
        "throttling": _throttling(machine),
        "power supply": _with_unit(machine.power_supply_ma, "mA"),
        "memory": _memory(machine),
        "accelerators": "; ".join(seen) or "none seen",
    }
    return [f"  {name:<17} {value}" for name, value in lines.items() if value is not None]


def _with_unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:g} {unit}"


def _revision(machine: Machine) -> str | None:
    revision = machine.revision
    if revision is None:
        return None
    memory = None if revision.memory_bytes is None else f"{_gib(revision.memory_bytes)} fitted"
    facts = (revision.model, revision.board_revision, revision.processor, memory)
    known = ", ".join(fact for fact in (*facts, revision.manufacturer) if fact)
    return f"{revision.code} ({known})" if known else revision.code


def _userland(machine: Machine) -> str | None:
    if machine.emulated:
        return "emulated: times measured here are not those of a device"
    if machine.is_mixed:
        return "32-bit on a 64-bit kernel: most runtimes need a 64-bit system"
    return None


def _clock(clocks: ClockDomain) -> str:
    limits = f"{_megahertz(clocks.min_mhz)}–{_megahertz(clocks.max_mhz)} MHz"
    if clocks.hardware_max_mhz is not None and clocks.hardware_max_mhz != clocks.max_mhz:
        limits += f" (limited, the hardware has {_megahertz(clocks.hardware_max_mhz)})"
    return f"{limits} on cores {clocks.cores}, now {_megahertz(clocks.current_mhz)}"


def _megahertz(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}"


def _throttling(machine: Machine) -> str | None:
    from edgevit.machine import decode_throttled

    if machine.throttled is None:
        return None
    return ", ".join(decode_throttled(machine.throttled)) or "none seen"


def _memory(machine: Machine) -> str:
    if not machine.memory_bytes:
        return "unknown"
    text = _gib(machine.memory_bytes)
    if machine.memory_available_bytes is not None:
        text += f", {_gib(machine.memory_available_bytes)} available"
    if machine.swap_bytes is not None:
        text += f", {_gib(machine.swap_bytes)} swap" if machine.swap_bytes else ", no swap"
    return text


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / _BYTES_PER_GIB:.1f} GiB"


def _component_line(component: Component) -> str:
    if component.version is None:
        state = f"not installed: {component.remedy}"
    elif component.package == component.name:
        state = component.version
    else:
        state = f"{component.package} {component.version}"
    return f"  {component.name:<17} {state}"

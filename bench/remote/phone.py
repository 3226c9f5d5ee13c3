"""An Android phone behind ``adb``: commands, files, what it is and how warm it is."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgevit.bench.result import ConditionSample
from edgevit.errors import EdgevitError, InputError, MissingDependencyError
from edgevit.machine import Machine
from edgevit.machine.cpu import describe_cpu
from edgevit.machine.system import describe_memory

# For a command that answers at once, and for a large model over slow USB.
SHELL_SECONDS = 60.0
PUSH_SECONDS = 600.0

_EXIT_MARK = "edgevit-exit="
_NO_PHONE_REMEDY = "Plug it in, switch on USB debugging, and see: adb devices"
_FILE_MARK = "edgevit-file "
_BATTERY_MARK = "edgevit-battery"
_PROPERTIES = (
    "ro.product.cpu.abi",
    "ro.build.version.release",
    "ro.product.manufacturer",
    "ro.product.model",
    "ro.soc.manufacturer",
    "ro.soc.model",
    "ro.board.platform",
)
_CPU_FOLDER = "/sys/devices/system/cpu"
_DESCRIBING_FILES = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    f"{_CPU_FOLDER}/online",
    *(
        f"{_CPU_FOLDER}/cpufreq/policy*/{name}"
        for name in (
            "related_cpus",
            "affected_cpus",
            "scaling_governor",
            "scaling_min_freq",
            "scaling_max_freq",
            "scaling_cur_freq",
            "cpuinfo_max_freq",
        )
    ),
)
# Of android.os.PowerManager, by the number that `dumpsys thermalservice` prints.
_THERMAL_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
_TEMPERATURE = re.compile(r"Temperature\{mValue=(-?[\d.]+), mType=(\d+),")
_TYPE_CPU = "0"
_TENTHS_PER_DEGREE = 10.0


class PhoneLostError(EdgevitError):
    """The phone no longer answers."""

    exit_code = 1


@dataclass(frozen=True)
class Answer:
    """What a command on the phone printed, both streams, and its exit code."""

    output: str
    code: int


@dataclass(frozen=True)
class Heat:
    """How warm a phone is.

    Attributes:
        cpu_c: Warmest sensor of the processor, degrees Celsius; ``None`` where unknown.
        battery_c: Degrees Celsius; ``None`` where unknown.
        status: Android's thermal status, 0 for none; ``None`` before Android 10.
        charging: From what, such as ``USB``; empty where it is not.
    """

    cpu_c: float | None
    battery_c: float | None
    status: int | None
    charging: str

    @property
    def throttling(self) -> tuple[str, ...]:
        """What Android says about it, in words; empty while all is well."""
        if not self.status:
            return ()
        known = self.status < len(_THERMAL_STATUS)
        name = _THERMAL_STATUS[self.status] if known else "unknown"
        return (f"Android's thermal status {self.status} ({name})",)

    def sample(self, seconds: float) -> ConditionSample:
        """Return it as a sample, that many seconds after a row began."""
        return ConditionSample(seconds, self.cpu_c, clock_mhz=None, throttled=None)


@dataclass(frozen=True)
class Phone:
    """A phone that adb may use."""

    adb: str
    serial: str

    @classmethod
    def find(cls, adb: str, serial: str | None) -> Phone:
        """Find the one that is connected, or the one of that serial number.

        Raises:
            MissingDependencyError: if there is no adb.
            InputError: if there is no such phone, a choice to make, or it lets nobody in.
        """
        states = _connected(adb)
        known = ", ".join(states) or "none"
        if serial is None and len(states) > 1:
            raise InputError(f"adb sees {len(states)} phones: {known}", "Choose one: --serial NAME")
        if not states:
            raise InputError("adb sees no phone", _NO_PHONE_REMEDY)
        chosen = next(iter(states)) if serial is None else serial
        if chosen not in states:
            raise InputError(f"adb sees no phone {chosen!r}, but: {known}", _NO_PHONE_REMEDY)
        state = states[chosen]
        if state == "unauthorized":
            raise InputError(
                f"the phone {chosen} has not allowed this computer to debug it",
                "Unlock it and accept the question on its screen",
            )
        if state != "device":
            raise InputError(f"the phone {chosen} is not ready: {state}", "Plug it in again")
        return cls(adb, chosen)

    def shell(self, command: str, seconds: float = SHELL_SECONDS) -> Answer:
        """Run a command.

        Args:
            command: For the phone's ``sh``, quoted.
            seconds: How long it may take.

        Raises:
            PhoneLostError: if the phone went away meanwhile.
        """
        # Not every phone's adb passes the exit code on.
        whole = f'( {command} ) 2>&1; echo "{_EXIT_MARK}$?"'
        done = self._run(["shell", whole], seconds)
        output, mark, code = done.stdout.replace("\r\n", "\n").rpartition(_EXIT_MARK)
        if not mark or not code.strip().isdecimal():
            raise self._lost(done.stderr or done.stdout)
        return Answer(output, int(code))

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the phone.

        Raises:
            PhoneLostError: if the phone went away meanwhile.
            InputError: if it cannot be written there.
        """
        done = self._run(["push", str(local), remote], PUSH_SECONDS)
        if done.returncode == 0:
            return
        reason = _last_line(done.stderr or done.stdout)
        if "No space left" in reason or "ermission denied" in reason:
            raise InputError(f"{local.name} cannot be copied to the phone: {reason}")
        raise self._lost(reason)

    def properties(self) -> list[str]:
        """Return the :data:`_PROPERTIES` in order; empty where one is not set."""
        command = "; ".join(f"getprop {name}" for name in _PROPERTIES)
        values = [line.strip() for line in self.shell(command).output.split("\n")]
        return [*values, *[""] * len(_PROPERTIES)][: len(_PROPERTIES)]

    def describe(self) -> Machine:
        """Say what the phone is, from its properties and from the kernel's files."""
        abi, release, maker, model, soc_maker, soc, platform = self.properties()
        kernel = self.shell("uname -r").output.strip()
        with tempfile.TemporaryDirectory(prefix="edgevit-") as folder:
            root = Path(folder)
            self._copy_describing_files(root)
            cpu, memory = describe_cpu(root), describe_memory(root)
        return Machine(
            system=f"Android {release} (Linux {kernel})",
            architecture=abi,
            python="none",
            cpu=cpu,
            memory_bytes=memory.total_bytes,
            board=f"{maker} {model}".strip() or None,
            accelerators=(),
            soc=f"{soc_maker} {soc or platform}".strip() or None,
            memory_available_bytes=memory.available_bytes,
            swap_bytes=memory.swap_bytes,
        )

    def heat(self) -> Heat:
        """Ask how warm it is, and what charges it."""
        command = f"dumpsys thermalservice; echo {_BATTERY_MARK}; dumpsys battery"
        thermal, _, battery = self.shell(command).output.partition(_BATTERY_MARK)
        status = re.search(r"^\s*Thermal Status: (\d+)", thermal, re.MULTILINE)
        # The cached values above this line may be old.
        _, _, current = thermal.partition("Current temperatures from HAL:")
        warm = [
            float(value)
            for value, kind in _TEMPERATURE.findall(current)
            if kind == _TYPE_CPU and float(value) > 0
        ]
        tenths = re.search(r"^\s*temperature: (-?\d+)", battery, re.MULTILINE)
        return Heat(
            cpu_c=max(warm, default=None),
            battery_c=int(tenths[1]) / _TENTHS_PER_DEGREE if tenths else None,
            status=int(status[1]) if status else None,
            charging=", ".join(re.findall(r"^\s*(\w+) powered: true", battery, re.MULTILINE)),
        )

    def _copy_describing_files(self, root: Path) -> None:
        """Copy files that say what the processor is to the same places below ``root``."""
        command = (
            f"for file in {' '.join(_DESCRIBING_FILES)}; do "
            f'[ -r "$file" ] && echo "{_FILE_MARK}$file" && cat "$file"; done; true'
        )
        for part in self.shell(command).output.split(_FILE_MARK)[1:]:
            name, _, text = part.partition("\n")
            path = root / name.lstrip("/")
            if ".." not in path.parts:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")

    def _run(self, words: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
        try:
            return _run_adb([self.adb, "-s", self.serial, *words], seconds)
        except subprocess.TimeoutExpired:
            raise self._lost(f"no answer for {seconds:.0f} s") from None

    def _lost(self, text: str) -> PhoneLostError:
        return PhoneLostError(
            f"the phone {self.serial} does not answer ({_last_line(text)})", "Plug it in again"
        )


def _connected(adb: str) -> dict[str, str]:
    """Return the state of every phone by its serial number."""
    try:
        done = _run_adb([adb, "devices"], SHELL_SECONDS)
    except subprocess.TimeoutExpired:
        raise InputError(f"{adb} does not answer", "Start it again: adb kill-server") from None
    if done.returncode != 0:
        reason = _last_line(done.stderr or done.stdout)
        raise InputError(f"{adb} devices failed: {reason}", "Start it again: adb kill-server")
    lines = (line.partition("\t") for line in done.stdout.splitlines())
    return {serial: state.strip() for serial, tab, state in lines if tab}


def _run_adb(words: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except (FileNotFoundError, PermissionError):
        raise MissingDependencyError(
            f"there is no program {words[0]} on this machine",
            "sudo apt install adb, or give its path",
        ) from None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("adb: ") if lines else "no reason given"

"""What changes while a machine works: temperature, clocks, and signs that it slows itself down.

The files are looked for once and then read often, so a reading costs well under a millisecond.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edgevit.machine.cpu import CPU_FOLDER, KHZ_PER_MHZ, clock_policies
from edgevit.machine.files import read_int, read_text

# Bits of `vcgencmd get_throttled`: now, and 16 bits further up the same since boot.
THROTTLED_BITS = {
    0: "under-voltage",
    1: "Arm frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
SINCE_BOOT_SHIFT = 16
LIVE_MASK = sum(1 << bit for bit in THROTTLED_BITS)

# Types of thermal zones that measure a processor, the best first. Not acpitz: it is somewhere on
# the mainboard, if it changes at all.
_CPU_ZONES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (r"x86_pkg_temp", r"cpu[-_]?therm", r"cpu|(big|little|mid)core", r"soc")
)
_CPU_HWMON = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal")
# Outside, a sensor is broken, off, or not a thermometer.
_MIN_C, _MAX_C = -40.0, 150.0

# Cooling devices that cool by computing slower. A fan that turns faster, a radio that sends less or
# a battery that is charged slower does not change a time.
_SLOWING_COOLER = re.compile(r"cpu|processor|powerclamp|devfreq|gpu|npu|idle", re.IGNORECASE)
_FAN = re.compile(r"fan", re.IGNORECASE)

_VCGENCMD_PLACES = ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")
_VCGENCMD_SECONDS = 2.0


def decode_throttled(bits: int) -> tuple[str, ...]:
    """Return what the bits of ``vcgencmd get_throttled`` say, in words; what is now comes first."""
    now = [word for bit, word in THROTTLED_BITS.items() if bits >> bit & 1]
    once = [
        f"{word} since boot"
        for bit, word in THROTTLED_BITS.items()
        if bits >> bit + SINCE_BOOT_SHIFT & 1
    ]
    return (*now, *once)


class Sensors:
    """The sensors of one machine.

    Each reading is ``None`` (or lacks an entry) where the machine has no such sensor or it does not
    answer; sensors that vanish are no error.

    Args:
        root: The folder that holds ``sys/``, and ``usr/bin/vcgencmd`` on a Raspberry Pi.
    """

    def __init__(self, root: Path) -> None:
        self._temperatures = _temperature_files(root)
        self._clocks = [policy / "scaling_cur_freq" for policy in clock_policies(root)]
        self._read_throttled = _throttled_source(root)
        self._coolers = _slowing_coolers(root)
        self._counters = _throttle_counters(root)

    def temperature_c(self) -> float | None:
        """Return the temperature of the processor's hottest sensor, degrees Celsius."""
        seen = (_celsius(path) for path in self._temperatures)
        return max((value for value in seen if value is not None), default=None)

    def clock_mhz(self) -> float | None:
        """Return the clock of the slowest core, megahertz, as the kernel asked for it."""
        seen = (read_int(path) for path in self._clocks)
        slowest = min((value for value in seen if value is not None and value > 0), default=None)
        return None if slowest is None else slowest / KHZ_PER_MHZ

    def throttled(self) -> int | None:
        """Return the bits of ``vcgencmd get_throttled``; ``None`` on other boards than a Pi."""
        return self._read_throttled()

    def slowed_by(self) -> tuple[str, ...]:
        """Return the kinds of cooling devices that slow the machine down now."""
        active = (kind for path, kind in self._coolers if (read_int(path) or 0) > 0)
        return tuple(dict.fromkeys(active))

    def throttle_counts(self) -> dict[str, int]:
        """Return how often Intel's cores and packages throttled since boot, by counter.

        Two files for each core: read it before and after something, not during.
        """
        counts: dict[str, int] = {}
        for path in self._counters:
            count = read_int(path)
            if count is not None:
                counts[path.name] = counts.get(path.name, 0) + count
        return counts


def _temperature_files(root: Path) -> list[Path]:
    zones = {
        zone / "temp": read_text(zone / "type")
        for zone in sorted(root.glob("sys/class/thermal/thermal_zone*"))
    }
    for pattern in _CPU_ZONES:
        found = [path for path, kind in zones.items() if pattern.search(kind)]
        if working := [path for path in found if _celsius(path) is not None]:
            return working
    return [
        path
        for path in sorted(root.glob("sys/class/hwmon/hwmon*/temp1_input"))
        if read_text(path.with_name("name")) in _CPU_HWMON and _celsius(path) is not None
    ]


def _celsius(path: Path) -> float | None:
    millidegrees = read_int(path)
    if millidegrees is None or not _MIN_C <= millidegrees / 1000.0 <= _MAX_C:
        return None
    return millidegrees / 1000.0


def _throttled_source(root: Path) -> Callable[[], int | None]:
    """Return the first way to read the throttled bits that works here."""
    # The folder is soc, soc@107c000000 and the like. Its driver asks the firmware every 2 s and
    # clears what was since boot, so there "since boot" means since the last time it asked.
    files = sorted(root.glob("sys/devices/platform/soc*/*firmware/get_throttled"))
    programs = [root / place for place in _VCGENCMD_PLACES if (root / place).exists()]
    # Newer kernels only have this alarm: the least, because it knows of under-voltage alone.
    alarms = [
        path
        for path in sorted(root.glob("sys/class/hwmon/hwmon*/in0_lcrit_alarm"))
        if read_text(path.with_name("name")) == "rpi_volt"
    ]
    sources = (
        *(partial(_bits_in_file, path) for path in files),
        *(partial(_bits_from_program, program) for program in programs),
        *(partial(_bits_from_alarm, path) for path in alarms),
    )
    return next((source for source in sources if source() is not None), lambda: None)


def _bits_in_file(path: Path) -> int | None:
    bits = read_int(path, 16)
    return None if bits is None or bits < 0 else bits


def _bits_from_program(program: Path) -> int | None:
    try:
        answer = subprocess.run(
            [str(program), "get_throttled"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VCGENCMD_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(rb"throttled=0x([0-9a-fA-F]+)", answer.stdout)
    return None if match is None else int(match[1], 16)


def _bits_from_alarm(path: Path) -> int | None:
    alarm = read_int(path)
    return None if alarm is None else int(alarm > 0)


def _slowing_coolers(root: Path) -> list[tuple[Path, str]]:
    coolers = []
    for folder in sorted(root.glob("sys/class/thermal/cooling_device*")):
        kind = read_text(folder / "type")
        if _SLOWING_COOLER.search(kind) and not _FAN.search(kind):
            coolers.append((folder / "cur_state", kind))
    return coolers


def _throttle_counters(root: Path) -> list[Path]:
    folders = sorted((root / CPU_FOLDER).glob("cpu[0-9]*/thermal_throttle"))
    return [
        folder / name
        for folder in folders
        for name in ("core_throttle_count", "package_throttle_count")
    ]

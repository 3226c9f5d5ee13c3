"""Under which conditions a row was measured: heat, clocks, throttling, and the time of day.

A watch samples once a second, in a thread of the process that waits for the row's own process, so
that it disturbs the times little and survives a row that crashes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from edgevit import machine
from edgevit.bench.protocol import Protocol
from edgevit.bench.result import Conditions, ConditionSample
from edgevit.machine.sensors import LIVE_MASK, SINCE_BOOT_SHIFT, Sensors, decode_throttled

__all__ = ["ConditionsWatch", "decode_throttled", "read_temperature_c", "wait_until_cool"]

# Ours: the firmware remembers what lies between two samples, and one takes under 1 ms of CPU.
SAMPLE_SECONDS = 1.0
# Ours: NTP corrects small errors by running the clock faster or slower; from here on it was set.
MIN_CLOCK_JUMP_SECONDS = 1.0
# MLPerf Mobile v3.0 run conditions: at least 10 minutes of rest between repeats …
COOLDOWN_MAX_SECONDS = 600.0
# … ours: or less, if the device is as cool as it was at first.
COOLDOWN_TOLERANCE_C = 2.0
COOLDOWN_POLL_SECONDS = 1.0


class ConditionsWatch:
    """Watches a device while a row is measured; a context manager.

    It samples when it is entered, once a second, and when it is left.

    Args:
        root: The folder that holds ``sys/``; the machine's own if none.
        interval_seconds: Between samples.
        monotonic: A clock that nobody can set, seconds.
        wall: The time of day, seconds.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        interval_seconds: float = SAMPLE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._sensors = Sensors(machine.SYSTEM_ROOT if root is None else root)
        self._interval_seconds = interval_seconds
        self._monotonic = monotonic
        self._wall = wall
        self._started = 0.0
        self._samples: list[ConditionSample] = []
        # A dict for its order: what was seen first comes first.
        self._throttling: dict[str, None] = {}
        # What the first answer says happened since boot is not new.
        self._known_since_boot = LIVE_MASK
        self._counts: dict[str, int] = {}
        self._clock_offset: float | None = None
        self._clock_jump = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="conditions", daemon=True)

    def __enter__(self) -> ConditionsWatch:
        self._started = self._monotonic()
        self._counts = self._sensors.throttle_counts()
        self.sample()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.sample()
        for name, count in self._sensors.throttle_counts().items():
            if name in self._counts and count > self._counts[name]:
                self._throttling[f"thermal throttling ({name} rose)"] = None

    def sample(self) -> None:
        """Look once; the watch does it by itself."""
        throttled = self._sensors.throttled()
        self._note_clock()
        self._note_throttled(throttled)
        for kind in self._sensors.slowed_by():
            self._throttling[f"thermal throttling (cooling device {kind})"] = None
        self._samples.append(
            ConditionSample(
                seconds=round(self._monotonic() - self._started, 3),
                temperature_c=self._sensors.temperature_c(),
                clock_mhz=self._sensors.clock_mhz(),
                throttled=throttled,
            )
        )

    def conditions(self) -> Conditions:
        """Return what was seen; complete once the watch was left."""
        return Conditions(tuple(self._samples), tuple(self._throttling), self._clock_jump)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_seconds):
            self.sample()

    def _note_throttled(self, bits: int | None) -> None:
        """Note what throttles now, and what did since the last sample."""
        if bits is None:
            return
        since_boot = bits >> SINCE_BOOT_SHIFT & LIVE_MASK
        # The kernel may clear these bits: one that comes back is new.
        happened = since_boot & ~self._known_since_boot
        self._known_since_boot = since_boot
        for word in decode_throttled((bits & LIVE_MASK) | happened):
            self._throttling[word] = None

    def _note_clock(self) -> None:
        """Note the largest step of the time of day against the clock that nobody can set."""
        offset = self._wall() - self._monotonic()
        if self._clock_offset is not None:
            jump = offset - self._clock_offset
            if abs(jump) >= max(MIN_CLOCK_JUMP_SECONDS, abs(self._clock_jump)):
                self._clock_jump = round(jump, 3)
        self._clock_offset = offset


def read_temperature_c(root: Path | None = None) -> float | None:
    """Return the processor's temperature, degrees Celsius; ``None`` where unknown."""
    return Sensors(machine.SYSTEM_ROOT if root is None else root).temperature_c()


def cool_down_for(protocol: Protocol) -> Callable[[], float]:
    """Return what waits until the device is as cool as now; nothing waits for a quick protocol.

    The result returns the seconds that it waited.
    """
    if not protocol.comparable:
        return lambda: 0.0
    start = read_temperature_c()
    return lambda: wait_until_cool(start)


def wait_until_cool(
    start_temperature_c: float | None,
    *,
    root: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Wait until the device is about as cool as it was before the first repeat.

    Args:
        start_temperature_c: Its temperature then, degrees Celsius; ``None`` where unknown.
        root: The folder that holds ``sys/``; the machine's own if none.
        clock: Seconds, monotonic.
        sleep: Waits that many seconds.

    Returns:
        Seconds waited, at most :data:`COOLDOWN_MAX_SECONDS`; 0.0 where there is no temperature.
    """
    if start_temperature_c is None:
        return 0.0
    sensors = Sensors(machine.SYSTEM_ROOT if root is None else root)
    started = clock()
    waited = 0.0
    while waited < COOLDOWN_MAX_SECONDS:
        now = sensors.temperature_c()
        if now is None or now <= start_temperature_c + COOLDOWN_TOLERANCE_C:
            break
        sleep(min(COOLDOWN_POLL_SECONDS, COOLDOWN_MAX_SECONDS - waited))
        waited = clock() - started
    return waited

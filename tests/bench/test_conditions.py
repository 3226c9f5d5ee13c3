from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from edgevit import machine
from edgevit.bench import conditions
from edgevit.bench.conditions import ConditionsWatch, read_temperature_c, wait_until_cool
from edgevit.bench.protocol import Protocol
from edgevit.bench.result import Conditions
from tests import devices
from tests.devices import FakeDevice

# The thread never gets to sample: the test says when.
NEVER = 3600.0


class FakeTime:
    """Two clocks: one that nobody can set, and the time of day."""

    def __init__(self) -> None:
        self.now = 50_000.0
        self.set_by = 1_700_000_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.set_by

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def throttling_of(device: FakeDevice, sequence: list[int]) -> tuple[str, ...]:
    """What a watch says of throttled bits: the first before the row, the last at its end."""
    device.set_throttled_file(sequence[0])
    with ConditionsWatch(device.root, interval_seconds=NEVER) as watch:
        for bits in sequence[1:-1]:
            device.set_throttled_file(bits)
            watch.sample()
        device.set_throttled_file(sequence[-1])
    seen = watch.conditions()
    assert [sample.throttled for sample in seen.samples] == sequence
    return seen.new_throttling


def jump_of(steps: list[float]) -> float:
    """What a watch says of the clock that is set by so many seconds before each sample."""
    clock = FakeTime()
    with ConditionsWatch(
        Path("/nonexistent"), interval_seconds=NEVER, monotonic=clock.monotonic, wall=clock.wall
    ) as watch:
        for step in steps:
            clock.now += 1
            clock.set_by += step
            watch.sample()
    return watch.conditions().clock_jump_seconds


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        pytest.param([0, 0, 0], (), id="never"),
        # Under-voltage and throttled before the row, not during it.
        pytest.param([0x50000, 0x50000, 0x50000], (), id="only before"),
        pytest.param([0, 0x10001, 0x10000], ("under-voltage",), id="seen while it lasted"),
        pytest.param([0, 0x40000, 0x40000], ("throttled",), id="between two samples"),
        pytest.param([0, 0, 0x20000], ("Arm frequency capped",), id="after the last sample"),
        pytest.param([0x8, 0, 0], ("soft temperature limit",), id="as the row began"),
        pytest.param(
            [0x10000, 0x50004, 0xD0008], ("throttled", "soft temperature limit"), id="one by one"
        ),
        # The kernel clears the bits when it reads them.
        pytest.param([0x10000, 0, 0x10000], ("under-voltage",), id="cleared and again"),
        pytest.param([0x10000, 0, 0], (), id="cleared"),
    ],
)
def test_watch_names_new_throttling_when_bits_change(
    tmp_path: Path, sequence: list[int], expected: tuple[str, ...]
) -> None:
    assert throttling_of(devices.pi_4(tmp_path), sequence) == expected


def test_watch_counts_bits_as_old_when_the_first_answer_comes_late(tmp_path: Path) -> None:
    pi = devices.pi_4(tmp_path)
    pi.set_throttled_file(0x50000)
    watch = ConditionsWatch(pi.root, interval_seconds=NEVER)
    file = "sys/devices/platform/soc/soc:firmware/get_throttled"
    pi.write(file, "")
    with watch:
        pi.set_throttled_file(0x50000)
        watch.sample()
        pi.write(file, "garbage")
    seen = watch.conditions()
    assert [sample.throttled for sample in seen.samples] == [None, 0x50000, None]
    assert seen.new_throttling == ()


def test_watch_asks_vcgencmd_when_on_a_pi_5(tmp_path: Path) -> None:
    pi = devices.pi_5(tmp_path)
    with ConditionsWatch(pi.root, interval_seconds=NEVER):
        pass
    with ConditionsWatch(pi.root, interval_seconds=NEVER) as watch:
        pi.set_throttled_program(0x10001)
    assert watch.conditions().new_throttling == ("under-voltage",)


def test_watch_samples_heat_and_the_slowest_clock_when_they_change(tmp_path: Path) -> None:
    board = devices.rock_5b(tmp_path)
    clock = FakeTime()
    with ConditionsWatch(
        board.root, interval_seconds=NEVER, monotonic=clock.monotonic, wall=clock.wall
    ) as watch:
        clock.now += 1
        board.set_zone(1, "bigcore0-thermal", 71.5)
        for policy, mhz in ((0, 1800), (4, 1200), (6, 2256)):
            board.set_clock(policy, mhz)
        watch.sample()
        clock.now += 1
    seen = watch.conditions()
    assert [sample.seconds for sample in seen.samples] == [0, 1, 2]
    assert [sample.temperature_c for sample in seen.samples] == [52, 71.5, 71.5]
    assert [sample.clock_mhz for sample in seen.samples] == [408, 1200, 1200]
    assert [sample.throttled for sample in seen.samples] == [None] * 3
    assert (seen.new_throttling, seen.clock_jump_seconds) == ((), 0)


def test_watch_says_throttling_when_a_cooler_slows_the_processor(tmp_path: Path) -> None:
    board = devices.rock_5b(tmp_path)
    with ConditionsWatch(board.root, interval_seconds=NEVER) as watch:
        board.set_cooler(0, "gpio-fan", 4)
        board.set_cooler(1, "thermal-cpufreq-0", 2)
        watch.sample()
        board.set_cooler(1, "thermal-cpufreq-0", 0)
    assert watch.conditions().new_throttling == (
        "thermal throttling (cooling device thermal-cpufreq-0)",
    )


def test_watch_says_throttling_when_a_cooler_slowed_the_processor_all_along(
    tmp_path: Path,
) -> None:
    board = devices.rock_5b(tmp_path)
    board.set_cooler(1, "thermal-cpufreq-0", 1)
    with ConditionsWatch(board.root, interval_seconds=NEVER) as watch:
        pass
    assert watch.conditions().new_throttling == (
        "thermal throttling (cooling device thermal-cpufreq-0)",
    )


@pytest.mark.parametrize("kind", ["pwm-fan", "gpio-fan", "Fan", "cpu-fan", "TCC Offset", "iwlwifi"])
def test_watch_says_nothing_when_what_rises_does_not_slow_the_processor(
    tmp_path: Path, kind: str
) -> None:
    pc = devices.pc_with_amx(tmp_path)
    pc.set_cooler(3, kind, 0)
    with ConditionsWatch(pc.root, interval_seconds=NEVER) as watch:
        pc.set_cooler(3, kind, 3)
    assert watch.conditions().new_throttling == ()


@pytest.mark.parametrize("kind", ["Processor", "cpufreq-cpu0", "intel_powerclamp", "devfreq-npu"])
def test_watch_says_throttling_when_what_rises_slows_the_processor(
    tmp_path: Path, kind: str
) -> None:
    pc = devices.pc_with_amx(tmp_path)
    pc.set_cooler(3, kind, 0)
    with ConditionsWatch(pc.root, interval_seconds=NEVER) as watch:
        pc.set_cooler(3, kind, 1)
    assert watch.conditions().new_throttling == (f"thermal throttling (cooling device {kind})",)


@pytest.mark.parametrize("counter", ["core_throttle_count", "package_throttle_count"])
def test_watch_says_throttling_when_intels_counter_rises(tmp_path: Path, counter: str) -> None:
    pc = devices.pc_with_amx(tmp_path)
    with ConditionsWatch(pc.root, interval_seconds=NEVER) as watch:
        pc.write(f"sys/devices/system/cpu/cpu3/thermal_throttle/{counter}", "6")
    assert watch.conditions().new_throttling == (f"thermal throttling ({counter} rose)",)


def test_watch_says_nothing_when_nothing_changes_on_a_pc(tmp_path: Path) -> None:
    with ConditionsWatch(devices.pc_with_amx(tmp_path).root, interval_seconds=NEVER) as watch:
        watch.sample()
    assert watch.conditions().new_throttling == ()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([0, 0], 0, id="never set"),
        pytest.param([0, 3600, 0], 3600, id="forward"),
        pytest.param([0, -90.5, 0], -90.5, id="backward"),
        # It must not look as if nothing had happened.
        pytest.param([3600, -3600], -3600, id="forward and back"),
        pytest.param([5, -7200, 5], -7200, id="the largest"),
        # NTP runs the clock faster.
        pytest.param([0.5] * 10, 0, id="slewed"),
    ],
)
def test_watch_measures_the_jump_when_the_time_of_day_is_set(
    steps: list[float], expected: float
) -> None:
    assert jump_of(steps) == pytest.approx(expected)


def test_watch_goes_on_when_files_vanish(tmp_path: Path) -> None:
    pi = devices.pi_4(tmp_path)
    with ConditionsWatch(pi.root, interval_seconds=NEVER) as watch:
        for file in [path for path in tmp_path.rglob("*") if path.is_file()]:
            file.unlink()
        watch.sample()
        pi.write("sys/class/thermal/thermal_zone0/temp", "garbage")
        pi.write("sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "<unsupported>")
    first, second, third = watch.conditions().samples
    assert (first.temperature_c, first.clock_mhz, first.throttled) == (48.3, 600, 0)
    for sample in (second, third):
        assert (sample.temperature_c, sample.clock_mhz, sample.throttled) == (None, None, None)


def test_watch_has_empty_samples_when_the_machine_has_no_sensors(tmp_path: Path) -> None:
    with ConditionsWatch(tmp_path, interval_seconds=NEVER) as watch:
        pass
    seen = watch.conditions()
    assert len(seen.samples) == 2
    assert all(s.temperature_c is s.clock_mhz is s.throttled is None for s in seen.samples)
    assert seen == Conditions(seen.samples, (), 0.0)


def test_watch_samples_by_itself_when_it_is_left_alone(tmp_path: Path) -> None:
    pi = devices.pi_4(tmp_path)
    until = time.monotonic() + 10
    with ConditionsWatch(pi.root, interval_seconds=0.002) as watch:
        while len(watch.conditions().samples) < 5 and time.monotonic() < until:
            time.sleep(0.002)
    assert len(watch.conditions().samples) >= 5
    seconds = [sample.seconds for sample in watch.conditions().samples]
    assert seconds == sorted(seconds)


def test_watch_ends_its_thread_when_the_row_fails(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), ConditionsWatch(tmp_path, interval_seconds=NEVER) as watch:
        raise KeyError
    assert threading.active_count() == before
    assert len(watch.conditions().samples) == 2


def test_watch_reads_this_machine_when_no_root_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "SYSTEM_ROOT", devices.pi_5(tmp_path).root)
    with ConditionsWatch(interval_seconds=NEVER) as watch:
        pass
    assert watch.conditions().samples[0].temperature_c == 48.3
    assert read_temperature_c() == 48.3


def cooled(device: FakeDevice, temperatures: list[float], start: float | None) -> float:
    """How long the wait is on a device that has those temperatures, second by second."""
    clock = FakeTime()
    left = iter(temperatures)
    device.set_zone(0, "cpu-thermal", next(left))

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        device.set_zone(0, "cpu-thermal", next(left, 80.0))

    return wait_until_cool(start, root=device.root, clock=clock.monotonic, sleep=sleep)


def test_wait_until_cool_returns_at_once_when_the_device_is_cool(tmp_path: Path) -> None:
    assert cooled(devices.pi_4(tmp_path), [52.0], start=50.0) == 0.0
    assert cooled(devices.pi_4(tmp_path), [30.0], start=50.0) == 0.0


def test_wait_until_cool_waits_until_within_two_degrees_when_the_device_is_hot(
    tmp_path: Path,
) -> None:
    assert cooled(devices.pi_4(tmp_path), [70, 60, 52.1, 52], start=50.0) == 3.0


def test_wait_until_cool_gives_up_after_ten_minutes_when_the_device_stays_hot(
    tmp_path: Path,
) -> None:
    assert cooled(devices.pi_4(tmp_path), [80.0], start=50.0) == 600.0


def test_wait_until_cool_returns_at_once_when_there_is_no_temperature(tmp_path: Path) -> None:
    def no_sleep(seconds: float) -> None:
        raise AssertionError(f"waited {seconds} s")

    assert wait_until_cool(None, root=devices.pi_4(tmp_path / "pi").root, sleep=no_sleep) == 0.0
    assert wait_until_cool(50.0, root=tmp_path / "nothing", sleep=no_sleep) == 0.0


@pytest.mark.parametrize(("comparable", "waited"), [(True, True), (False, False)])
def test_cool_down_waits_when_the_protocol_is_comparable(
    comparable: bool, waited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "read_temperature_c", lambda: 40.0)
    monkeypatch.setattr(conditions, "wait_until_cool", lambda start: start / 10)
    wait = conditions.cool_down_for(Protocol("any", comparable, 1, 0.0))
    assert wait() == (4.0 if waited else 0.0)

from __future__ import annotations

from pathlib import Path

import pytest

from edgevit.machine import (
    Sensors,
)
from tests import devices
from tests.devices import FakeDevice


def test_sensors_read_the_bits_when_only_the_kernel_file_is_there(tmp_path: Path) -> None:
    pi = devices.pi_4(tmp_path)
    sensors = Sensors(pi.root)
    pi.set_throttled_file(0x50005)
    assert sensors.throttled() == 0x50005
    pi.write("sys/devices/platform/soc/soc:firmware/get_throttled", "0x10000")
    assert sensors.throttled() == 0x10000
    pi.write("sys/devices/platform/soc/soc:firmware/get_throttled", "-1")
    assert sensors.throttled() is None


def test_sensors_ask_vcgencmd_when_there_is_no_kernel_file(tmp_path: Path) -> None:
    pi = devices.pi_5(tmp_path)
    # Under-voltage alone: the program knows more.
    pi.write("sys/class/hwmon/hwmon1/name", "rpi_volt")
    pi.write("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1")
    sensors = Sensors(pi.root)
    pi.set_throttled_program(0x40004)
    assert sensors.throttled() == 0x40004


@pytest.mark.parametrize("script", ["exit 1", "echo VCHI initialization failed", "kill -9 $$"])
def test_sensors_take_the_alarm_when_vcgencmd_does_not_answer(tmp_path: Path, script: str) -> None:
    pi = devices.pi_5(tmp_path)
    pi.write_program(script)
    assert Sensors(pi.root).throttled() is None
    pi.write("sys/class/hwmon/hwmon1/name", "rpi_volt")
    pi.write("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1")
    assert Sensors(pi.root).throttled() == 1


def test_sensors_skip_a_zone_when_it_is_broken(tmp_path: Path) -> None:
    board = FakeDevice(tmp_path)
    board.set_zone(0, "cpu0-thermal", -274)
    board.set_zone(1, "cpu1-thermal", 44)
    assert Sensors(board.root).temperature_c() == 44


def test_sensors_count_intels_throttling_when_cores_have_counters(tmp_path: Path) -> None:
    pc = devices.pc_with_amx(tmp_path)
    assert Sensors(pc.root).throttle_counts() == {
        "core_throttle_count": 12,
        "package_throttle_count": 20,
    }

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgevit import documents
from edgevit.machine import (
    Accelerator,
    Cpu,
    Machine,
    describe_machine,
    is_raspberry_pi,
)
from tests import devices
from tests.devices import GIB, FakeDevice


def features_of(machine: Machine) -> set[str]:
    return {name for name, present in machine.cpu.features.items() if present}


def test_describe_machine_knows_the_board_when_on_a_pi_5(tmp_path: Path) -> None:
    pi = describe_machine(devices.pi_5(tmp_path).root)
    assert is_raspberry_pi(pi)
    assert pi.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert pi.soc == "brcm,bcm2712"
    assert pi.revision is not None
    assert (pi.revision.code, pi.revision.model, pi.revision.board_revision) == (
        "c04170",
        "5",
        "1.0",
    )
    assert (pi.revision.memory_bytes, pi.revision.processor) == (4 * GIB, "BCM2712")
    assert pi.revision.manufacturer == "Sony UK"
    assert pi.cpu.model == "Cortex-A76"
    assert (pi.cpu.physical_cores, pi.cpu.logical_cores) == (4, 4)
    assert features_of(pi) == {"asimd", "asimddp", "fphp", "asimdhp"}
    assert (pi.memory_bytes, pi.memory_available_bytes, pi.swap_bytes) == (
        4 * GIB,
        3 * GIB,
        GIB // 2,
    )
    assert (pi.temperature_c, pi.throttled, pi.power_supply_ma) == (48.3, 0, 5000)


def test_describe_machine_gives_limits_and_clock_when_there_are_clock_policies(
    tmp_path: Path,
) -> None:
    pi = devices.pi_5(tmp_path)
    pi.write("sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq", "2000000")
    (clocks,) = describe_machine(pi.root).cpu.clocks
    assert clocks.cores == "0-3"
    assert (clocks.min_mhz, clocks.max_mhz, clocks.hardware_max_mhz) == (1500, 2000, 2400)
    assert (clocks.current_mhz, clocks.governor) == (1500, "ondemand")
    assert describe_machine(pi.root).cpu.governor == "ondemand"


def test_describe_machine_reads_the_first_cores_clock_when_the_kernel_has_no_policies(
    tmp_path: Path,
) -> None:
    old = FakeDevice(tmp_path)
    old.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance")
    old.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "900000")
    cpu = describe_machine(old.root).cpu
    assert (cpu.governor, cpu.clocks[0].current_mhz) == ("performance", 900)


def test_describe_machine_has_no_dot_products_when_on_a_pi_4(tmp_path: Path) -> None:
    pi = describe_machine(devices.pi_4(tmp_path).root)
    assert (pi.cpu.model, pi.soc) == ("Cortex-A72", "brcm,bcm2711")
    assert features_of(pi) == {"asimd"}
    assert pi.revision is not None
    assert (pi.revision.model, pi.revision.board_revision) == ("4B", "1.2")
    assert (pi.userland_bits, pi.kernel_bits, pi.is_mixed) == (64, 64, False)
    assert pi.power_supply_ma is None


def test_describe_machine_says_mixed_when_32_bit_programs_run_on_a_64_bit_kernel(
    tmp_path: Path,
) -> None:
    pi = describe_machine(devices.pi_4_with_32_bit_system(tmp_path).root)
    assert (pi.userland_bits, pi.kernel_bits, pi.is_mixed) == (32, 64, True)
    assert not pi.emulated


def test_describe_machine_knows_the_board_when_on_a_pi_zero_2_w(tmp_path: Path) -> None:
    pi = describe_machine(devices.pi_zero_2_w(tmp_path).root)
    assert (pi.cpu.model, pi.soc, pi.memory_bytes) == ("Cortex-A53", "brcm,bcm2837", GIB // 2)
    assert pi.revision is not None
    assert (pi.revision.model, pi.revision.memory_bytes) == ("Zero 2 W", GIB // 2)


def test_describe_machine_finds_the_pi_in_cpuinfo_when_the_device_tree_is_hidden(
    tmp_path: Path,
) -> None:
    hidden = FakeDevice(tmp_path)
    end = "Revision\t: 902120\nSerial\t\t: 0\nModel\t\t: Raspberry Pi Zero 2 W Rev 1.0\n"
    hidden.set_arm_cores((4, "0xd03", "fp asimd"), after=end)
    pi = describe_machine(hidden.root)
    assert pi.board == "Raspberry Pi Zero 2 W Rev 1.0"
    assert pi.revision is not None
    assert pi.revision.model == "Zero 2 W"
    assert is_raspberry_pi(pi)


def test_describe_machine_reads_the_clusters_when_on_a_rockchip_board(tmp_path: Path) -> None:
    board = describe_machine(devices.rock_5b(tmp_path).root)
    assert not is_raspberry_pi(board)
    assert (board.board, board.soc) == ("Radxa ROCK 5B", "rockchip,rk3588")
    assert board.revision is None
    assert board.cpu.model == "Cortex-A55 + Cortex-A76"
    assert [(c.cores, c.max_mhz) for c in board.cpu.clocks] == [("0-3", 1800), ("4-7", 2256)]
    # The hottest of the cores: not the GPU, nor the chip as a whole.
    assert board.temperature_c == 52
    assert board.throttled is None


def test_describe_machine_names_the_product_when_on_a_pc(tmp_path: Path) -> None:
    pc = describe_machine(devices.pc_with_amx(tmp_path).root)
    assert pc.board == "Dell Inc. Precision 5860 Tower"
    assert {"avx512f", "avx512_vnni", "amx_int8", "amx_bf16"} <= features_of(pc)
    assert (pc.cpu.physical_cores, pc.cpu.logical_cores) == (2, 4)
    assert [c.cores for c in pc.cpu.clocks] == ["0-3"]
    # x86_pkg_temp, not acpitz.
    assert pc.temperature_c == 61
    assert pc.runs_in == ()
    assert (pc.soc, pc.revision, pc.throttled) == (None, None, None)
    assert not is_raspberry_pi(pc)


def test_describe_machine_takes_the_mainboard_when_the_product_is_a_placeholder(
    tmp_path: Path,
) -> None:
    pc = devices.pc_with_amx(tmp_path)
    pc.write("sys/class/dmi/id/product_name", "To Be Filled By O.E.M.")
    assert describe_machine(pc.root).board is None
    pc.write("sys/class/dmi/id/board_vendor", "ASRock")
    pc.write("sys/class/dmi/id/board_name", "B650M")
    assert describe_machine(pc.root).board == "ASRock B650M"


def test_describe_machine_reads_hwmon_when_there_is_no_thermal_zone(tmp_path: Path) -> None:
    pc = FakeDevice(tmp_path)
    pc.write("sys/class/hwmon/hwmon0/name", "nvme")
    pc.write("sys/class/hwmon/hwmon0/temp1_input", "80000")
    pc.write("sys/class/hwmon/hwmon1/name", "k10temp")
    pc.write("sys/class/hwmon/hwmon1/temp1_input", "55250")
    assert describe_machine(pc.root).temperature_c == 55.25


def test_describe_machine_knows_nothing_when_there_are_no_files(tmp_path: Path) -> None:
    nothing = describe_machine(tmp_path)
    assert nothing.cpu.model
    assert nothing.cpu.logical_cores >= 1
    assert (nothing.cpu.features, nothing.cpu.clocks, nothing.cpu.governor) == ({}, (), None)
    assert nothing.memory_bytes == 0
    assert (nothing.board, nothing.soc, nothing.revision) == (None, None, None)
    assert (nothing.temperature_c, nothing.throttled, nothing.power_supply_ma) == (None, None, None)
    assert (nothing.runs_in, nothing.emulated, nothing.is_mixed) == ((), False, False)


def test_describe_machine_knows_nothing_when_the_files_hold_garbage(tmp_path: Path) -> None:
    pi = devices.pi_5(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    for path in files:
        path.write_bytes(b"\xff\x00:= -\n\xfe0x")
    seen = describe_machine(pi.root)
    assert seen.cpu.logical_cores >= 1
    assert (seen.memory_bytes, seen.temperature_c, seen.throttled) == (0, None, None)
    assert seen.revision is None
    # Garbage must not end in a result that cannot be written.
    json.dumps(documents.encode(seen), allow_nan=False)


def test_describe_machine_knows_nothing_when_every_file_is_a_folder(tmp_path: Path) -> None:
    pi = devices.pi_5(tmp_path)
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        path.unlink()
        path.mkdir()
    seen = describe_machine(pi.root)
    assert (seen.memory_bytes, seen.board, seen.temperature_c, seen.throttled) == (
        0,
        None,
        None,
        None,
    )


def test_describe_machine_counts_a_feature_only_when_every_core_has_it(tmp_path: Path) -> None:
    board = FakeDevice(tmp_path)
    board.set_arm_cores((2, "0xd0b", "fp asimd asimddp"), (2, "0xd03", "fp asimd"))
    cpu = describe_machine(board.root).cpu
    assert cpu.model == "Cortex-A76 + Cortex-A53"
    assert cpu.features["asimddp"] is False
    assert cpu.features["asimd"] is True


def test_describe_machine_gives_the_numbers_when_the_arm_core_is_unknown(tmp_path: Path) -> None:
    board = FakeDevice(tmp_path)
    board.set_arm_cores((1, "0xfff", "fp asimd"))
    assert describe_machine(board.root).cpu.model == "Arm implementer 0x41 part 0xfff"


def test_describe_machine_names_the_core_when_a_32_bit_kernel_names_only_its_instructions(
    tmp_path: Path,
) -> None:
    text = "model name\t: ARMv7 Processor rev 3 (v7l)\nFeatures\t: half neon vfpv4\n"
    pi = FakeDevice(tmp_path)
    pi.write("proc/cpuinfo", f"{text}CPU implementer\t: 0x41\nCPU part\t: 0xd08\n")
    seen = describe_machine(pi.root)
    assert seen.cpu.model == "Cortex-A72"
    assert seen.cpu.features == {"neon": True, "vfpv4": True}
    pi.write("proc/cpuinfo", f"{text}CPU implementer\t: 0x41\nCPU part\t: 0xfff\n")
    assert describe_machine(pi.root).cpu.model == "ARMv7 Processor rev 3 (v7l)"


def test_describe_machine_sees_accelerators_when_their_files_are_there(tmp_path: Path) -> None:
    pi = devices.pi_5(tmp_path)
    pi.write("dev/dri/renderD128", "")
    pi.write("sys/class/drm/renderD128/device/uevent", "DRIVER=v3d")
    pi.write("dev/accel/accel0", "")
    pi.write("dev/apex_0", "")
    pi.write("sys/bus/usb/devices/2-1/idVendor", "18d1")
    pi.write("sys/bus/usb/devices/2-1/idProduct", "9302")
    pi.write("proc/driver/nvidia/gpus/0/information", "Model: \t NVIDIA Orin\nIRQ: 1")
    seen = [(item.kind, item.name) for item in describe_machine(pi.root).accelerators]
    assert seen == [
        ("gpu", "NVIDIA Orin"),
        ("gpu", "/dev/dri/renderD128 (driver v3d)"),
        ("npu", "/dev/accel/accel0"),
        ("edge-tpu", "/dev/apex_0"),
        ("edge-tpu", "Coral USB (2-1)"),
    ]


def test_describe_machine_says_emulated_when_the_kernel_is_of_another_family(
    tmp_path: Path,
) -> None:
    pi = devices.pi_5(tmp_path)
    pi.run_on("x86_64", "aarch64")
    assert describe_machine(pi.root).emulated
    pi.run_on("x86_64", "armv7l")
    assert describe_machine(pi.root).emulated
    pi.run_on("x86_64", "x86_64")
    assert not describe_machine(pi.root).emulated


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        (".dockerenv", "", "a Docker container"),
        ("run/.containerenv", "", "a Podman container"),
        ("run/systemd/container", "lxc", "a container (lxc)"),
        ("proc/sys/kernel/osrelease", "6.6-microsoft-standard-WSL2", "Windows Subsystem for Linux"),
        ("proc/cpuinfo", "flags\t: fpu hypervisor", "a virtual machine"),
        ("proc/device-tree/compatible", "linux,dummy-virt", "a virtual machine"),
        ("sys/hypervisor/type", "xen", "a virtual machine"),
    ],
)
def test_describe_machine_says_what_it_runs_in_when_it_is_not_alone(
    tmp_path: Path, path: str, content: str, expected: str
) -> None:
    FakeDevice(tmp_path).write(path, content)
    assert describe_machine(tmp_path).runs_in == (expected,)


def test_machine_survives_the_way_through_a_document_when_every_field_is_set(
    tmp_path: Path,
) -> None:
    pi = describe_machine(devices.pi_5(tmp_path / "pi").root)
    documents.write(tmp_path / "machine.json", "test", 1, pi)
    assert documents.read(tmp_path / "machine.json", "test", 1, Machine) == pi


def test_machine_is_readable_when_an_older_edgevit_wrote_it(tmp_path: Path) -> None:
    body = {
        "kind": "test",
        "schema_version": 1,
        "system": "Linux",
        "architecture": "aarch64",
        "python": "CPython 3.11",
        "cpu": {
            "model": "Cortex-A76",
            "physical_cores": 4,
            "logical_cores": 4,
            "features": {"asimd": True},
            "governor": None,
        },
        "memory_bytes": 1,
        "board": "Raspberry Pi 5 Model B Rev 1.0",
        "accelerators": [{"kind": "npu", "name": "/dev/hailo0"}],
    }
    (tmp_path / "machine.json").write_text(json.dumps(body))
    old = documents.read(tmp_path / "machine.json", "test", 1, Machine)
    assert old == Machine(
        "Linux",
        "aarch64",
        "CPython 3.11",
        Cpu("Cortex-A76", 4, 4, {"asimd": True}, None),
        1,
        "Raspberry Pi 5 Model B Rev 1.0",
        (Accelerator("npu", "/dev/hailo0"),),
    )
    assert is_raspberry_pi(old)
    assert not old.is_mixed

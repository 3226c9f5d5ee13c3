"""Folders that hold the files by which a kernel describes a machine: devices to test with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30

_ARM64_CORE = """\
processor\t: {core}
BogoMIPS\t: 108.00
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part}
CPU revision\t: 1
"""
_A53_FEATURES = "fp asimd evtstrm crc32 cpuid"
_A72_FEATURES = "fp asimd evtstrm crc32 cpuid"
_A76_FEATURES = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)
_AMX_FLAGS = (
    "fpu sse2 ht avx2 avx512f avx512_vnni avx512_bf16 avx512_fp16 avx_vnni amx_bf16 amx_tile "
    "amx_int8"
)
# Machine numbers of the ELF format, of programs that run natively.
_ELF_MACHINES = {"x86_64": (2, 62), "aarch64": (2, 183), "armv7l": (1, 40)}


@dataclass(frozen=True)
class FakeDevice:
    """A device whose files lie below a folder."""

    root: Path

    def write(self, path: str, content: str | bytes) -> Path:
        """Write one file; text gets the line end that a kernel writes."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
        return target

    def run_on(self, kernel: str, program: str) -> None:
        """Set the kernel's architecture and that of the running Python."""
        bits, machine = _ELF_MACHINES[program]
        header = b"\x7fELF" + bytes([bits, 1]) + bytes(12) + machine.to_bytes(2, "little")
        self.write("proc/sys/kernel/arch", kernel)
        self.write("proc/self/exe", header + bytes(40))

    def set_arm_cores(self, *kinds: tuple[int, str, str], after: str = "") -> None:
        """Set the cores: how many, MIDR part, features; ``after`` is the end of the text."""
        cores = [(part, features) for count, part, features in kinds for _ in range(count)]
        text = "\n".join(
            _ARM64_CORE.format(core=core, part=part, features=features)
            for core, (part, features) in enumerate(cores)
        )
        self.write("proc/cpuinfo", f"{text}\n{after}")
        self.write("sys/devices/system/cpu/online", f"0-{len(cores) - 1}")
        for core in range(len(cores)):
            self.write(f"sys/devices/system/cpu/cpu{core}/topology/core_cpus_list", f"{core}")

    def set_memory(self, total_bytes: int, available_bytes: int, swap_bytes: int) -> None:
        values = {"MemTotal": total_bytes, "MemAvailable": available_bytes, "SwapTotal": swap_bytes}
        self.write("proc/meminfo", "\n".join(f"{k}:{v // 1024:>16} kB" for k, v in values.items()))

    def set_clocks(
        self, policy: int, cores: str, min_mhz: int, max_mhz: int, governor: str = "ondemand"
    ) -> None:
        folder = f"sys/devices/system/cpu/cpufreq/policy{policy}"
        self.write(f"{folder}/affected_cpus", cores)
        self.write(f"{folder}/scaling_min_freq", str(min_mhz * 1000))
        self.write(f"{folder}/scaling_max_freq", str(max_mhz * 1000))
        self.write(f"{folder}/cpuinfo_max_freq", str(max_mhz * 1000))
        self.write(f"{folder}/scaling_governor", governor)
        self.set_clock(policy, min_mhz)

    def set_clock(self, policy: int, mhz: int) -> None:
        self.write(f"sys/devices/system/cpu/cpufreq/policy{policy}/scaling_cur_freq", f"{mhz}000")

    def set_zone(self, zone: int, kind: str, celsius: float) -> None:
        self.write(f"sys/class/thermal/thermal_zone{zone}/type", kind)
        self.write(f"sys/class/thermal/thermal_zone{zone}/temp", f"{round(celsius * 1000)}")

    def set_cooler(self, number: int, kind: str, state: int) -> None:
        self.write(f"sys/class/thermal/cooling_device{number}/type", kind)
        self.write(f"sys/class/thermal/cooling_device{number}/cur_state", str(state))

    def set_throttled_file(self, bits: int) -> None:
        """What kernels of the Pi 4 and older provide: hexadecimal without 0x."""
        self.write("sys/devices/platform/soc/soc:firmware/get_throttled", f"{bits:x}")

    def set_throttled_program(self, bits: int) -> None:
        """The only way on a Pi 5."""
        self.write_program(f"echo throttled=0x{bits:x}")

    def write_program(self, script: str) -> None:
        path = self.root / "usr/bin/vcgencmd"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Renamed into place: a file that is open for writing cannot be started.
        new = path.with_suffix(".new")
        new.write_text(f'#!/bin/sh\n[ "$1" = get_throttled ] || exit 1\n{script}\n')
        new.chmod(0o755)
        new.rename(path)


def _raspberry_pi(root: Path, model: str, compatible: str, revision: int) -> FakeDevice:
    pi = FakeDevice(root)
    pi.write("proc/device-tree/model", f"{model}\0".encode())
    pi.write("proc/device-tree/compatible", "".join(f"{x}\0" for x in compatible.split()).encode())
    pi.write("proc/device-tree/system/linux,revision", revision.to_bytes(4, "big"))
    pi.write("etc/os-release", 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"')
    pi.run_on("aarch64", "aarch64")
    pi.set_zone(0, "cpu-thermal", 48.3)
    return pi


def pi_5(root: Path) -> FakeDevice:
    """A Raspberry Pi 5 with 4 GB and a fan."""
    pi = _raspberry_pi(
        root, "Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b brcm,bcm2712", 0xC04170
    )
    pi.set_arm_cores((4, "0xd0b", _A76_FEATURES))
    pi.set_memory(4 * GIB, 3 * GIB, GIB // 2)
    pi.set_clocks(0, "0 1 2 3", 1500, 2400)
    pi.set_cooler(0, "pwm-fan", 0)
    pi.set_throttled_program(0)
    pi.write("proc/device-tree/chosen/power/max_current", (5000).to_bytes(4, "big"))
    return pi


def pi_4(root: Path) -> FakeDevice:
    """A Raspberry Pi 4 with 4 GB."""
    pi = _raspberry_pi(
        root, "Raspberry Pi 4 Model B Rev 1.2", "raspberrypi,4-model-b brcm,bcm2711", 0xC03112
    )
    pi.set_arm_cores((4, "0xd08", _A72_FEATURES))
    pi.set_memory(4 * GIB, 3 * GIB, 0)
    pi.set_clocks(0, "0 1 2 3", 600, 1500)
    pi.set_throttled_file(0)
    return pi


def pi_4_with_32_bit_system(root: Path) -> FakeDevice:
    """A Raspberry Pi 4 with the 32-bit system, whose kernel is a 64-bit one."""
    pi = pi_4(root)
    pi.run_on("aarch64", "armv7l")
    return pi


def pi_zero_2_w(root: Path) -> FakeDevice:
    """A Raspberry Pi Zero 2 W."""
    pi = _raspberry_pi(
        root, "Raspberry Pi Zero 2 W Rev 1.0", "raspberrypi,model-zero-2-w brcm,bcm2837", 0x902120
    )
    pi.set_arm_cores((4, "0xd03", _A53_FEATURES))
    pi.set_memory(GIB // 2, GIB // 4, 0)
    pi.set_clocks(0, "0 1 2 3", 600, 1000)
    pi.set_throttled_file(0)
    return pi


def rock_5b(root: Path) -> FakeDevice:
    """A Rockchip RK3588 board: four little and four big cores in three clock domains."""
    board = FakeDevice(root)
    board.write("proc/device-tree/model", b"Radxa ROCK 5B\0")
    board.write("proc/device-tree/compatible", b"radxa,rock-5b\0rockchip,rk3588\0")
    board.run_on("aarch64", "aarch64")
    # A revision that is not a Raspberry Pi's.
    board.set_arm_cores(
        (4, "0xd05", f"{_A76_FEATURES}"), (4, "0xd0b", _A76_FEATURES), after="Revision\t: c04170\n"
    )
    board.set_memory(8 * GIB, 7 * GIB, 0)
    board.set_clocks(0, "0 1 2 3", 408, 1800, "schedutil")
    board.set_clocks(4, "4 5", 408, 2256, "schedutil")
    board.set_clocks(6, "6 7", 408, 2256, "schedutil")
    for zone, (kind, celsius) in enumerate(
        [("soc-thermal", 70), ("bigcore0-thermal", 52), ("littlecore-thermal", 49), ("gpu", 90)]
    ):
        board.set_zone(zone, kind, celsius)
    board.set_cooler(0, "gpio-fan", 1)
    board.set_cooler(1, "thermal-cpufreq-0", 0)
    return board


def pc_with_amx(root: Path) -> FakeDevice:
    """A PC of two cores with two threads each."""
    pc = FakeDevice(root)
    core = f"processor\t: {{}}\nmodel name\t: Intel(R) Xeon(R) w5\nflags\t\t: {_AMX_FLAGS}\n"
    pc.write("proc/cpuinfo", "\n".join(core.format(number) for number in range(4)))
    pc.run_on("x86_64", "x86_64")
    pc.write("sys/devices/system/cpu/online", "0-3")
    for number in range(4):
        folder = f"sys/devices/system/cpu/cpu{number}"
        pc.write(f"{folder}/topology/core_cpus_list", "0,2" if number % 2 == 0 else "1,3")
        pc.write(f"{folder}/thermal_throttle/core_throttle_count", "3")
        pc.write(f"{folder}/thermal_throttle/package_throttle_count", "5")
        pc.set_clocks(number, str(number), 800, 3900, "powersave")
    pc.write("sys/class/dmi/id/sys_vendor", "Dell Inc.")
    pc.write("sys/class/dmi/id/product_name", "Precision 5860 Tower")
    pc.set_memory(64 * GIB, 60 * GIB, 8 * GIB)
    pc.set_zone(0, "acpitz", 27.8)
    pc.set_zone(1, "x86_pkg_temp", 61)
    pc.set_cooler(0, "Processor", 0)
    pc.set_cooler(1, "Fan", 1)
    pc.set_cooler(2, "TCC Offset", 10)
    return pc

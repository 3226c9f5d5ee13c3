"""The boards that are emulated: what their kernels say, and which packages they run.

The versions are those of Raspberry Pi OS 12: Debian bookworm and its Python.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DEBIAN = "bookworm"
PYTHON = "3.11"
GLIBC_MINOR = 36

# The only version with a wheel for 32-bit Arm. It is not in requirements.lock, which is for x86-64.
_TFLITE_RUNTIME = (
    "tflite-runtime==2.14.0 "
    "--hash=sha256:c4e66a74165b18089c86788400af19fa551768ac782d231a9beae2f6434f7949"
)
# edgevit wants Pillow 10.3, of which 32-bit Arm has no wheel here, and Debian has 9.4. This is the
# one member that edgevit uses and 9.4 lacks, as Pillow 10.1 has it.
_PILLOW_9 = """\
from PIL import Image


def _has_transparency_data(image):
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


Image.Image.has_transparency_data = property(_has_transparency_data)
"""
_CORES = 4


@dataclass(frozen=True)
class Board:
    """A Raspberry Pi, as programs see it.

    Attributes:
        name: Short, for folders and options.
        model: As its device tree has it.
        compatible: What its device tree says it is compatible with, the chip last.
        machine: What ``uname -m`` says.
        debian: Debian's name of the architecture.
        emulator: QEMU's program.
        cpu: QEMU's name of the processor.
        midr: What the processor calls itself: implementer, variant, architecture, part, revision.
        core_text: One core in ``/proc/cpuinfo``, after its number.
        revision: The board's revision code.
        extras: Of edgevit, as far as they have wheels here.
        debian_packages: Beside Python and the C++ library.
        from_debian: Distributions that those packages bring, for which there is no wheel.
        pins: Wheels that requirements.lock does not have, as lines with their hashes.
        start_up: Modules that its Python imports when it starts: text by name.
        links: Symbolic links that Debian's maintainer scripts would make, by path.
        may_fail: Messages by format and precision: what this board cannot run, and must say so.
    """

    name: str
    model: str
    compatible: tuple[str, ...]
    machine: str
    debian: str
    emulator: str
    cpu: str
    midr: int
    core_text: str
    revision: int
    extras: tuple[str, ...]
    debian_packages: tuple[str, ...] = ()
    from_debian: tuple[str, ...] = ()
    pins: dict[str, str] = field(default_factory=dict)
    start_up: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    may_fail: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, bytes]:
        """What its kernel would say, by path below the root.

        LiteRT and ONNX Runtime crash on the ``/proc/cpuinfo`` of another architecture, and
        OpenVINO asks for ``midr_el1``.
        """
        cores = range(_CORES)
        blocks = [f"processor\t: {core}\n{self.core_text}\n" for core in cores]
        cpu = "sys/devices/system/cpu"
        return {
            "proc/cpuinfo": "\n".join(
                [*blocks, f"Revision\t: {self.revision:06x}\nModel\t\t: {self.model}\n"]
            ).encode(),
            "proc/device-tree/model": f"{self.model}\0".encode(),
            "proc/device-tree/compatible": "".join(f"{x}\0" for x in self.compatible).encode(),
            "proc/device-tree/system/linux,revision": self.revision.to_bytes(4, "big"),
            **{f"{cpu}/{name}": b"0-3\n" for name in ("online", "possible", "present")},
            **{
                f"{cpu}/cpu{core}/regs/identification/midr_el1": f"{self.midr:#018x}\n".encode()
                for core in cores
            },
            **{f"{cpu}/cpu{core}/topology/core_cpus_list": f"{core}\n".encode() for core in cores},
        }


PI_5 = Board(
    name="pi5",
    model="Raspberry Pi 5 Model B Rev 1.0",
    compatible=("raspberrypi,5-model-b", "brcm,bcm2712"),
    machine="aarch64",
    debian="arm64",
    emulator="qemu-aarch64-static",
    cpu="cortex-a76",
    midr=0x414FD0B1,
    core_text=(
        "BogoMIPS\t: 108.00\n"
        "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid "
        "asimdrdm lrcpc dcpop asimddp\n"
        "CPU implementer\t: 0x41\nCPU architecture: 8\n"
        "CPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n"
    ),
    revision=0xD04170,
    extras=("tflite", "onnx", "openvino"),
)

# A Pi 2, because its kernel is a 32-bit one: newer boards run the 32-bit system on a 64-bit kernel.
PI_2 = Board(
    name="pi2",
    model="Raspberry Pi 2 Model B Rev 1.1",
    compatible=("raspberrypi,2-model-b", "brcm,bcm2836"),
    machine="armv7l",
    debian="armhf",
    emulator="qemu-arm-static",
    cpu="cortex-a7",
    midr=0x410FC075,
    core_text=(
        "model name\t: ARMv7 Processor rev 5 (v7l)\nBogoMIPS\t: 38.40\n"
        "Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae "
        "evtstrm\n"
        "CPU implementer\t: 0x41\nCPU architecture: 7\n"
        "CPU variant\t: 0x0\nCPU part\t: 0xc07\nCPU revision\t: 5\n"
    ),
    revision=0xA01041,
    extras=("tflite",),
    debian_packages=("python3-numpy", "python3-pil", "python3-psutil"),
    from_debian=("numpy", "pillow", "psutil"),
    pins={"tflite-runtime": _TFLITE_RUNTIME},
    start_up={"pillow_9": _PILLOW_9},
    links={
        "usr/lib/arm-linux-gnueabihf/libblas.so.3": "blas/libblas.so.3",
        "usr/lib/arm-linux-gnueabihf/liblapack.so.3": "lapack/liblapack.so.3",
    },
    may_fail={
        # It would answer, wrongly.
        ("tflite", "int8"): "tflite-runtime computes wrongly",
        ("tflite", "int8-dynamic"): "tflite-runtime computes wrongly",
        # Its QUANTIZE has no int16, in which a transformer's last layers are.
        ("tflite", "int8-full"): "QUANTIZE",
        **{
            (runtime, precision): package
            for runtime, package in (("onnx", "onnxruntime"), ("openvino", "openvino"))
            for precision in ("fp32", "fp16", "int8", "int8-full", "int8-dynamic")
        },
    },
)

BOARDS = {board.name: board for board in (PI_5, PI_2)}

"""An ``adb`` with one phone behind it: a folder, and programs that answer what a phone answered."""

from __future__ import annotations

import sys
from pathlib import Path

SERIAL = "2A111FDH200ABC"
ARM64, X86_64 = 183, 62

# Shell commands run in this machine's sh, with the phone's paths below its folder.
_ADB = """#!{python} -IS
import os, pathlib, shutil, subprocess, sys
phone = pathlib.Path({phone!r})
words = sys.argv[1:]
if words == ["devices"]:
    print("* daemon started successfully")
    print("List of devices attached")
    print((phone / "devices").read_text())
    sys.exit(0)
assert words[:2] == ["-s", {serial!r}], words
words = words[2:]

def refuse_if_gone():
    if (phone / "gone").exists():
        sys.exit("adb: device '{serial}' not found")

def inside(text):
    for folder in ("/data/local/tmp", "/proc/", "/sys/"):
        text = text.replace(folder, str(phone) + folder)
    return text

refuse_if_gone()
if words[0] == "push":
    source, target = words[1], inside(words[2])
    if (phone / "full").exists():
        sys.exit("adb: error: failed to copy: remote couldn't write: No space left on device")
    program = target.endswith("_benchmark_model")
    shutil.copy(phone / "benchmark_model" if program else source, target)
    print("1 file pushed, 0 skipped.")
else:
    assert words[0] == "shell" and len(words) == 2, words
    path = str(phone / "bin") + os.pathsep + os.environ["PATH"]
    done = subprocess.run(
        ["sh", "-c", inside(words[1])], env=dict(os.environ, PATH=path), capture_output=True
    )
    refuse_if_gone()
    sys.stdout.write(done.stdout.decode().replace(str(phone), "").replace("\\n", "\\r\\n"))
"""

_GETPROP = """#!/bin/sh
case "$1" in
ro.product.cpu.abi) echo arm64-v8a ;;
ro.product.manufacturer) echo Google ;;
ro.product.model) echo "Pixel 7" ;;
ro.soc.manufacturer) echo Google ;;
ro.soc.model) echo GS201 ;;
ro.build.version.release) echo 14 ;;
*) echo ;;
esac
"""

_DUMPSYS = """#!/bin/sh
cat "{phone}/$1"
"""

# Keeps what it was asked, and answers what it was told to.
_BENCHMARK_MODEL = """#!/bin/sh
echo "$*" >>"{phone}/calls"
for word in "$@"; do
  case "$word" in
  --graph=*) [ -f "${{word#--graph=}}" ] || {{ echo "Failed to load model"; exit 1; }} ;;
  --input_layer_value_files=*) cp "${{word#*:}}" "{phone}/photo" ;;
  esac
done
calls=$(wc -l <"{phone}/calls")
if [ -f "{phone}/vanish-at" ] && [ "$calls" -ge "$(cat "{phone}/vanish-at")" ]; then
  touch "{phone}/gone"
fi
case "$*" in
*report_peak*) cat "{phone}/memory-output" ;;
*) cat "{phone}/output-$calls" 2>/dev/null || cat "{phone}/output" ;;
esac
exit "$(cat "{phone}/exit-code")"
"""

THERMAL = """IsStatusOverride: false
Thermal Status: {status}
Cached temperatures:
	Temperature{{mValue=90.1, mType=0, mName=CPU0, mStatus=0}}
HAL Ready: true
Current temperatures from HAL:
	Temperature{{mValue=30.5, mType=3, mName=SKIN, mStatus=0}}
	Temperature{{mValue=41.2, mType=0, mName=CPU0, mStatus=0}}
	Temperature{{mValue=43.7, mType=0, mName=CPU1, mStatus=0}}
	Temperature{{mValue=-99.9, mType=6, mName=POWER_AMPLIFIER, mStatus=0}}
Current cooling devices from HAL:
	CoolingDevice{{mValue=0, mType=2, mName=cpu}}
"""

BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  level: 87
  temperature: 312
"""

CPUINFO = "".join(
    f"processor\t: {core}\nFeatures\t: fp asimd asimddp i8mm\nCPU implementer\t: 0x41\n"
    f"CPU part\t: {part}\n\n"
    for core, part in enumerate(["0xd05"] * 4 + ["0xd41"] * 2 + ["0xd44"] * 2)
)

# LiteRT 2's, shortened; all times are the same, so that every percentile is known.
STEADY = """INFO: STARTING!
INFO: Graph: [/data/local/tmp/edgevit/model.tflite]
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 210 out of 212 node(s) with delegate (TfLiteXNNPackDelegate) node, \
yielding 2 partitions for subgraph 0.
INFO: The input model file size (MB): 88.1
INFO: Initialized session in 119.515ms.
INFO: Running benchmark for at least 2 iterations and at least 0 seconds but terminate if \
exceeding 7200 seconds.
INFO: count=9 curr={warm}(all same) p5={warm} median={warm} p95={warm}

INFO: Running benchmark for at least 20 iterations and at least 0 seconds but terminate if \
exceeding 7200 seconds.
INFO: count=20 curr={time}(all same) p5={time} median={time} p95={time}

INFO: Inference timings in us: Init: 119515, First inference: 87112, Warmup (avg): {warm}, \
Inference (avg): {time}
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only \
APPROXIMATE to the actual memory footprint of the model at runtime.
INFO: Memory footprint delta from the start of the tool (MB): init=55.5 overall=109.75
"""

# What real times look like in it.
USUAL = """INFO: count=9 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478 p5=51629 \
median=51962 p95=87112
INFO: count=1000 first=52162 curr=49785 min=49088 max=686105 avg=1.24027e+06 std=60716 p5=49620 \
median=51891 p95=68628
INFO: Inference timings in us: Init: 119515, First inference: 87112, Warmup (avg): 58147.4, \
Inference (avg): 63743.2
"""

# TensorFlow Lite of 2021: no percentiles, other words for memory.
OLD = """count=1 curr=360262
count=50 first=249042 curr=250889 min=247067 max=254474 avg=249684 std=1442
Inference timings in us: Init: 16242, First inference: 360262, Warmup (avg): 304586, \
Inference (avg): 249684
Peak memory footprint (MB): init=4.92969 overall=138.809
"""

PEAK = "INFO: Overall peak memory footprint (MB) via periodic monitoring: 113.75\n"


def write_elf(path: Path, machine: int = ARM64, elf_class: int = 2) -> Path:
    """Write the head of a program for Android; the rest is never read."""
    head = b"\x7fELF" + bytes([elf_class, 1, 1]) + bytes(9)
    path.write_bytes(head + (3).to_bytes(2, "little") + machine.to_bytes(2, "little"))
    return path


class FakePhone:
    """The phone's folder, and the ``adb`` that reaches it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.adb = folder / "adb"
        (folder / "bin").mkdir(parents=True)
        (folder / "data/local/tmp").mkdir(parents=True)
        policy = "sys/devices/system/cpu/cpufreq/policy0"
        files = {
            "proc/cpuinfo": CPUINFO,
            "proc/meminfo": "MemTotal: 7865432 kB\nMemAvailable: 4000000 kB\n",
            f"{policy}/related_cpus": "0 1 2 3\n",
            f"{policy}/affected_cpus": "0 1 2 3\n",
            f"{policy}/scaling_governor": "sched_pixel\n",
            f"{policy}/scaling_max_freq": "1803000\n",
            "devices": f"{SERIAL}\tdevice\n",
            "thermalservice": THERMAL.format(status=0),
            "battery": BATTERY,
            "output": STEADY.format(warm=10100, time=10000),
            "memory-output": STEADY.format(warm=10100, time=10000) + PEAK,
            "exit-code": "0",
        }
        for name, text in files.items():
            self.write(name, text)
        names = {"phone": str(folder), "python": sys.executable, "serial": SERIAL}
        for name, text in {
            "adb": _ADB.format(**names),
            "bin/getprop": _GETPROP,
            "bin/dumpsys": _DUMPSYS.format(**names),
            "benchmark_model": _BENCHMARK_MODEL.format(**names),
        }.items():
            self.write(name, text)
            (folder / name).chmod(0o755)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def calls(self) -> list[str]:
        """The words of each call of benchmark_model."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.is_file() else []

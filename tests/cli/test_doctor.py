from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import edgevit
from edgevit import machine
from edgevit.cli.main import main
from edgevit.machine import describe_machine

_PI_5_CPU = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1
"""
_PI_5_MODEL = "Raspberry Pi 5 Model B Rev 1.0"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    root = tmp_path / "pi"
    cores = "\n".join(_PI_5_CPU.replace("processor\t: 0", f"processor\t: {n}") for n in range(4))
    write(root / "proc/cpuinfo", cores)
    write(root / "proc/device-tree/model", f"{_PI_5_MODEL}\0")
    write(root / "etc/os-release", 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    write(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n")
    return root


def test_doctor_json_describes_the_board_when_on_a_pi(
    pi: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "SYSTEM_ROOT", pi)
    assert main(["doctor", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)["machine"]
    assert seen["board"] == _PI_5_MODEL
    assert seen["cpu"]["model"] == "Cortex-A76"
    assert seen["cpu"]["governor"] == "ondemand"
    assert seen["cpu"]["features"]["asimddp"] is True
    assert seen["cpu"]["features"]["i8mm"] is False
    assert seen["system"].startswith("Debian GNU/Linux 12 (bookworm)")
    assert seen["accelerators"] == []


def test_doctor_says_none_seen_when_there_is_no_accelerator(
    pi: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "SYSTEM_ROOT", pi)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "accelerators      none seen" in out
    assert "without           i8mm bf16 sve" in out


def test_describe_machine_counts_a_feature_only_when_every_core_has_it(pi: Path) -> None:
    little = _PI_5_CPU.replace(" asimddp", "").replace("0xd0b", "0xd03")
    write(pi / "proc/cpuinfo", f"{_PI_5_CPU}\n{little}")
    cpu = describe_machine(pi).cpu
    assert cpu.model == "Cortex-A76 + Cortex-A53"
    assert cpu.features["asimddp"] is False
    assert cpu.features["asimd"] is True


def test_describe_machine_gives_the_numbers_when_the_arm_core_is_unknown(pi: Path) -> None:
    write(pi / "proc/cpuinfo", _PI_5_CPU.replace("0xd0b", "0xfff"))
    assert describe_machine(pi).cpu.model == "Arm implementer 0x41 part 0xfff"


def test_describe_machine_sees_accelerators_when_their_files_are_there(pi: Path) -> None:
    write(pi / "dev/dri/renderD128", "")
    write(pi / "sys/class/drm/renderD128/device/uevent", "DRIVER=v3d\n")
    write(pi / "dev/accel/accel0", "")
    write(pi / "dev/apex_0", "")
    write(pi / "sys/bus/usb/devices/2-1/idVendor", "18d1\n")
    write(pi / "sys/bus/usb/devices/2-1/idProduct", "9302\n")
    write(pi / "proc/driver/nvidia/gpus/0/information", "Model: \t NVIDIA Orin\nIRQ: 1\n")
    seen = [(item.kind, item.name) for item in describe_machine(pi).accelerators]
    assert seen == [
        ("gpu", "NVIDIA Orin"),
        ("gpu", "/dev/dri/renderD128 (driver v3d)"),
        ("npu", "/dev/accel/accel0"),
        ("edge-tpu", "/dev/apex_0"),
        ("edge-tpu", "Coral USB (2-1)"),
    ]


def test_describe_machine_reads_x86_flags_when_on_x86(pi: Path) -> None:
    write(pi / "proc/cpuinfo", "model name\t: A CPU\nflags\t\t: fpu avx2 amx_int8\n")
    cpu = describe_machine(pi).cpu
    assert cpu.model == "A CPU"
    assert {name for name, present in cpu.features.items() if present} == {"avx2", "amx_int8"}


def test_describe_machine_survives_when_the_kernel_gives_no_files(tmp_path: Path) -> None:
    seen = describe_machine(tmp_path)
    assert seen.cpu.model
    assert seen.cpu.features == {}
    assert seen.board is None
    assert seen.cpu.logical_cores >= 1


@pytest.fixture
def light_install(tmp_path: Path) -> dict[str, str]:
    """An environment that holds the light install only: the core requirements of edgevit."""
    site = tmp_path / "site"
    site.mkdir()
    modules = ["click", "numpy", "PIL", "rich", "psutil", "pygments", "markdown_it", "mdurl"]
    for name in modules:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        (site / name).symlink_to(package)
        libraries = package.parent / f"{'pillow' if name == 'PIL' else name}.libs"
        if libraries.is_dir():
            (site / libraries.name).symlink_to(libraries)
    for name in ("click", "numpy", "pillow", "rich", "psutil"):
        files = metadata.distribution(name).files or []
        record = next(file for file in files if file.name == "METADATA")
        info = Path(str(record.locate())).parent
        (site / info.name).symlink_to(info)
    (site / "edgevit").symlink_to(Path(edgevit.__file__).parent)
    return {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}


def test_doctor_names_the_install_commands_when_only_the_light_install_is_there(
    light_install: dict[str, str],
) -> None:
    done = subprocess.run(
        # -S: no site-packages.
        [sys.executable, "-S", "-m", "edgevit", "doctor"],
        env=light_install,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("  ")}
    assert lines["tflite"].endswith("not installed: pip install 'edgevit[tflite]'")
    assert lines["keras"].endswith("not installed: pip install 'edgevit[train]'")
    assert lines["tensorflow"].endswith("not installed: pip install 'edgevit[train]'")
    assert lines["litert-quantizer"].endswith("not installed: pip install 'edgevit[export]'")
    assert metadata.version("numpy") in lines["numpy"]


def test_doctor_imports_no_framework_when_all_are_installed() -> None:
    code = (
        "import sys\n"
        "from edgevit.cli.main import main\n"
        "assert main(['doctor']) == 0\n"
        "assert not {'tensorflow', 'keras', 'ai_edge_litert', 'rich'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert metadata.version("tensorflow") in done.stdout

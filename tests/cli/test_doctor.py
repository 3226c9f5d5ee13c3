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
from tests import devices
from tests.devices import FakeDevice


def doctor_lines(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, str]:
    """What `edgevit doctor` says about a device, by the name of the line."""
    monkeypatch.setattr(machine, "SYSTEM_ROOT", device.root)
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out.partition("Machine\n")[2].partition("\n\n")[0]
    return {line[2:19].rstrip(): line[20:] for line in text.splitlines()}


def test_doctor_json_describes_the_board_when_on_a_pi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "SYSTEM_ROOT", devices.pi_5(tmp_path).root)
    assert main(["doctor", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)["machine"]
    assert seen["board"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert seen["revision"]["code"] == "c04170"
    assert seen["cpu"]["model"] == "Cortex-A76"
    assert seen["cpu"]["clocks"][0]["governor"] == "ondemand"
    assert seen["cpu"]["features"]["asimddp"] is True
    assert seen["cpu"]["features"]["i8mm"] is False
    assert seen["system"].startswith("Debian GNU/Linux 12 (bookworm)")
    assert seen["throttled"] == 0
    assert seen["accelerators"] == []


def test_doctor_describes_the_board_when_on_a_pi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = doctor_lines(devices.pi_5(tmp_path), monkeypatch, capsys)
    assert lines["board"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert lines["revision"] == "c04170 (5, 1.0, BCM2712, 4.0 GiB fitted, Sony UK)"
    assert lines["chip"] == "brcm,bcm2712"
    assert lines["cores"] == "4 physical, 4 logical"
    assert lines["without"] == "i8mm bf16 sve"
    assert lines["governor"] == "ondemand"
    assert lines["clocks"] == "1500–2400 MHz on cores 0-3, now 1500"
    assert lines["temperature"] == "48.3 °C"
    assert lines["throttling"] == "none seen"
    assert lines["power supply"] == "5000 mA"
    assert lines["memory"] == "4.0 GiB, 3.0 GiB available, 0.5 GiB swap"
    assert lines["accelerators"] == "none seen"
    assert "userland" not in lines


def test_doctor_says_what_is_wrong_when_a_pi_is_not_at_its_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pi = devices.pi_4_with_32_bit_system(tmp_path)
    pi.set_throttled_file(0x50001)
    pi.write("sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq", "1000000")
    lines = doctor_lines(pi, monkeypatch, capsys)
    assert lines["throttling"] == "under-voltage, under-voltage since boot, throttled since boot"
    assert lines["userland"].startswith("32-bit on a 64-bit kernel")
    assert lines["clocks"].startswith("600–1000 MHz (limited, the hardware has 1500) on cores 0-3")


def test_doctor_leaves_out_what_a_pc_does_not_have_when_on_a_pc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = doctor_lines(devices.pc_with_amx(tmp_path), monkeypatch, capsys)
    assert lines["board"] == "Dell Inc. Precision 5860 Tower"
    assert "amx_int8" in lines["features"]
    assert not {"revision", "chip", "throttling", "power supply", "runs in"} & set(lines)


def test_doctor_says_unknown_when_there_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = doctor_lines(FakeDevice(tmp_path), monkeypatch, capsys)
    assert (lines["memory"], lines["features"]) == ("unknown", "none known")
    assert "clocks" not in lines


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

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgevit.bench.targets import base
from edgevit.bench.targets.pi import PI_MODELS, find_model
from edgevit.bench.targets.registry import TARGETS, resolve
from edgevit.errors import InputError
from edgevit.machine import Accelerator, Machine, describe_machine
from edgevit.runtimes.base import CPU_DEVICE, Device, DeviceSupport
from edgevit.runtimes.registry import RUNTIMES
from tests import devices
from tests.devices import FakeDevice

PI, CPU, NPU, GPU = (TARGETS.get(name) for name in ("pi", "cpu", "npu", "gpu"))


def machine_of(make: Callable[[Path], FakeDevice], root: Path) -> Machine:
    return describe_machine(make(root).root)


@pytest.fixture(autouse=True)
def free_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that are only files cannot be bound to the cores of this machine."""
    monkeypatch.setattr(base, "cpu_affinity", lambda: ())


def test_auto_is_pi_when_the_machine_is_one(tmp_path: Path) -> None:
    for number, make in enumerate((devices.pi_5, devices.pi_4, devices.pi_zero_2_w)):
        assert resolve("auto", machine_of(make, tmp_path / str(number))) is PI


def test_auto_is_cpu_when_the_machine_is_no_pi(tmp_path: Path) -> None:
    assert resolve("auto", machine_of(devices.rock_5b, tmp_path / "rock")) is CPU
    assert resolve("auto", machine_of(devices.pc_with_amx, tmp_path / "pc")) is CPU


def test_resolve_lists_the_names_when_there_is_no_such_target(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown target 'tpu'.*cpu, pi, npu, gpu"):
        resolve("tpu", machine_of(devices.pi_5, tmp_path))


def test_check_names_the_board_when_pi_is_asked_for_elsewhere(tmp_path: Path) -> None:
    PI.check(machine_of(devices.pi_5, tmp_path / "pi"))
    rock = machine_of(devices.rock_5b, tmp_path / "rock")
    assert rock.board is not None
    with pytest.raises(InputError, match=rock.board):
        PI.check(rock)
    nameless = dataclasses.replace(rock, board=None)
    with pytest.raises(InputError, match="no board names itself"):
        PI.check(nameless)
    for target in (CPU, NPU, GPU):
        target.check(nameless)


@pytest.mark.parametrize(
    ("physical", "logical", "allowed", "expected"),
    [
        (4, 4, (), (1, 4)),
        (8, 16, tuple(range(16)), (1, 8)),  # hardware threads are not cores
        (64, 128, (3, 4), (1, 2)),  # a container's two
        (None, 6, (), (1, 6)),
        (1, 1, (0,), (1,)),
    ],
)
def test_threads_are_one_and_all_cores_when_none_are_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    physical: int | None,
    logical: int,
    allowed: tuple[int, ...],
    expected: tuple[int, ...],
) -> None:
    machine = machine_of(devices.pi_5, tmp_path)
    cpu = dataclasses.replace(machine.cpu, physical_cores=physical, logical_cores=logical)
    machine = dataclasses.replace(machine, cpu=cpu)
    monkeypatch.setattr(base, "cpu_affinity", lambda: allowed)
    assert CPU.default_threads(machine) == PI.default_threads(machine) == expected
    assert NPU.default_threads(machine) == GPU.default_threads(machine) == expected[-1:]


@pytest.mark.parametrize("format_name", ["tflite", "onnx", "openvino"])
def test_devices_are_the_runtimes_when_the_target_is_an_accelerator(format_name: str) -> None:
    runtime, delegate = RUNTIMES.get(format_name), Path("libmine.so")
    for target in (CPU, PI):
        assert target.devices(runtime, delegate) == (DeviceSupport(CPU_DEVICE, ""),)
    assert NPU.devices(runtime, None) == runtime.devices("npu", None)
    assert GPU.devices(runtime, None) == runtime.devices("gpu", None)
    if format_name == "tflite":
        (support,) = NPU.devices(runtime, delegate)
        assert support.device == Device("npu", "libmine.so")


def test_notes_name_the_target_of_each_accelerator_when_the_cpu_is_measured(tmp_path: Path) -> None:
    machine = machine_of(devices.pi_5, tmp_path)
    hailo = Accelerator("npu", "/dev/hailo0")
    coral = Accelerator("edge-tpu", "Coral USB (1-1)")
    gpu = Accelerator("gpu", "NVIDIA H100")
    machine = dataclasses.replace(machine, accelerators=(hailo, coral, gpu))
    for target in (CPU, PI):
        notes = target.notes(machine)
        assert "/dev/hailo0 is here: --target npu measures it" in notes
        assert "Coral USB (1-1) is here: --target npu measures it" in notes
        assert "NVIDIA H100 is here: --target gpu measures it" in notes
    assert NPU.notes(machine) == ("the system lists /dev/hailo0, Coral USB (1-1)",)
    assert GPU.notes(machine) == ("the system lists NVIDIA H100",)
    alone = dataclasses.replace(machine, accelerators=())
    assert CPU.notes(alone) == ()
    assert "lists no NPU" in NPU.notes(alone)[0]


def test_notes_tell_chip_cores_and_dot_products_when_the_pi_is_known(tmp_path: Path) -> None:
    five = " | ".join(PI.notes(machine_of(devices.pi_5, tmp_path / "5")))
    assert "Raspberry Pi 5: BCM2712, 4 × Cortex-A76 at up to 2.4 GHz, with int8 dot" in five
    assert "Active Cooler" in five
    assert "80 °C" in five
    four = " | ".join(PI.notes(machine_of(devices.pi_4, tmp_path / "4")))
    assert "BCM2711, 4 × Cortex-A72" in four
    assert "without int8 dot products" in four
    zero = " | ".join(PI.notes(machine_of(devices.pi_zero_2_w, tmp_path / "0")))
    assert "4 × Cortex-A53 at up to 1 GHz" in zero


def test_dot_products_are_those_of_the_kernel_when_the_device_lists_them(tmp_path: Path) -> None:
    for number, make in enumerate((devices.pi_5, devices.pi_4, devices.pi_zero_2_w)):
        machine = machine_of(make, tmp_path / str(number))
        model = find_model(machine.board)
        assert model is not None
        assert machine.cpu.features["asimddp"] == model.has_dot_products
        assert machine.cpu.model == model.core
        assert machine.cpu.physical_cores == model.core_count


@pytest.mark.parametrize(
    ("board", "chip"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0", "BCM2712"),
        ("Raspberry Pi 500 Rev 1.0", "BCM2712"),
        ("Raspberry Pi Compute Module 5 Rev 1.0", "BCM2712"),
        ("Raspberry Pi 4 Model B Rev 1.5", "BCM2711"),
        ("Raspberry Pi 400 Rev 1.0", "BCM2711"),
        ("Raspberry Pi Compute Module 4 Rev 1.1", "BCM2711"),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", "BCM2837B0"),
        ("Raspberry Pi 3 Model B Rev 1.2", "BCM2837"),
        ("Raspberry Pi Zero 2 W Rev 1.0", "BCM2710A1"),
        ("Raspberry Pi Zero W Rev 1.1", "BCM2835"),
        ("Raspberry Pi Model B Plus Rev 1.2", "BCM2835"),
    ],
)
def test_model_is_found_when_the_device_tree_names_it(board: str, chip: str) -> None:
    model = find_model(board)
    assert model is not None
    assert model.soc == chip


def test_longer_names_come_first_when_two_models_begin_alike() -> None:
    for index, model in enumerate(PI_MODELS):
        assert not any(model.board.startswith(earlier.board) for earlier in PI_MODELS[:index])


def test_notes_expect_nothing_when_the_model_is_still_to_come(tmp_path: Path) -> None:
    five = machine_of(devices.pi_5, tmp_path)
    machine = dataclasses.replace(five, board="Raspberry Pi 6 Model B Rev 1.0")
    PI.check(machine)
    assert "Raspberry Pi 6 Model B Rev 1.0 is not among the models" in PI.notes(machine)[0]
    assert PI.expected_latency_ms(machine, "vgg16", "fp32") is None
    assert find_model("Radxa ROCK 5B") is find_model(None) is None


def test_notes_say_what_runs_when_the_system_has_32_bits(tmp_path: Path) -> None:
    machine = machine_of(devices.pi_4_with_32_bit_system, tmp_path / "32")
    (note,) = [note for note in PI.notes(machine) if "32-bit" in note]
    assert "tflite-runtime" in note
    assert "64-bit system runs" in note
    whole = PI.notes(machine_of(devices.pi_4, tmp_path / "64"))
    assert not any("32-bit" in note for note in whole)
    oldest = dataclasses.replace(machine, board="Raspberry Pi Zero W Rev 1.1")
    assert any("no runtime has a wheel for ARMv6" in note for note in PI.notes(oldest))


@pytest.mark.parametrize(
    ("make", "model", "precision", "latency_ms"),
    [
        (devices.pi_5, "vgg16", "fp32", 128),
        (devices.pi_5, "vgg16", "int8", 106),
        (devices.pi_5, "vit-b32", "fp32", 601),
        (devices.pi_4, "vgg16", "fp32", 542),
        (devices.pi_4, "vgg16", "int8", 391),
        (devices.pi_4, "vit-b32", "fp32", 1872),
    ],
)
def test_published_latency_is_told_with_its_source_when_there_is_one(
    tmp_path: Path,
    make: Callable[[Path], FakeDevice],
    model: str,
    precision: str,
    latency_ms: float,
) -> None:
    machine = machine_of(make, tmp_path)
    published = PI.expected_latency_ms(machine, model, precision)
    assert published is not None
    assert published.latency_ms == latency_ms
    assert "ncnn's benchmark page, its own runtime" in published.source
    assert ("384×384" in published.source) == (model == "vit-b32")  # another size than the model's
    assert all(other.expected_latency_ms(machine, model, precision) is None for other in (CPU, NPU))


def test_nothing_is_expected_when_nobody_published_it(tmp_path: Path) -> None:
    five = machine_of(devices.pi_5, tmp_path)
    assert PI.expected_latency_ms(five, "vit-b32", "int8") is None
    assert PI.expected_latency_ms(five, "vit-tiny", "fp32") is None
    keyboard = dataclasses.replace(five, board="Raspberry Pi 500 Rev 1.0")
    assert PI.expected_latency_ms(keyboard, "vgg16", "fp32") is None


def test_no_runtime_is_imported_when_the_targets_are() -> None:
    code = (
        "import sys, edgevit.bench.targets.registry\n"
        "heavy = {'tensorflow', 'keras', 'onnxruntime', 'openvino', 'ai_edge_litert', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

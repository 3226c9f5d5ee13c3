"""Delegates, providers and devices, with real libraries where they can be had."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgevit.errors import InputError
from edgevit.runtimes import delegates, libraries, onnx_providers
from edgevit.runtimes.base import CPU_DEVICE, Device, DeviceKind
from edgevit.runtimes.classifier import open_classifier
from edgevit.runtimes.onnx import OnnxRuntime
from edgevit.runtimes.openvino import OpenVinoRuntime, compile_model, profile
from edgevit.runtimes.tflite import TFLiteRuntime, placement_of
from tests.bench.standin import COLOURS
from tests.runtimes.compiled import SOFTMAX, compile_delegate
from tests.runtimes.template import LABELS, PHOTOS, colour_files


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(colour_files("tflite", "fp32")["model.tflite"])
    return path


def write(format_name: str, folder: Path) -> Path:
    for name, data in colour_files(format_name, "fp32").items():
        (folder / name).write_bytes(data)
    return folder / {"onnx": "model.onnx", "openvino": "model.xml"}[format_name]


# LiteRT delegates


def test_ops_share_counts_the_delegates_ops_when_it_takes_one_of_four(
    tmp_path: Path, model: Path
) -> None:
    library = compile_delegate(tmp_path, f"TAKES={SOFTMAX}")
    device = Device("npu", str(library))
    ops, times, detail = TFLiteRuntime().accelerator_share(model, 1, device, PHOTOS[:1])
    assert (ops, times) == (0.25, None)
    assert detail.startswith(f"{library.name}: 1 of 4 ops, 1 partition; XNNPACK: 2 of 4 ops")
    assert "LiteRT does not give the time" in detail

    session = TFLiteRuntime().open(model, 1, device)
    assert session.placement().ops == {library.name: 1, "XNNPACK": 2, "CPU kernels": 1}
    on_cpu = TFLiteRuntime().open(model, 1)
    for index in range(len(PHOTOS)):
        photo = PHOTOS[index : index + 1]
        np.testing.assert_allclose(session.invoke(photo), on_cpu.invoke(photo), atol=1e-6)


def test_ops_share_is_none_of_xnnpacks_when_the_delegate_takes_nothing(
    tmp_path: Path, model: Path
) -> None:
    library = compile_delegate(tmp_path)
    device = Device("npu", str(library))
    ops, _, detail = TFLiteRuntime().accelerator_share(model, 1, device, PHOTOS[:1])
    assert ops == 0
    assert detail.startswith(f"{library.name}: 0 of 4 ops, 0 partitions; XNNPACK: 3 of 4 ops")
    assert TFLiteRuntime().open(model, 1, device).invoke(PHOTOS[:1]).argmax() == LABELS[0]


def test_ops_share_is_unknown_when_the_private_list_of_ops_is_gone(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device("npu", str(compile_delegate(tmp_path, f"TAKES={SOFTMAX}")))
    monkeypatch.delattr("ai_edge_litert.interpreter.Interpreter._get_ops_details")
    ops, _, detail = TFLiteRuntime().accelerator_share(model, 1, device, PHOTOS[:1])
    assert ops is None
    assert "unknown" in detail


def test_only_the_process_that_opens_it_dies_when_a_delegate_aborts(
    tmp_path: Path, model: Path
) -> None:
    library = compile_delegate(tmp_path, "ABORTS")
    (support,) = TFLiteRuntime().devices("npu", library)  # looking at it does not load it
    assert support.absent == ""
    code = (
        "import sys; from pathlib import Path\n"
        "from edgevit.runtimes.base import Device\n"
        "from edgevit.runtimes.tflite import TFLiteRuntime\n"
        "TFLiteRuntime().open(Path(sys.argv[1]), 1, Device('npu', sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(model), str(library)], check=False, timeout=60
    )
    assert done.returncode == -signal.SIGABRT


def test_open_gives_the_delegates_reason_when_it_finds_no_device(
    tmp_path: Path, model: Path
) -> None:
    library = compile_delegate(tmp_path, "REFUSES")
    with pytest.raises(InputError, match=r"no device is plugged in.*may open it") as caught:
        TFLiteRuntime().open(model, 1, Device("npu", str(library)))
    assert "\n" not in str(caught.value)


def test_open_names_the_device_when_the_delegate_cannot_take_the_model(
    tmp_path: Path, model: Path
) -> None:
    library = compile_delegate(tmp_path, "FAILS")
    with pytest.raises(InputError, match=rf"model\.tflite cannot be loaded on npu {library}"):
        TFLiteRuntime().open(model, 1, Device("npu", str(library)))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "does not exist"),
        (b"", "is no shared library"),
        (b"not a library", "is no shared library"),
        (b"\x7fELF and nothing else", f"it has no {delegates.SYMBOL}"),
        (b"\x7fELF" + delegates.SYMBOL.encode(), "cannot be used .*too short"),
    ],
)
def test_open_refuses_a_delegate_when_it_is_none(
    tmp_path: Path, model: Path, content: bytes | None, complaint: str
) -> None:
    library = tmp_path / "libx.so"
    if content is not None:
        library.write_bytes(content)
    (support,) = TFLiteRuntime().devices("npu", library)
    assert support.absent == ""  # an error of the row, which ends only that
    with pytest.raises(InputError, match=complaint) as caught:
        TFLiteRuntime().open(model, 1, support.device)
    assert str(library) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_open_classifier_takes_the_device_when_given_one(tmp_path: Path, bundle: Path) -> None:
    library = compile_delegate(tmp_path, f"TAKES={SOFTMAX}")
    classifier = open_classifier(bundle, 1, Device("npu", str(library)))
    assert classifier.session.placement().ops[library.name] == 1
    assert classifier.labels == COLOURS


@pytest.fixture
def library_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "lib"
    folder.mkdir()
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/nowhere:{folder}")
    return folder


def test_known_delegates_are_found_when_installed(library_folder: Path) -> None:
    edge_tpu = library_folder / "libedgetpu.so.1"
    edge_tpu.write_bytes(b"\x7fELF")
    found = TFLiteRuntime().devices("npu", None)
    assert Device("npu", str(edge_tpu)) in [support.device for support in found]
    assert not any(support.absent for support in found)


def test_bare_name_is_looked_up_when_no_file_is_called_so(library_folder: Path) -> None:
    library = library_folder / "libmine.so"
    library.write_bytes(b"\x7fELF")
    (support,) = TFLiteRuntime().devices("gpu", Path("libmine.so"))
    assert support.device == Device("gpu", str(library))
    (support,) = TFLiteRuntime().devices("gpu", Path("libothers.so"))
    assert support.device == Device("gpu", "libothers.so")


def test_absent_delegates_are_named_when_none_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(libraries, "library_folders", lambda: ())
    (support,) = TFLiteRuntime().devices("npu", None)
    assert "libedgetpu.so.1" in support.absent
    assert "libvx_delegate.so" in support.absent
    assert "--delegate PATH" in support.absent


def test_a_library_belongs_to_the_runtime_whose_symbol_it_has_when_several_are_asked(
    tmp_path: Path,
) -> None:
    provider = tmp_path / "libprovider.so"
    provider.write_bytes(b"\x7fELF CreateEpFactories")
    (litert,) = TFLiteRuntime().devices("npu", provider)
    assert litert.absent.endswith("is an ONNX Runtime provider, not a LiteRT delegate")
    (onnx,) = OnnxRuntime().devices("npu", provider)
    assert (onnx.device, onnx.absent) == (Device("npu", str(provider)), "")

    delegate = tmp_path / "libdelegate.so"
    delegate.write_bytes(b"\x7fELF" + delegates.SYMBOL.encode())
    assert str(delegate) not in [
        each.device.name for each in OnnxRuntime().devices("npu", delegate)
    ]
    assert OpenVinoRuntime().devices("npu", delegate) == OpenVinoRuntime().devices("npu", None)


def test_placement_of_tells_two_delegates_apart_when_both_took_ops() -> None:
    ops = [
        {"index": 0, "op_name": "CONV_2D", "inputs": [0], "outputs": [1]},
        {"index": 1, "op_name": "CONV_2D", "inputs": [1], "outputs": [2]},
        {"index": 2, "op_name": "CUMSUM", "inputs": [2], "outputs": [3]},
        {"index": 3, "op_name": "SOFTMAX", "inputs": [3], "outputs": [4]},
        {"index": 4, "op_name": "DELEGATE", "inputs": [0], "outputs": [2]},
        {"index": 5, "op_name": "DELEGATE", "inputs": [3], "outputs": [4]},
    ]
    placement = placement_of(ops, "libnpu.so", [4])
    assert placement.ops == {"libnpu.so": 2, "XNNPACK": 1, "CPU kernels": 1}
    assert placement.partitions == 2
    assert placement.summary == (
        "libnpu.so: 2 of 4 ops, 1 partition; XNNPACK: 1 of 4 ops, 1 partition; "
        "CPU kernels: 1 (CUMSUM)"
    )


# OpenVINO


def test_open_fails_with_the_reason_when_openvino_has_no_such_device(tmp_path: Path) -> None:
    path = write("openvino", tmp_path)
    with pytest.raises(InputError, match=r"loaded for gpu GPU\.7 .*Measure it on the CPU"):
        OpenVinoRuntime().open(path, 1, Device("gpu", "GPU.7"))


def test_cpu_settings_stay_away_when_the_device_is_another(tmp_path: Path) -> None:
    asked: list[Any] = []

    class Core:
        """Stands in for a machine with an NPU that knows float16 only."""

        available_devices: tuple[str, ...] = ("CPU", "NPU")

        def read_model(self, path: Path) -> Any:
            return SimpleNamespace(
                has_rt_info=lambda key: True,
                get_rt_info=lambda key: SimpleNamespace(astype=lambda kind: "f32"),
            )

        def get_property(self, device: str, name: str) -> Any:
            return {
                "SUPPORTED_PROPERTIES": {"INFERENCE_PRECISION_HINT": "RW"},
                "OPTIMIZATION_CAPABILITIES": ["FP16", "INT8"],
            }[name]

        def compile_model(self, model: Any, device: str, settings: dict[str, Any]) -> str:
            asked.append((device, settings))
            return "compiled"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("openvino.Core", Core)
        compile_model(write("openvino", tmp_path), 3, Device("npu", "NPU"))
        assert asked == [("NPU", {"PERFORMANCE_HINT": "LATENCY"})]
        (support,) = OpenVinoRuntime().devices("npu", None)
        assert (support.device, support.absent) == (Device("npu", "NPU"), "")
        (support,) = OpenVinoRuntime().devices("gpu", None)
        assert support.absent.startswith("OpenVINO finds only CPU, NPU here: install")


def test_profile_counts_and_times_every_op_when_the_device_is_real(tmp_path: Path) -> None:
    compiled = compile_model(write("openvino", tmp_path), 1, profiled=True)
    ops, times_us = profile(compiled, "CPU", PHOTOS[:3])
    assert ops.keys() == times_us.keys() == {"CPU"}
    assert ops["CPU"] >= 3  # cast, dense, softmax
    assert times_us["CPU"] > 0


def test_profile_finds_what_a_gpu_left_to_the_host_when_it_says_so() -> None:
    def op(kind: str, microseconds: int, status: str = "EXECUTED") -> Any:
        time = np.timedelta64(microseconds, "us").astype(object)
        return SimpleNamespace(
            status=SimpleNamespace(name=status), node_type="Op", exec_type=kind, real_time=time
        )

    request = SimpleNamespace(
        infer=lambda inputs: None,
        profiling_info=[op("gemm_tiled_opt__f16", 90), op("CPU", 10), op("undef", 5, "NOT_RUN")],
    )
    compiled = SimpleNamespace(create_infer_request=lambda: request)
    ops, times_us = profile(compiled, "GPU.0", PHOTOS[:2])
    assert ops == {"GPU.0": 1, "CPU": 1}
    assert times_us == {"GPU.0": 180, "CPU": 20}


# ONNX Runtime


def test_absence_lists_what_is_built_in_when_there_is_no_provider_for_a_device() -> None:
    if set(onnxruntime.get_available_providers()) & set(onnx_providers.PROVIDERS["npu"]):
        pytest.skip("this ONNX Runtime has a provider for NPUs")
    (support,) = OnnxRuntime().devices("npu", None)
    assert "only has" in support.absent
    assert "CPUExecutionProvider" in support.absent
    assert "install onnxruntime-qnn" in support.absent


def test_open_refuses_when_the_provider_is_not_built_in(tmp_path: Path) -> None:
    path = write("onnx", tmp_path)
    with pytest.raises(InputError, match="has no RknpuExecutionProvider"):
        OnnxRuntime().open(path, 1, Device("npu", "RknpuExecutionProvider"))


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_open_refuses_when_a_provider_was_dropped_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # CUDA's provider is listed wherever its package is installed, with or without a GPU.
    listed = ["CUDAExecutionProvider", *onnxruntime.get_available_providers()]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
    path = write("onnx", tmp_path)
    (support,) = OnnxRuntime().devices("gpu", None)
    assert support.device == Device("gpu", "CUDAExecutionProvider")
    with pytest.raises(InputError, match=r"CUDAExecutionProvider could not start, .*would run on"):
        OnnxRuntime().open(path, 1, support.device)


@pytest.mark.parametrize("content", [b"not a library", b"\x7fELF CreateEpFactories"])
def test_open_refuses_a_providers_library_when_it_is_none(tmp_path: Path, content: bytes) -> None:
    library = tmp_path / "libprovider.so"
    library.write_bytes(content)
    with pytest.raises(InputError, match=r"libprovider\.so") as caught:
        OnnxRuntime().open(write("onnx", tmp_path), 1, Device("npu", str(library)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("devices", "kind", "absent"),
    [
        (["CPU"], "npu", "OpenVINOExecutionProvider finds only CPU here"),
        (["CPU", "NPU"], "npu", ""),
        (["CPU", "GPU.0"], "gpu", ""),
        (["CPU"], "cpu", ""),
    ],
)
def test_openvinos_provider_is_absent_when_it_has_no_such_device(
    devices: list[str], kind: DeviceKind, absent: str
) -> None:
    state = SimpleNamespace(get_available_openvino_device_ids=lambda: devices)
    module = SimpleNamespace(
        capi=SimpleNamespace(_pybind_state=state),
        get_available_providers=lambda: ["OpenVINOExecutionProvider", "CPUExecutionProvider"],
    )
    support = onnx_providers.provider_devices(module, kind, None)[-1]
    assert support.device == Device(kind, "OpenVINOExecutionProvider")
    assert support.absent.startswith(absent)
    assert bool(support.absent) == bool(absent)


def node(provider: str, microseconds: int, name: str = "op_kernel_time") -> dict[str, Any]:
    return {"cat": "Node", "name": name, "dur": microseconds, "args": {"provider": provider}}


def test_profile_adds_up_by_provider_and_leaves_out_the_first_run_when_there_are_more(
    tmp_path: Path,
) -> None:
    run = {"cat": "Session", "name": "model_run", "dur": 1, "args": {}}
    path = tmp_path / "profile.json"
    path.write_text(json.dumps([node("NPU", 5000), run, node("NPU", 60), node("CPU", 40), run]))
    assert onnx_providers.profiled_times_us(path) == {"NPU": 60, "CPU": 40}
    path.write_text(json.dumps([node("NPU", 5), node("NPU", 9, "op_fence_before"), run]))
    assert onnx_providers.profiled_times_us(path) == {"NPU": 5}


def test_share_is_of_ops_and_time_when_a_session_is_profiled(tmp_path: Path) -> None:
    path = write("onnx", tmp_path)
    ops, times, detail = OnnxRuntime().accelerator_share(path, 1, CPU_DEVICE, PHOTOS[:3])
    assert (ops, times) == (1, 1)
    assert detail == "CPUExecutionProvider: 5 nodes"
    assert sorted(tmp_path.iterdir()) == [path]  # the profile is gone


def test_ops_share_is_unknown_when_onnx_runtime_is_too_old_to_list_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "get_provider_graph_assignment_info"
    (owner,) = (owner for owner in onnxruntime.InferenceSession.__mro__ if name in vars(owner))
    monkeypatch.delattr(owner, name)
    path = write("onnx", tmp_path)
    ops, times, detail = OnnxRuntime().accelerator_share(path, 1, CPU_DEVICE, PHOTOS[:2])
    assert (ops, times) == (None, 1)
    assert "does not list its ops" in detail


@pytest.fixture(autouse=True)
def no_registered_library() -> Iterator[None]:
    yield
    onnx_providers._register.cache_clear()

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit.bench.evaluation import DatasetPhotos
from edgevit.bench.pack import write_pack
from edgevit.bench.protocol import Protocol
from edgevit.bench.remote.adb import run_over_adb, stored_pixels
from edgevit.bench.remote.benchmark_model import parse_run
from edgevit.bench.result import BenchResult, read_result
from edgevit.bundle import Bundle, TensorRecord, write_bundle
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError, MissingDependencyError
from edgevit.run import Run
from tests.bench import standin
from tests.bench.remote.fake_adb import (
    OLD,
    SERIAL,
    STEADY,
    THERMAL,
    USUAL,
    X86_64,
    FakePhone,
    write_elf,
)

Bench = Callable[..., BenchResult]


@pytest.fixture
def phone(tmp_path: Path) -> FakePhone:
    return FakePhone(tmp_path / "phone")


@pytest.fixture
def pack(tmp_path: Path, dataset: Dataset, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    # No one here reads the model: its bytes only travel.
    monkeypatch.setattr(standin, "colour_model", lambda kind: b"\0\0\0\0TFL3")
    bundles = [
        Bundle.load(standin.make_bundle(tmp_path / "exports" / name, run))
        for name in ("colours.tflite.fp32", "colours.onnx.fp32")
    ]
    write_bundle(bundles[1].root, dataclasses.replace(bundles[1].record, format="onnx"))
    path = tmp_path / "bench.zip"
    write_pack(path, [Bundle.load(bundle.root) for bundle in bundles], DatasetPhotos(dataset))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "phone.json"


@pytest.fixture
def bench(tmp_path: Path, phone: FakePhone, pack: Path, out: Path) -> Bench:
    def run(**keywords: Any) -> BenchResult:
        settings: dict[str, Any] = {
            "threads": (1,),
            "protocol": Protocol("tiny", False, 20, 0.0, 2, 0.0, 0.0),
            "adb": str(phone.adb),
        }
        binary = keywords.pop("binary", None) or write_elf(tmp_path / "benchmark_model")
        return run_over_adb(pack, binary, out, **{**settings, **keywords})

    return run


def test_run_over_adb_measures_the_tflite_bundles_when_a_phone_is_connected(
    bench: Bench, phone: FakePhone, out: Path, dataset: Dataset
) -> None:
    for call, time in enumerate((12000, 10000, 11000), 1):
        phone.write(f"output-{call}", STEADY.format(warm=11100, time=time))
    protocol = Protocol("tiny", False, 20, 0.0, 2, 0.0, 0.0, repeats=3)
    result = bench(threads=(1, 4), protocol=protocol)
    assert read_result(out) == result
    assert [(row.name, row.threads) for row in result.rows] == [
        (name, threads)
        for name in ("colours.tflite.fp32", "colours.onnx.fp32")
        for threads in (1, 4)
    ]
    assert result.rows[2].absent == "benchmark_model runs TFLite files, this is onnx"
    assert (result.tool, result.target, result.failed_count) == ("benchmark_model", "phone", 0)
    measurement = result.rows[0].measurement
    assert measurement is not None
    assert measurement.accuracy is None
    assert "the accuracy was not measured" in measurement.warnings[0]
    # The repeat with the middle median.
    assert measurement.latency.latency_ms_p50 == 11.0
    assert measurement.latency.query_count == 20
    assert measurement.latency.warmup_settled
    assert measurement.latency.samples_ns == ()
    assert measurement.repeats.latency_ms_p50 == (12.0, 10.0, 11.0)
    assert any("repeats differ by 20 %" in warning for warning in measurement.warnings)
    assert measurement.placement.ops == {"XNNPACK": 210, "CPU kernels": 2}
    assert measurement.placement.partitions == 2
    assert measurement.cold_start is not None
    assert measurement.cold_start.first_inference_ms == (87.112,) * 3
    assert measurement.memory is not None
    assert measurement.memory.baseline_bytes == 4 << 20
    assert measurement.memory.loaded_bytes == round(59.5 * (1 << 20))
    assert measurement.memory.peak_bytes == round(113.75 * (1 << 20))


def test_run_over_adb_times_a_real_photo_by_the_protocol(
    bench: Bench, phone: FakePhone, dataset: Dataset
) -> None:
    bench(threads=(4,), protocol=Protocol("tiny", False, 20, 1.5, 7, 0.25, 0.0, repeats=1))
    timed, memory = phone.calls[:2]
    assert "--num_threads=4" in timed
    assert "--num_runs=20 --min_secs=1.5" in timed
    assert "--warmup_runs=7 --warmup_min_secs=0.25" in timed
    assert "--input_layer=pixels --input_layer_shape=1,16,16,3" in timed
    # A second thread that looks at the memory would disturb the times.
    assert "report_peak" not in timed
    assert "--report_peak_memory_footprint=true" in memory
    photo = dataset.pixels("test", standin.SPEC.preprocessing)[0]
    assert (phone.folder / "photo").read_bytes() == photo.tobytes()
    assert list((phone.folder / "data/local/tmp").iterdir()) == []


def test_run_over_adb_describes_the_phone(bench: Bench) -> None:
    result = bench()
    machine = result.machine
    assert machine.board == "Google Pixel 7"
    assert machine.soc == "Google GS201"
    assert machine.system.startswith("Android 14 (Linux ")
    assert machine.architecture == "arm64-v8a"
    assert machine.cpu.model == "Cortex-A55 + Cortex-A78 + Cortex-X1"
    assert machine.cpu.logical_cores == 8
    assert machine.cpu.features["i8mm"]
    assert machine.cpu.governor == "sched_pixel"
    assert machine.memory_bytes == 7865432 * 1024
    assert any("31.2 °C" in note for note in result.notes)
    assert any("charged (USB)" in note for note in result.notes)


def test_run_over_adb_invalidates_the_times_when_the_phone_throttles(
    bench: Bench, phone: FakePhone
) -> None:
    phone.write("thermalservice", THERMAL.format(status=2))
    measurement = bench().rows[0].measurement
    assert measurement is not None
    assert measurement.conditions is not None
    assert measurement.conditions.new_throttling == ("Android's thermal status 2 (moderate)",)
    assert [sample.temperature_c for sample in measurement.conditions.samples] == [43.7, 43.7]
    assert not measurement.headline_valid


def test_run_over_adb_invents_no_percentile_when_none_is_printed(
    bench: Bench, phone: FakePhone
) -> None:
    phone.write("output", USUAL)
    measurement = bench().rows[0].measurement
    assert measurement is not None
    assert measurement.latency.latency_ms_p90 is None
    assert measurement.latency.latency_ms_p95 > measurement.latency.latency_ms_p50
    phone.write("output", OLD)
    assert "prints no median" in str(bench().rows[0].error)


def test_run_over_adb_has_no_memory_when_the_binary_cannot_watch_it(
    bench: Bench, phone: FakePhone
) -> None:
    phone.write("memory-output", "Unconsumed cmdline flags: --report_peak_memory_footprint=true\n")
    measurement = bench().rows[0].measurement
    assert measurement is not None
    assert measurement.memory is None


def test_run_over_adb_keeps_the_rows_when_the_phone_vanishes(
    bench: Bench, phone: FakePhone, out: Path
) -> None:
    phone.write("vanish-at", "3")  # in the second row
    result = bench(threads=(1, 2, 4))
    assert read_result(out) == result
    errors = [row.error or "" for row in result.rows if row.absent is None]
    assert errors[0] == ""
    assert all(f"the phone {SERIAL} does not answer" in error for error in errors[1:])
    assert len(phone.calls) == 3


def test_run_over_adb_fails_the_row_when_the_binary_fails(bench: Bench, phone: FakePhone) -> None:
    phone.write("output", "INFO: STARTING!\nERROR: Op builtin_code out of range: 206.\n\n")
    phone.write("exit-code", "1")
    assert bench().rows[0].error == (
        "benchmark_model failed with exit code 1 (ERROR: Op builtin_code out of range: 206.)"
    )


@pytest.mark.parametrize("output", ["", "Segmentation fault", "count=3 first=1", STEADY[:900]])
def test_run_over_adb_fails_the_row_when_the_output_is_cut(
    bench: Bench, phone: FakePhone, output: str
) -> None:
    phone.write("output", output)
    assert "benchmark_model printed" in str(bench().rows[0].error)


def test_run_over_adb_fails_the_row_when_there_were_too_few_inferences(bench: Bench) -> None:
    protocol = Protocol("tiny", False, 21, 0.0, repeats=1)
    assert "only 20 inferences" in str(bench(protocol=protocol).rows[0].error)


def test_run_over_adb_says_why_when_the_phone_is_full(bench: Bench, phone: FakePhone) -> None:
    phone.write("full", "")
    with pytest.raises(InputError, match=r"cannot be copied to the phone: .*No space left"):
        bench()


@pytest.mark.parametrize(
    ("devices", "serial", "message"),
    [
        ("", None, "adb sees no phone. Plug it in"),
        (f"{SERIAL}\tdevice\nemulator-5554\tdevice\n", None, "adb sees 2 phones.*--serial"),
        (f"{SERIAL}\tdevice\n", "elsewhere", "adb sees no phone 'elsewhere', but: 2A11"),
        (f"{SERIAL}\tunauthorized\n", None, "has not allowed this computer"),
        (f"{SERIAL}\toffline\n", None, "is not ready: offline"),
        (f"{SERIAL}\tno permissions (udev)\n", None, "is not ready: no permissions"),
    ],
)
def test_run_over_adb_says_why_when_there_is_no_phone_to_use(
    bench: Bench, phone: FakePhone, out: Path, devices: str, serial: str | None, message: str
) -> None:
    phone.write("devices", devices)
    with pytest.raises(InputError, match=message):
        bench(serial=serial)
    assert not out.exists()


def test_run_over_adb_takes_the_chosen_phone_when_there_are_several(
    bench: Bench, phone: FakePhone
) -> None:
    phone.write("devices", f"emulator-5554\tdevice\n{SERIAL}\tdevice\n")
    assert bench(serial=SERIAL).failed_count == 0


def test_run_over_adb_says_how_to_install_when_there_is_no_adb(bench: Bench) -> None:
    with pytest.raises(MissingDependencyError, match=r"there is no program .*apt install adb"):
        bench(adb="/nowhere/adb")


def test_run_over_adb_refuses_when_the_binary_is_not_for_the_phone(
    bench: Bench, tmp_path: Path
) -> None:
    other = write_elf(tmp_path / "other", X86_64)
    with pytest.raises(InputError, match="is built for x86_64, the phone is arm64-v8a"):
        bench(binary=other)
    other = write_elf(tmp_path / "other", 40, elf_class=1)
    with pytest.raises(InputError, match="is built for armeabi-v7a, the phone is arm64-v8a"):
        bench(binary=other)
    with pytest.raises(InputError, match="no program for Android"):
        bench(binary=Path(shutil.which("sh") or "/bin/sh").parent / "ldd")
    with pytest.raises(InputError, match="there is no benchmark_model at"):
        bench(binary=tmp_path / "missing")


def test_run_over_adb_refuses_when_there_are_more_threads_than_cores(bench: Bench) -> None:
    with pytest.raises(InputError, match="9 threads on a phone of 8 cores"):
        bench(threads=(1, 9))


def test_parse_run_reads_numbers_when_they_are_as_tensorflow_prints_them() -> None:
    timed = parse_run(USUAL).timed
    assert (timed.count, timed.p50_ms, timed.p90_ms, timed.p95_ms) == (1000, 51.891, None, 68.628)
    assert timed.mean_ms == 1240.27
    assert parse_run(USUAL).memory is None
    assert parse_run(USUAL).placement.ops == {}
    old = parse_run(OLD)
    assert (old.timed.p50_ms, old.timed.min_ms, old.timed.std_ms) == (None, 247.067, 1.442)
    assert (old.warmup.count, old.warmup.p50_ms) == (1, 360.262)
    # A phone's log puts its own words before each line.
    logged = "".join(f"01-02 03:04:05.6 I tflite  : {line}\n" for line in USUAL.splitlines())
    assert parse_run(logged).timed == timed


def test_stored_pixels_are_real_values_when_the_input_is_quantised() -> None:
    pixels = np.array([[[[0, 128, 255]]]], dtype=np.uint8)
    plain = TensorRecord("pixels", "uint8", (1, 1, 1, 3))
    assert stored_pixels(pixels, plain) is pixels
    signed = TensorRecord("pixels", "int8", (1, 1, 1, 3), scale=1.0, zero_point=-128)
    assert stored_pixels(pixels, signed).tolist() == [[[[-128, 0, 127]]]]
    with pytest.raises(InputError, match="the model takes float32"):
        stored_pixels(pixels, dataclasses.replace(plain, dtype="float32"))

"""Golden files that one side writes and the other reads: properties, and the phone's result."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from edgevit import documents
from edgevit.android import java_properties
from edgevit.android.golden import GoldenPhoto, golden_entries
from edgevit.android.template import NOT_SCORED, TARGET, TOOL
from edgevit.bench.protocol import QUICK, LatencyResult, Repeats, summarise
from edgevit.bench.result import (
    KIND,
    SCHEMA_VERSION,
    BenchResult,
    BenchRow,
    ColdStart,
    Conditions,
    ConditionSample,
    EvaluationRecord,
    Measurement,
)
from edgevit.bench.warnings import warnings_of
from edgevit.machine import Cpu, Machine
from edgevit.metrics import Accuracy
from edgevit.run import ReferenceRecord
from edgevit.runtimes.base import AcceleratorUse, Placement
from tests.android.golden import Files, Table, noise

# What a name may hold that the syntax of Java's properties gives a meaning to.
ODD_TEXTS = {
    "name": " = : # ! \\ Käuzchen 犬 🦊",
    "run_name": "ends with a space ",
    "architecture": "a\tb\nc\rd\fe",
    "precision": "#int8",
    "key with = : and spaces": "!",
    "empty": "",
}
MODEL_ENTRIES = {
    "schema": "1",
    "name": "pets.tflite.int8",
    "architecture": "vit-b32",
    "run_name": "pets",
    "precision": "int8",
    "model_file": "model.tflite",
    "model_sha256": "9" * 64,
    "model_size_bytes": "88123456",
    "input_type": "uint8",
    "input_height": "224",
    "input_width": "192",
    "resize_mode": "crop",
    "interpolation": "bicubic",
    "output_type": "float32",
    "label_count": "3",
}
GOLDEN_PHOTOS = (
    GoldenPhoto("00.png", b"png", "1" * 64, (2, 0, 1), (0.75, 0.2, 0.05)),
    GoldenPhoto("01.jpg", b"jpeg", None, (0, 1, 2), (0.41, 0.39, 0.2)),
)


def write_properties(files: Files) -> None:
    """Properties as ``edgevit android install`` writes them, and what Java must read."""
    files["properties/odd.properties"] = java_properties.render(ODD_TEXTS, "odd texts")
    table = Table(files, "properties", ("key_json", "value_json"))
    for key, value in ODD_TEXTS.items():
        table.add(json.dumps(key), json.dumps(value))
    table.close()
    files["properties/model.properties"] = java_properties.render(MODEL_ENTRIES, "a model")
    entries = golden_entries(GOLDEN_PHOTOS)
    files["properties/expected.properties"] = java_properties.render(entries, "golden photos")


def write_bench(files: Files) -> None:
    """The phone's result: the template, what the phone measures, and the whole document."""
    files["bench/template.json"] = _json(_template())
    files["bench/phone.json"] = _json(_phone())
    files["bench/document.json"] = documents.render(KIND, SCHEMA_VERSION, _result())


WRITERS: tuple[Callable[[Files], None], ...] = (write_properties, write_bench)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _samples(seed: int, base_ns: int) -> list[list[int]]:
    """Return nanoseconds of three repeats, the last of them slower."""
    return [
        (base_ns + 1000 * noise(34, seed + i).astype(np.int64) + (base_ns // 8) * (i == 2)).tolist()
        for i in range(3)
    ]


_INFERENCE, _END_TO_END = _samples(70, 20_000_000), _samples(80, 60_000_000)
_GPU = _samples(90, 8_000_000)
_HEAT = [(0.0, 0), (5.5, 0), (11.25, 2), (12.0, 2), (13.0, 3)]
_JUMP_SECONDS = -3600.0
_GPU_DETAIL = "TFLite's Java interface does not list where ops run"
_PLACEMENT = "XNNPACK asked for; TFLite's Java interface does not list where ops run"
_PHONE = {
    "release": "14",
    "kernel": "5.15.110-android14",
    "abi": "arm64-v8a",
    "maker": "Google",
    "model": "Pixel 8",
    "soc": "Google Tensor G3",
    "cpu": "Cortex-X3 + Cortex-A715 + Cortex-A510",
    "logical_cores": 9,
    "memory_bytes": 7_900_000_000,
    "memory_available_bytes": 3_100_000_000,
}


def _phone() -> dict[str, Any]:
    """Return what the core's test builds its records from."""
    cpu = {
        "threads": 4,
        "device": "cpu",
        "inference_ns": _INFERENCE,
        "end_to_end_ns": _END_TO_END,
        "cooldown_seconds": [0.0, 1.5],
        "warmup_count": 66,
        "warmup_settled": False,
        "load_ms": 41.5,
        "first_inference_ms": 33.25,
        "placement": _PLACEMENT,
        "accelerator": None,
        "heat": [{"seconds": seconds, "status": status} for seconds, status in _HEAT],
        "clock_jump_seconds": _JUMP_SECONDS,
    }
    gpu = {
        **cpu,
        "device": "gpu TFLite GPU delegate",
        "threads": 1,
        "inference_ns": _GPU,
        "end_to_end_ns": None,
        "warmup_settled": True,
        "accelerator": {
            "compared_count": 8,
            "agreement": 1.0,
            "max_abs_difference": 0.03125,
            "detail": _GPU_DETAIL,
        },
        "heat": [],
        "clock_jump_seconds": 0.0,
    }
    return {
        "started": "2026-11-02T14:05:09+01:00",
        "phone": _PHONE,
        "versions": {"tflite": "2.16.1", "app": "0.1.0"},
        "notes": ["the battery had 31.0 °C at the start"],
        "measured": [cpu, gpu],
    }


def _measurement() -> Measurement:
    """Return the row of the CPU."""
    measured = Measurement(
        model="vit-b32",
        format="tflite",
        precision="int8",
        size_bytes=88_123_456,
        model_sha256="b" * 64,
        run_name="pets",
        run_sha256="a" * 64,
        reference=ReferenceRecord(
            Accuracy(0.86, 0.97, 0.45, 1200), (0.8, 1e-05, None), "NVIDIA H100", 4.2, 4.6
        ),
        evaluation=EvaluationRecord("Käuzchen/photos", "d" * 64, 0, False, None),
        accuracy=None,
        latency=_latency(_INFERENCE, settled=False),
        repeats=_repeats(_INFERENCE),
        placement=Placement(_PLACEMENT, {}, 0),
        end_to_end=_latency(_END_TO_END, settled=False),
        cold_start=ColdStart(
            (), (41.5,), (33.25,), "inside the running app, once; the file may have been in memory"
        ),
        conditions=Conditions(
            tuple(ConditionSample(seconds, None, None, None) for seconds, _ in _HEAT),
            (
                "Android's thermal status 2 (moderate)",
                "Android's thermal status 3 (severe)",
            ),
            _JUMP_SECONDS,
        ),
    )
    return _warned(measured)


def _gpu_measurement() -> Measurement:
    measured = replace(
        _measurement(),
        latency=_latency(_GPU, settled=True),
        repeats=_repeats(_GPU),
        end_to_end=None,
        accelerator=AcceleratorUse(
            "gpu TFLite GPU delegate", None, None, 8, 1.0, 0.03125, _GPU_DETAIL
        ),
        conditions=None,
    )
    return _warned(measured)


def _warned(measured: Measurement) -> Measurement:
    return replace(measured, warnings=(NOT_SCORED, *warnings_of(measured)))


def _latency(repeats: list[list[int]], *, settled: bool) -> LatencyResult:
    samples = np.array([value for repeat in repeats for value in repeat], dtype=np.int64)
    exact = summarise(samples, warmup_count=66, settled=settled, comparable=False)
    # The last digits may differ from processor to processor.
    return replace(
        exact,
        latency_ms_mean=float(f"{exact.latency_ms_mean:.12g}"),
        latency_ms_std=float(f"{exact.latency_ms_std:.12g}"),
    )


def _repeats(repeats: list[list[int]]) -> Repeats:
    return Repeats(tuple(float(np.median(part)) / 1e6 for part in repeats), (0.0, 1.5))


def _result() -> BenchResult:
    phone: dict[str, Any] = _PHONE
    machine = Machine(
        system=f"Android {phone['release']} (Linux {phone['kernel']})",
        architecture=phone["abi"],
        python="none",
        cpu=Cpu(phone["cpu"], None, phone["logical_cores"], {}, None),
        memory_bytes=phone["memory_bytes"],
        board=f"{phone['maker']} {phone['model']}",
        accelerators=(),
        soc=phone["soc"],
        memory_available_bytes=phone["memory_available_bytes"],
    )
    rows = (("cpu", 4, _measurement()), ("gpu TFLite GPU delegate", 1, _gpu_measurement()))
    return BenchResult(
        started="2026-11-02T14:05:09+01:00",
        tool=TOOL,
        target=TARGET,
        machine=machine,
        cpu_affinity=(),
        versions={"edgevit": "0.1.0", "tflite": "2.16.1", "app": "0.1.0"},
        protocol=replace(QUICK, cold_starts=0),
        rows=tuple(
            BenchRow("pets.tflite.int8", "pets.tflite.int8", threads, device, measurement)
            for device, threads, measurement in rows
        ),
        notes=("the battery had 31.0 °C at the start",),
    )


def _template() -> dict[str, Any]:
    """Return what `edgevit android install` writes for this model."""
    known = documents.encode(_measurement())
    kept = ("model", "format", "precision", "size_bytes", "model_sha256", "run_name", "run_sha256")
    kept = (*kept, "reference", "evaluation", "accuracy")
    measurement = {name: known[name] for name in kept} | {"warnings": [NOT_SCORED]}
    name = "pets.tflite.int8"
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "tool": TOOL,
        "target": TARGET,
        "versions": {"edgevit": "0.1.0"},
        "rows": [{"name": name, "path": name, "measurement": measurement}],
        "notes": [],
        "settings": {},
    }

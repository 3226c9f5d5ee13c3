"""``edgevit bench PACK --adb``: the packed TFLite files on a phone, with ``benchmark_model``.

The tool times the model alone, on one photo, and scores nothing. It runs from
``/data/local/tmp/edgevit/``, which is removed afterwards; nothing else on the phone changes.
"""

from __future__ import annotations

import dataclasses
import shlex
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevit import __version__, console, storage
from edgevit.bench import conditions
from edgevit.bench.evaluation import EvaluationSet
from edgevit.bench.pack import open_pack
from edgevit.bench.protocol import (
    WARMUP_TOLERANCE,
    LatencyResult,
    Protocol,
    Repeats,
)
from edgevit.bench.remote.benchmark_model import (
    MAX_SECONDS,
    ModelRun,
    abi_of,
    memory_options,
    model_options,
    parse_run,
    timing_options,
)
from edgevit.bench.remote.phone import Heat, Phone, PhoneLostError
from edgevit.bench.result import (
    BenchResult,
    BenchRow,
    ColdStart,
    Conditions,
    EvaluationRecord,
    Measurement,
    MemoryUse,
    write_result,
)
from edgevit.bench.warnings import warnings_of
from edgevit.bundle import BUNDLE_FILE, Bundle, TensorRecord
from edgevit.errors import EdgevitError, InputError
from edgevit.preprocessing import Pixels

TOOL = "benchmark_model"
TARGET = "phone"
FOLDER = "/data/local/tmp/edgevit"
COOLDOWN_POLL_SECONDS = 10.0

# A name of its own, so that only ours is ended when this is interrupted.
_BINARY = f"{FOLDER}/edgevit_benchmark_model"
_MODEL, _PHOTO = f"{FOLDER}/model.tflite", f"{FOLDER}/photo.bin"
_WARNINGS = (
    "the accuracy was not measured on the phone: benchmark_model scores no photos",
    "every inference took the same photo, and the 90th and 99th percentiles are unknown: "
    "benchmark_model keeps no samples",
)


def run_over_adb(
    pack: Path,
    benchmark_model: Path,
    out: Path,
    *,
    threads: Sequence[int],
    protocol: Protocol,
    serial: str | None = None,
    adb: str = "adb",
) -> BenchResult:
    """Measure the TFLite bundles of a pack on a connected phone; rows are written one by one.

    Args:
        pack: The file that ``edgevit pack`` wrote.
        benchmark_model: Google's binary, built for the phone.
        out: The JSON file to write here.
        threads: Numbers of threads; every model is measured with each.
        protocol: The timing rules.
        serial: Of the phone; may be left out where only one is connected.
        adb: The program.

    Returns:
        The result, which may hold rows that failed. Bundles of other formats are absent.

    Raises:
        MissingDependencyError: if there is no adb.
        InputError: if there is no phone to use, the binary is not for it, the pack is damaged, or
            there are more threads than cores.
    """
    abi = abi_of(benchmark_model)
    phone = Phone.find(adb, serial)
    machine = phone.describe()
    if abi != machine.architecture:
        raise InputError(
            f"{benchmark_model} is built for {abi}, the phone is {machine.architecture}",
            f"Give the benchmark_model for {machine.architecture}",
        )
    cores = machine.cpu.logical_cores
    if not all(1 <= number <= cores for number in threads):
        raise InputError(
            f"{max(threads)} threads on a phone of {cores} cores", f"Choose --threads 1 to {cores}"
        )
    heat = phone.heat()
    result = BenchResult(
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        tool=TOOL,
        target=TARGET,
        machine=machine,
        cpu_affinity=(),
        versions={
            "edgevit": __version__,
            TOOL: f"sha256 {storage.sha256_of_file(benchmark_model)}",
        },
        protocol=protocol,
        rows=(),
        notes=_notes(heat),
    )
    with open_pack(pack) as opened, _prepared(phone, benchmark_model):
        write_result(out, result)
        photos = opened.evaluation
        for folder in opened.bundles:
            for number in threads:
                row = _row(phone, folder, photos, number, protocol)
                result = dataclasses.replace(result, rows=(*result.rows, row))
                write_result(out, result)
    return result


def _notes(heat: Heat) -> tuple[str, ...]:
    notes = []
    if heat.battery_c is not None:
        notes.append(f"the battery had {heat.battery_c:.1f} °C at the start")
    if heat.charging:
        notes.append(f"it was being charged ({heat.charging}), which warms a phone")
    return tuple(notes)


@contextmanager
def _prepared(phone: Phone, binary: Path) -> Iterator[None]:
    """Copy the binary to the phone, and tidy up there afterwards."""
    try:
        phone.shell(f"rm -rf {FOLDER}; mkdir -p {FOLDER}")
        phone.push(binary, _BINARY)
        answer = phone.shell(f"chmod 755 {_BINARY}")
        if answer.code != 0:
            raise InputError(f"the phone cannot run programs in {FOLDER}: {answer.output.strip()}")
        yield
    finally:
        with suppress(EdgevitError):
            # After Ctrl-C it may still run.
            phone.shell(f"kill $(pidof {Path(_BINARY).name}) 2>/dev/null; rm -rf {FOLDER}")


def _row(
    phone: Phone, folder: Path, photos: EvaluationSet, threads: int, protocol: Protocol
) -> BenchRow:
    name = folder.name
    row = BenchRow(name, str(folder), threads, "cpu", error="not yet")
    try:
        bundle = Bundle.load(folder)
        if bundle.record.format != "tflite":
            reason = f"benchmark_model runs TFLite files, this is {bundle.record.format}"
            return dataclasses.replace(row, name=bundle.name, error=None, absent=reason)
        measurement = _measure(phone, bundle, photos, threads, protocol)
        return dataclasses.replace(row, name=bundle.name, error=None, measurement=measurement)
    except EdgevitError as error:
        console.note(f"{name}, threads: {threads}: failed: {error}")
        return dataclasses.replace(row, error=str(error))


def _measure(
    phone: Phone, bundle: Bundle, photos: EvaluationSet, threads: int, protocol: Protocol
) -> Measurement:
    before, started = phone.heat(), time.monotonic()
    _push_model(phone, bundle, photos)
    record = bundle.record
    words = model_options(_MODEL, _PHOTO, record.input.shape, record.input.name, threads)
    with console.step(f"Timing {bundle.name} on the phone, threads: {threads}"):
        runs, waits = _repeated(phone, words, protocol, before)
    latency, repeats = summarise_runs(runs, protocol, waits)
    memory = _memory(phone, words)
    after = phone.heat()
    seconds = round(time.monotonic() - started, 3)
    measurement = Measurement(
        model=record.spec.model,
        format=record.format,
        precision=record.precision,
        size_bytes=bundle.model_size_bytes,
        model_sha256=storage.sha256_of_file(bundle.root / BUNDLE_FILE),
        run_name=bundle.run_name,
        run_sha256=bundle.run_sha256,
        reference=record.source.reference,
        evaluation=_evaluation_record(bundle, photos),
        accuracy=None,
        latency=latency,
        repeats=repeats,
        placement=runs[0].placement,
        cold_start=ColdStart(
            import_ms=(),
            load_ms=tuple(run.init_ms for run in runs),
            first_inference_ms=tuple(run.first_inference_ms for run in runs),
            cache_state="the model file had just been copied or read: it was in memory",
        ),
        memory=memory,
        conditions=Conditions(
            samples=(before.sample(0.0), after.sample(seconds)),
            new_throttling=after.throttling,
            clock_jump_seconds=0.0,
        ),
    )
    return dataclasses.replace(measurement, warnings=(*_WARNINGS, *warnings_of(measurement)))


def _push_model(phone: Phone, bundle: Bundle, photos: EvaluationSet) -> None:
    """Copy the model, and the first photo as the bytes of its input tensor."""
    pixels = photos.pixels(bundle.record.spec.preprocessing)[np.arange(1)]
    with tempfile.TemporaryDirectory(prefix="edgevit-") as folder:
        photo = Path(folder) / "photo.bin"
        photo.write_bytes(stored_pixels(pixels, bundle.record.input).tobytes())
        phone.push(photo, _PHOTO)
    phone.push(bundle.model_path, _MODEL)


def stored_pixels(pixels: Pixels, tensor: TensorRecord) -> npt.NDArray[np.uint8 | np.int8]:
    """Return pixels as an input tensor stores them.

    Args:
        pixels: ``uint8 [1, height, width, 3]``.
        tensor: ``uint8`` or ``int8``; its real values are the pixels, 0–255.

    Raises:
        InputError: if the tensor holds something else.
    """
    if tensor.dtype not in ("uint8", "int8"):
        raise InputError(f"the model takes {tensor.dtype}, pixels are uint8")
    if tensor.scale is None:
        return pixels
    limits = np.iinfo(tensor.dtype)
    stored = np.rint(pixels / tensor.scale) + (tensor.zero_point or 0)
    return stored.clip(limits.min, limits.max).astype(tensor.dtype)


def _repeated(
    phone: Phone, words: list[str], protocol: Protocol, before: Heat
) -> tuple[list[ModelRun], list[float]]:
    """Run the protocol's repeats; returns them and the waits between."""
    runs: list[ModelRun] = []
    waits: list[float] = []
    for index in range(protocol.repeats):
        if index and protocol.comparable:
            waits.append(_cool_down(phone, before.cpu_c))
        runs.append(_run(phone, [*words, *timing_options(protocol)]))
        if runs[-1].timed.count < protocol.min_queries:
            raise InputError(
                f"only {runs[-1].timed.count} inferences in {MAX_SECONDS:.0f} s, "
                f"{protocol.min_queries} are needed",
                "Add --quick",
            )
    return runs, waits


def _cool_down(phone: Phone, start_c: float | None) -> float:
    """Wait until the phone is about as cool as before the first repeat; returns seconds."""
    if start_c is None:
        return 0.0
    started = time.monotonic()
    while (waited := time.monotonic() - started) < conditions.COOLDOWN_MAX_SECONDS:
        now = phone.heat().cpu_c
        if now is None or now <= start_c + conditions.COOLDOWN_TOLERANCE_C:
            break
        time.sleep(COOLDOWN_POLL_SECONDS)
    return round(waited, 3)


def _run(phone: Phone, words: list[str]) -> ModelRun:
    # Warm-up and timed part may each take MAX_SECONDS, loading comes on top.
    answer = phone.shell(shlex.join([_BINARY, *words]), 2 * MAX_SECONDS + 600)
    if answer.code != 0:
        lines = [line.strip() for line in answer.output.splitlines() if line.strip()]
        reason = lines[-1] if lines else "it printed nothing"
        raise InputError(f"benchmark_model failed with exit code {answer.code} ({reason})")
    return parse_run(answer.output)


def _memory(phone: Phone, words: list[str]) -> MemoryUse | None:
    """Watch memory in a run of its own; old versions cannot."""
    try:
        return _run(phone, [*words, *memory_options()]).memory
    except PhoneLostError:
        raise
    except EdgevitError:
        return None


def summarise_runs(
    runs: Sequence[ModelRun], protocol: Protocol, waits_seconds: Sequence[float]
) -> tuple[LatencyResult, Repeats]:
    """Turn repeats into a latency: that of the repeat with the middle median.

    Their samples cannot be pooled, because there are none. A warm-up counts as settled if its
    median is within 5 % of that of the timed part.

    Raises:
        InputError: if a percentile that a result needs was not printed.
    """
    medians = [_known(run.timed.p50_ms, "median") for run in runs]
    middle = runs[sorted(range(len(runs)), key=medians.__getitem__)[len(runs) // 2]]
    timed, warmup = middle.timed, middle.warmup
    p50 = _known(timed.p50_ms, "median")
    warm = warmup.p50_ms if warmup.p50_ms is not None else warmup.mean_ms
    latency = LatencyResult(
        latency_ms_p50=p50,
        latency_ms_p90=timed.p90_ms,
        latency_ms_p95=_known(timed.p95_ms, "95th percentile"),
        latency_ms_p99=None,
        latency_ms_mean=timed.mean_ms,
        latency_ms_std=timed.std_ms,
        latency_ms_min=timed.min_ms,
        latency_ms_max=timed.max_ms,
        query_count=timed.count,
        warmup_count=warmup.count,
        warmup_settled=abs(warm - p50) <= WARMUP_TOLERANCE * p50,
        comparable=protocol.comparable,
        sample_stride=1,
        samples_ns=(),
    )
    return latency, Repeats(tuple(medians), tuple(waits_seconds))


def _known(value: float | None, what: str) -> float:
    if value is None:
        raise InputError(f"this benchmark_model prints no {what}, and keeps no samples")
    return value


def _evaluation_record(bundle: Bundle, photos: EvaluationSet) -> EvaluationRecord:
    return EvaluationRecord(
        source=photos.source,
        dataset_sha256=photos.dataset_sha256,
        image_count=0,
        same_photos=photos.dataset_sha256 == bundle.record.source.dataset.sha256,
        calibrated_count=None,
    )

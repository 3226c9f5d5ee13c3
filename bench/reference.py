"""The full-precision model on the best device that a Keras backend finds: the chain's first link.

Everything is done in this process, because Keras keeps its backend for a process's life.
"""

from __future__ import annotations

import dataclasses
import math
from datetime import datetime
from pathlib import Path

import numpy as np

from edgevit import console
from edgevit.bench.accuracy import check_classes, judge
from edgevit.bench.conditions import ConditionsWatch, cool_down_for
from edgevit.bench.evaluation import DatasetPhotos, EvaluationSet, spread
from edgevit.bench.protocol import Protocol, measure_repeats
from edgevit.bench.result import BenchResult, BenchRow, EvaluationRecord, Measurement
from edgevit.bench.row import TIMED_PHOTOS
from edgevit.bench.targets.agreement import require_agreement
from edgevit.bench.warnings import warnings_of
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.machine import Machine, cpu_affinity, describe_machine, installed_versions
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.run import WEIGHTS_FILE, Run
from edgevit.runtimes.base import AcceleratorUse
from edgevit.runtimes.keras import KerasSession, open_run
from edgevit.runtimes.keras_backends import KERAS_CPU, Backend, KerasDevice

TOOL = "edgevit reference"


def open_photos(run: Run, data: Path | None) -> EvaluationSet:
    """Open the test photos to measure a run with.

    Args:
        run: The run.
        data: The data set's folder; ``None`` takes the one that the run records.

    Raises:
        InputError: if it is not there, has other classes, or has no test photos.
    """
    path = data or Path(run.record.dataset.path)
    if data is None and not path.is_dir():
        raise InputError(
            f"the photos that {run.name} was trained on are not at {path}",
            "Copy the data set here and name it: --data DIR",
        )
    photos = DatasetPhotos(Dataset.load(path))
    check_classes(run.record, photos)
    return photos


def measure_reference(
    run: Run, backend: Backend, photos: EvaluationSet, protocol: Protocol, batch_size: int
) -> BenchResult:
    """Time a run on a backend's first accelerator, else the CPU, and score it.

    Args:
        run: The run.
        backend: What computes it.
        photos: Of the run's classes.
        protocol: The timing rules.
        batch_size: Photos at a time, for the accuracy; the latency is that of one.

    Raises:
        InputError: if the backend cannot compute the model there, or this process runs Keras on
            another backend.
        MissingDependencyError: if the backend or the model's packages cannot be imported.
        CheckFailedError: if the accelerator's answers are not the CPU's.
    """
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    backend.load()
    place, machine = backend.default_device(), describe_machine()
    notes = _notes(backend, place, machine)
    if place.device.kind == "cpu":
        console.note(notes[0])
    with console.step(f"Opening {run.name} with {backend.title} on {place.label}"):
        session = open_run(run, backend, place)
    with ConditionsWatch() as watch:
        measurement = _measured(run, session, photos, protocol, batch_size)
    measurement = dataclasses.replace(measurement, conditions=watch.conditions())
    measurement = dataclasses.replace(measurement, warnings=warnings_of(measurement))
    kind = place.device.kind
    return BenchResult(
        started=started,
        tool=TOOL,
        target=kind,
        machine=machine,
        cpu_affinity=cpu_affinity(),
        versions={**installed_versions(), **backend.versions()},
        protocol=protocol,
        rows=(
            BenchRow(
                name=run.name,
                path=str(run.root),
                threads=backend.cpu_threads(),
                device=kind if kind == "cpu" else f"{kind} {place.label}",
                measurement=measurement,
            ),
        ),
        notes=notes,
    )


def _measured(
    run: Run, session: KerasSession, photos: EvaluationSet, protocol: Protocol, batch_size: int
) -> Measurement:
    pixels = photos.pixels(run.record.spec.preprocessing)
    images = pixels[spread(len(pixels), TIMED_PHOTOS)]
    use = _accelerator_use(run, session, images)
    # The processor's temperature says nothing of a GPU.
    on_cpu = session.place.device.kind == "cpu"
    cool_down = cool_down_for(protocol) if on_cpu else lambda: 0.0
    with console.step(f"Timing {run.name}"):
        latency, repeats = measure_repeats(session.invoke, images, protocol, cool_down=cool_down)
    accuracy = judge(_scores(run, session, photos, batch_size), photos, run.reference())
    return Measurement(
        model=run.record.spec.model,
        format=f"keras-{session.backend.name}",
        precision="fp32",
        size_bytes=run.record.files[WEIGHTS_FILE].size_bytes,
        model_sha256=run.sha256,
        run_name=run.name,
        run_sha256=run.sha256,
        reference=run.record.reference,
        evaluation=EvaluationRecord(
            source=photos.source,
            dataset_sha256=photos.dataset_sha256,
            image_count=len(photos.labels),
            same_photos=photos.dataset_sha256 == run.record.dataset.sha256,
            calibrated_count=0,
        ),
        accuracy=accuracy,
        latency=latency,
        repeats=repeats,
        placement=session.placement(),
        accelerator=use,
    )


def _accelerator_use(run: Run, session: KerasSession, images: Pixels) -> AcceleratorUse | None:
    """Compare an accelerator's answers with the CPU's, before anything is timed.

    Raises:
        CheckFailedError: if too many labels differ.
    """
    place, backend = session.place, session.backend
    if place.device.kind == "cpu":
        return None
    with console.step("Comparing its answers with the CPU's"):
        expected = open_run(run, backend, KERAS_CPU).invoke(images)
    answers = session.invoke(images)
    agreement = require_agreement(answers, expected, place.label)
    return AcceleratorUse(
        device=str(place.device),
        # An op that it could not compute would have been an error.
        ops_share=1.0,
        time_share=None,
        compared_count=len(images),
        agreement=agreement,
        max_abs_difference=float(np.abs(answers - expected).max()),
        detail=f"{backend.title} computed every op on {place.label}",
    )


def _scores(run: Run, session: KerasSession, photos: EvaluationSet, batch_size: int) -> Scores:
    """Return ``float32 [n, classes]`` probabilities."""
    pixels = photos.pixels(run.record.spec.preprocessing)
    count = len(pixels)
    size = min(batch_size, count)
    parts = []
    starts = range(0, count, size)
    description = f"Evaluating on {count} test photos, batches"
    for start in console.track(starts, description, math.ceil(count / size)):
        batch = pixels[start : start + size]
        # Filled up: JAX would compile the model again for a smaller last batch.
        filled = np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), np.uint8)])
        parts.append(session.invoke(filled)[: len(batch)])
    return np.concatenate(parts)


def _notes(backend: Backend, place: KerasDevice, machine: Machine) -> tuple[str, ...]:
    """Say what must be known about the device, as sentences without a full stop."""
    precision = "Full precision: float32 throughout, TensorFloat-32 is off"
    if place.device.kind != "cpu":
        return (precision,)
    seen = [device.name for device in machine.accelerators if device.kind == "gpu"]
    but = f", though the machine has {seen[0]} ({backend.remedy_gpu})" if seen else ""
    return (
        f"No accelerator was found: measured on the CPU. {backend.title} sees none{but}",
        precision,
    )

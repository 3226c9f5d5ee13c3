"""The full-precision model on the test split: what every export is compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevit import console, metrics
from edgevit.bench.protocol import Protocol, measure_latency
from edgevit.metrics import Labels, Scores
from edgevit.run import Reference, ReferenceRecord
from edgevit.runtimes.keras import KerasSession
from edgevit.training.pictures import CONFUSION_FILE, write_confusion
from edgevit.training.pipeline import Examples
from edgevit.training.signals import StopRequest

# Long enough to print beside the accuracy, too short to compare devices by: `edgevit bench` does.
REFERENCE_PROTOCOL = Protocol(
    "reference", comparable=False, min_queries=50, min_seconds=3.0, warmup_max_seconds=10.0
)
_TIMED_PHOTOS = 16


@dataclass(frozen=True)
class Measured:
    """What the reference evaluation found."""

    reference: Reference
    record: ReferenceRecord


def measure_reference(
    session: KerasSession,
    examples: Examples,
    hashes: tuple[str, ...],
    batch_size: int,
    stop: StopRequest,
) -> Measured:
    """Evaluate the full-precision model on the test split and time it.

    Args:
        session: The model in ``float32``.
        examples: The test split.
        hashes: SHA-256 of each photo's file, in the same order.
        batch_size: Images at a time, for the accuracy.
        stop: Checked between two batches.

    Raises:
        StoppedError: if a signal came.
    """
    logits = _logits(session, examples, batch_size, stop)
    probabilities = metrics.softmax(logits)
    with console.step("Measuring the full-precision latency"):
        latency = measure_latency(
            session.invoke, examples.pixels[:_TIMED_PHOTOS], REFERENCE_PROTOCOL
        )
    stop.check()
    predicted = metrics.top_k(logits, 1)[:, 0]
    assert latency.latency_ms_p90 is not None  # our own loop has every sample
    record = ReferenceRecord(
        accuracy=metrics.accuracy(probabilities, examples.labels),
        per_class_top1=per_class_top1(predicted, examples.labels, logits.shape[1]),
        device=session.processor,
        latency_ms_p50=latency.latency_ms_p50,
        latency_ms_p90=latency.latency_ms_p90,
        latency_query_count=latency.query_count,
        runtime=session.backend.described(),
        accelerator=session.place.device.kind != "cpu",
    )
    return Measured(Reference(logits, examples.labels, hashes), record)


def _logits(
    session: KerasSession, examples: Examples, batch_size: int, stop: StopRequest
) -> Scores:
    """Return ``float32 [n, classes]``."""
    count = len(examples)
    parts = []
    starts = range(0, count, batch_size)
    description = f"Evaluating on {count} test photos, batches"
    for start in console.track(starts, description, math.ceil(count / batch_size)):
        stop.check()
        parts.append(session.logits(np.asarray(examples.pixels[start : start + batch_size])))
    return np.concatenate(parts)


def per_class_top1(predicted: Labels, labels: Labels, class_count: int) -> tuple[float | None, ...]:
    """Return the share right of each class, 0–1; ``None`` where a class has no photo."""
    counts = metrics.confusion_matrix(predicted, labels, class_count)
    totals = counts.sum(axis=1)
    return tuple(
        float(counts[label, label] / totals[label]) if totals[label] else None
        for label in range(class_count)
    )


def write_confusion_picture(folder: Path, reference: Reference, names: Sequence[str]) -> None:
    """Draw the confusion matrix of the test split into ``confusion.png``."""
    predicted = metrics.top_k(reference.logits, 1)[:, 0]
    counts = metrics.confusion_matrix(predicted, reference.labels, len(names))
    write_confusion(folder / CONFUSION_FILE, counts, names)

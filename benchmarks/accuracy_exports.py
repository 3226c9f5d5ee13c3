"""Every file whose answers are compared: edgevit's exports and the obvious ones of one run."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import builds
import numpy as np
import peers
import processes
from timing import Candidate, open_model

from edgevit import console
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.export.exporter import bundle_path, export
from edgevit.export.job import open_job
from edgevit.export.ladder import DECISIVE_MARGIN
from edgevit.export.registry import LOWERINGS, select
from edgevit.machine import logical_cores, version_of
from edgevit.metrics import PairedDrop, Scores, accuracy, paired_drop, softmax
from edgevit.run import Reference, Run

# The obvious ways that are looked at for their answers, by the name of the peer.
OBVIOUS = {
    "tflite-int8": "TFLiteConverter, full int8",
    "tflite-dynamic": "TFLiteConverter, dynamic",
    "onnx-static": "ONNX Runtime quantize_static",
    "onnx-dynamic": "ONNX Runtime quantize_dynamic",
    "openvino-int8": "NNCF",
}
# What rounding to int8 costs is asked here, not what bfloat16 costs beside it.
_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}
_MAX_THREADS = 4
# Stand for the probability 0, and for a file without any difference.
_LEAST_PROBABILITY = 1e-12
_EXACT_DB = 200.0


@dataclass(frozen=True)
class File:
    """A file to be measured.

    Attributes:
        name: In the tables.
        format: Such as ``tflite``.
        precision: One of edgevit's; ``None`` for an obvious file.
        path: A bundle's folder or a model file; ``None`` where there is none.
        error: Why there is none.
    """

    name: str
    format: str
    precision: str | None
    path: str | None
    error: str | None


@dataclass(frozen=True)
class Measured:
    """A file's answers beside full precision's on the test photos.

    Attributes:
        top1: Share of photos that the file gets right, 0–1.
        changed: Photos with another answer, right or wrong.
        drop: Agreement, photos lost and won, and the drop with its interval.
        sqnr_db: Signal-to-quantisation-noise ratio of the centred log-probabilities, decibels.
    """

    top1: float
    changed: int
    drop: PairedDrop
    sqnr_db: float


def make_exports(
    run: Run, data: Path, formats: Sequence[str], precisions: Sequence[str], work: Path
) -> tuple[File, ...]:
    """Export a run as `edgevit export` does, in a process of its own.

    Args:
        run: The run.
        data: Its prepared photos.
        formats: Names.
        precisions: Names; a format that does not have one is passed over.
        work: The study's folder.
    """
    folder, log = work / "exports" / run.name, work / "logs" / f"{run.name}.export.log"
    with console.step(f"Exporting {run.name}"):
        outcome = processes.call(
            export_all, run.root, data, tuple(formats), tuple(precisions), folder, log=log
        )
    if outcome.error is not None:
        reason = f"{outcome.error} (see {log})"
        return tuple(
            File(f"edgevit {name} {precision}", name, precision, None, reason)
            for name in formats
            for precision in precisions
        )
    files: tuple[File, ...] = outcome.value
    return files


def export_all(
    run_root: Path,
    data: Path,
    formats: Sequence[str],
    precisions: Sequence[str],
    folder: Path,
) -> tuple[File, ...]:
    """Export a run in every format and precision; one that fails does not stop the others."""
    job = open_job(Run.load(run_root), data)
    shutil.rmtree(folder, ignore_errors=True)
    files = []
    for name in formats:
        known = LOWERINGS.get(name).recipes(job.graph)
        for precision in precisions:
            if precision not in known:
                continue
            path, error = None, None
            try:
                (selection,), _ = select(job.graph, [name], [precision])
                target = bundle_path(folder, job.run, selection)
                path = str(export(job, selection, target, announce=print).root)
            except Exception as problem:
                # A converter may raise anything; the reason is printed in the file's place.
                error = " ".join(str(problem).split()) or type(problem).__name__
            files.append(File(f"edgevit {name} {precision}", name, precision, path, error))
    return tuple(files)


def choose_obvious(formats: Collection[str], names: Collection[str]) -> tuple[str, ...]:
    """Return the obvious ways of some formats, without those whose libraries are not here."""
    chosen = []
    for name in OBVIOUS:
        if name not in names or _format_of(name) not in formats:
            continue
        libraries = peers.PEERS[name].libraries
        absent = [library for library in libraries if version_of(library) is None]
        if absent:
            console.note(f"{OBVIOUS[name]} is left out: {' and '.join(absent)} not installed")
        else:
            chosen.append(name)
    return tuple(chosen)


def make_obvious(run: Run, data: Path, names: Collection[str], work: Path) -> tuple[File, ...]:
    """Make a run's obvious files, as far as they are not there already."""
    folder, files = builds.peer_folder(run, work), []
    for record in builds.make_peers(run, work, names=names, data=data):
        if record.peer not in names:
            continue
        path = folder / record.peer / peers.PEERS[record.peer].file
        found = str(path) if record.error is None else None
        name = _format_of(record.peer)
        files.append(File(OBVIOUS[record.peer], name, None, found, record.error))
    return tuple(files)


def _format_of(peer: str) -> str:
    return peer.partition("-")[0]


def measure(file: File, run: Run, data: Path, log: Path) -> Measured | str:
    """Run a file over the test photos in a process of its own; return why it could not be."""
    if file.path is None:
        return file.error or "there is no file"
    candidate = Candidate(file.name, file.path, _FLOAT32 if file.format == "openvino" else {})
    with console.step(f"Asking {file.name} of {run.name}"):
        outcome = processes.call(predict, candidate, run.root, data, log=log)
    if outcome.error is not None:
        return f"{outcome.error} (see {log})"
    return compare(outcome.value, run.reference())


def predict(candidate: Candidate, run_root: Path, data: Path) -> Scores:
    """Return a file's probabilities of every test photo, one at a time.

    Raises:
        InputError: if the photos are not those of the run's reference.
    """
    run, dataset = Run.load(run_root), Dataset.load(data)
    if dataset.split("test").hashes() != run.reference().image_sha256:
        raise InputError(f"the test photos of {data} are not those of {run_root}")
    opened = open_model(candidate, min(_MAX_THREADS, logical_cores()))
    pixels = dataset.pixels("test", run.record.spec.preprocessing)
    rows = [
        opened.read(opened.invoke(opened.prepare(np.array(pixels[i : i + 1])))).reshape(-1).copy()
        for i in range(len(pixels))
    ]
    return np.stack(rows).astype(np.float32)


def compare(probabilities: Scores, reference: Reference) -> Measured | str:
    """Return what a file's answers are worth, or why nothing can be said."""
    if not np.isfinite(probabilities).all():
        return "some probabilities are not finite"
    exact = softmax(reference.logits)
    drop = paired_drop(exact, probabilities, reference.labels)
    return Measured(
        top1=accuracy(probabilities, reference.labels).top1,
        changed=drop.flips,
        drop=drop,
        sqnr_db=sqnr_db(exact, probabilities),
    )


def count_unsure(reference: Reference) -> int:
    """Return how many photos' best two probabilities are closer than the ladder calls clear."""
    ranked = np.sort(softmax(reference.logits), axis=1)
    return int(np.sum(ranked[:, -1] - ranked[:, -2] < DECISIVE_MARGIN))


def sqnr_db(exact: Scores, actual: Scores) -> float:
    """Return the signal-to-quantisation-noise ratio of centred log-probabilities, decibels.

    A file whose output is rounded to a step says 0 of what is less than half of it. Both are cut
    off there: the logarithm of 0 would drown everything else.
    """
    least = _LEAST_PROBABILITY
    if (actual < least).any():
        least = max(least, float(actual[actual >= least].min()) / 2)
    signal = _centred_logs(exact, least)
    noise = float(np.sum((_centred_logs(actual, least) - signal) ** 2))
    if noise == 0.0:
        return _EXACT_DB
    return min(_EXACT_DB, 10.0 * float(np.log10(np.sum(signal**2) / noise)))


def _centred_logs(probabilities: Scores, least: float) -> Scores:
    logs = np.log(np.maximum(probabilities.astype(np.float64), least))
    centred: Scores = logs - logs.mean(axis=1, keepdims=True)
    return centred

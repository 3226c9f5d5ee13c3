"""Anything that classifies photos – a run or a bundle – opened the same way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from edgevit import console
from edgevit.bundle import BUNDLE_FILE, Bundle
from edgevit.errors import InputError
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.run import RUN_FILE, WEIGHTS_FILE, DatasetReference, ReferenceRecord, Run
from edgevit.runtimes.base import CPU_DEVICE, Device, Session
from edgevit.runtimes.registry import RUNTIMES
from edgevit.spec import ModelSpec
from edgevit.storage import sha256_of_file

Kind = Literal["run", "bundle"]


@dataclass(frozen=True)
class Classifier:
    """A verified model, ready to be invoked.

    Attributes:
        name: Of the run or the bundle.
        format: The runtime that opened it, such as ``tflite``.
        precision: Such as ``int8``; a run is ``fp32``.
        model_path: What its runtime opens: the model file; a run's folder.
        size_bytes: Of the model file; of the weights for a run.
        record_sha256: Hash of the ``bundle.json`` or ``run.json``, which has those of all files.
        run_name: The run that it is or comes from.
        run_paths: Where that run may be; hints, the hash decides.
        run_sha256: Hash of the ``run.json``.
        dataset: The photos that the run was trained on.
        reference: The full-precision test result of the run.
        calibration_image_sha256: Hash of each photo that its ranges were calibrated on; ``None``
            where the bundle does not say.
    """

    name: str
    kind: Kind
    format: str
    precision: str
    spec: ModelSpec
    labels: tuple[str, ...]
    session: Session
    model_path: Path
    size_bytes: int
    record_sha256: str
    run_name: str
    run_paths: tuple[Path, ...]
    run_sha256: str
    dataset: DatasetReference
    reference: ReferenceRecord
    calibration_image_sha256: tuple[str, ...] | None


def open_classifier(path: Path, threads: int, device: Device = CPU_DEVICE) -> Classifier:
    """Open a run's or a bundle's folder, check its files, and run it once on black pixels.

    Args:
        path: The folder.
        threads: Of the CPU.
        device: Where to compute; one of its runtime's devices.

    Raises:
        InputError: if it is neither, was changed, its model does not fit its record, or the device
            cannot be used.
        MissingDependencyError: if its runtime is not installed.
    """
    if find_kind(path) == "bundle":
        classifier = _open_bundle(Bundle.load(path), threads, device)
    else:
        classifier = _open_run(Run.load(path), threads, device)
    _check_session(classifier, path)
    return classifier


def find_kind(path: Path) -> Kind:
    """Tell what a folder should be, without reading it.

    Raises:
        InputError: if it is neither a run nor a bundle.
    """
    if (path / BUNDLE_FILE).is_file():
        return "bundle"
    if (path / RUN_FILE).is_file() or (path / "checkpoint").is_dir():
        return "run"
    found = "is neither a run nor a bundle" if path.exists() else "does not exist"
    raise InputError(
        f"{path} {found}",
        f"Give a folder with a {BUNDLE_FILE} (exports/NAME) or a {RUN_FILE} (runs/NAME)",
    )


def _open_bundle(bundle: Bundle, threads: int, device: Device) -> Classifier:
    record, source = bundle.record, bundle.record.source
    return Classifier(
        name=bundle.name,
        kind="bundle",
        format=record.format,
        precision=record.precision,
        spec=record.spec,
        labels=record.labels,
        session=RUNTIMES.get(record.format).open(bundle.model_path, threads, device),
        model_path=bundle.model_path,
        size_bytes=bundle.model_size_bytes,
        record_sha256=sha256_of_file(bundle.root / BUNDLE_FILE),
        run_name=bundle.run_name,
        run_paths=bundle.run_paths,
        run_sha256=bundle.run_sha256,
        dataset=source.dataset,
        reference=source.reference,
        calibration_image_sha256=source.calibration_image_sha256,
    )


def _open_run(run: Run, threads: int, device: Device) -> Classifier:
    record = run.record
    return Classifier(
        name=run.name,
        kind="run",
        format="keras",
        precision="fp32",
        spec=record.spec,
        labels=record.labels,
        session=RUNTIMES.get("keras").open(run.root, threads, device),
        model_path=run.root,
        size_bytes=record.files[WEIGHTS_FILE].size_bytes,
        record_sha256=run.sha256,
        run_name=run.name,
        run_paths=(run.root,),
        run_sha256=run.sha256,
        dataset=record.dataset,
        reference=record.reference,
        calibration_image_sha256=(),
    )


def _check_session(classifier: Classifier, path: Path) -> None:
    shape = (1, *classifier.spec.input_shape)
    remedy = "Export it again: its record belongs to another model"
    try:
        probabilities = classifier.session.invoke(np.zeros(shape, dtype=np.uint8))
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} does not take {list(shape)} pixels ({reason})", remedy) from error
    expected = (1, len(classifier.labels))
    if probabilities.shape != expected:
        raise InputError(
            f"{path} returns {list(probabilities.shape)} for {expected[1]} labels", remedy
        )


class Rows(Protocol):
    """Images that are read a few at a time: an array, a memory map, or rows of a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, chosen: slice, /) -> Pixels: ...


def predict_all(session: Session, pixels: Rows, description: str = "Predicting") -> Scores:
    """Run every image, one at a time, with progress on standard error.

    Args:
        session: An opened model.
        pixels: ``uint8 [n, height, width, 3]``.
        description: What the progress bar says.

    Returns:
        Probabilities, ``float32 [n, classes]``.

    Raises:
        InputError: if there are no images.
    """
    count = len(pixels)
    if count == 0:
        raise InputError("there is no photo to predict", "Prepare a data set with test photos")
    rows = [
        session.invoke(np.asarray(pixels[index : index + 1]))[0].copy()
        for index in console.track(range(count), description, count)
    ]
    return np.stack(rows).astype(np.float32, copy=False)

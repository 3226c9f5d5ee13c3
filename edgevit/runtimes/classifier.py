"""Anything that classifies photos – a run or a bundle – opened the same way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgevit import console
from edgevit.bundle import BUNDLE_FILE, Bundle
from edgevit.errors import InputError
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.run import RUN_FILE, WEIGHTS_FILE, DatasetReference, ReferenceRecord, Run
from edgevit.runtimes.base import Session
from edgevit.runtimes.registry import RUNTIMES
from edgevit.spec import ModelSpec

Kind = Literal["run", "bundle"]


@dataclass(frozen=True)
class Classifier:
    """A verified model, ready to be invoked.

    Attributes:
        name: Of the run or the bundle.
        format: The runtime that opened it, such as ``tflite``.
        precision: Such as ``int8``; a run is ``fp32``.
        size_bytes: Of the model file; of the weights for a run.
        run_name: The run that it is or comes from.
        run_paths: Where that run may be; hints, the hash decides.
        run_sha256: Hash of the ``run.json``.
        dataset: The photos that the run was trained on.
        reference: The full-precision test result of the run.
    """

    name: str
    kind: Kind
    format: str
    precision: str
    spec: ModelSpec
    labels: tuple[str, ...]
    session: Session
    size_bytes: int
    run_name: str
    run_paths: tuple[Path, ...]
    run_sha256: str
    dataset: DatasetReference
    reference: ReferenceRecord


def open_classifier(path: Path, threads: int) -> Classifier:
    """Open a run's or a bundle's folder, check its files, and run it once on black pixels.

    Raises:
        InputError: if it is neither, was changed, or its model does not fit its record.
        MissingDependencyError: if its runtime is not installed.
    """
    if find_kind(path) == "bundle":
        classifier = _open_bundle(Bundle.load(path), threads)
    else:
        classifier = _open_run(Run.load(path), threads)
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


def _open_bundle(bundle: Bundle, threads: int) -> Classifier:
    record, source = bundle.record, bundle.record.source
    return Classifier(
        name=bundle.name,
        kind="bundle",
        format=record.format,
        precision=record.precision,
        spec=record.spec,
        labels=record.labels,
        session=RUNTIMES.get(record.format).open(bundle.model_path, threads),
        size_bytes=bundle.model_size_bytes,
        run_name=source.run_name,
        # The second is where runs/ lies beside exports/ after both were copied to a device.
        run_paths=(
            Path(source.run_path),
            bundle.root.resolve().parent.parent / "runs" / source.run_name,
        ),
        run_sha256=source.run_sha256,
        dataset=source.dataset,
        reference=source.reference,
    )


def _open_run(run: Run, threads: int) -> Classifier:
    record = run.record
    return Classifier(
        name=run.name,
        kind="run",
        format="keras",
        precision="fp32",
        spec=record.spec,
        labels=record.labels,
        session=RUNTIMES.get("keras").open(run.root, threads),
        size_bytes=record.files[WEIGHTS_FILE].size_bytes,
        run_name=run.name,
        run_paths=(run.root,),
        run_sha256=run.sha256,
        dataset=record.dataset,
        reference=record.reference,
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


def predict_all(session: Session, pixels: Pixels, description: str = "Predicting") -> Scores:
    """Run every image, one at a time, with progress on standard error.

    Args:
        session: An opened model.
        pixels: ``uint8 [n, height, width, 3]``; may be a memory map.
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

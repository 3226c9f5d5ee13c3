"""A ``Run``: one trained classifier on disk, with its full-precision reference.

``runs/NAME/`` holds ``run.json`` (this record, with the hash of every other file),
``weights.safetensors`` (float32, keyed by Keras variable path), ``reference.npz`` (the
full-precision logits of the test split), ``history.csv`` and pictures. Nothing here needs
TensorFlow: exports, calibration and benchmarks read runs on machines that have none.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevit import documents, storage
from edgevit.errors import InputError, MissingDependencyError
from edgevit.metrics import Accuracy, Labels, Scores
from edgevit.spec import ModelSpec
from edgevit.storage import FileRecord

RUN_FILE = "run.json"
WEIGHTS_FILE = "weights.safetensors"
REFERENCE_FILE = "reference.npz"
KIND = "edgevit.run"
SCHEMA_VERSION = 1

Weights = dict[str, npt.NDArray[np.float32]]

_DAMAGED_REMEDY = "The run is damaged: copy it again, or train it again"


@dataclass(frozen=True)
class DatasetReference:
    """Which photos a run was trained on."""

    path: str
    sha256: str
    train_count: int
    val_count: int
    test_count: int


@dataclass(frozen=True)
class TrainingRecord:
    """How a run was trained: every setting, resolved."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    weights: str
    augment: tuple[str, ...]
    precision: str
    seed: int
    best_epoch: int
    seconds: float


@dataclass(frozen=True)
class ReferenceRecord:
    """The full-precision model on the test split, and where it was measured.

    Attributes:
        accuracy: On the test split.
        per_class_top1: Share right per label, 0–1; ``None`` where the split has no such image.
        device: The processor or GPU.
        latency_ms_p50: Median of one image's inference, batch 1, milliseconds.
        latency_ms_p90: 90th percentile of the same.
        latency_query_count: Inferences that both rest on; ``None`` in runs that do not say.
        runtime: What computed it, such as ``TensorFlow 2.21.0``; ``None`` in runs that do not say.
        accelerator: Whether ``device`` is one; ``None`` in runs that do not say.
    """

    accuracy: Accuracy
    per_class_top1: tuple[float | None, ...]
    device: str
    latency_ms_p50: float
    latency_ms_p90: float
    latency_query_count: int | None = None
    runtime: str | None = None
    accelerator: bool | None = None


@dataclass(frozen=True)
class RunRecord:
    """The body of ``run.json``."""

    name: str
    spec: ModelSpec
    labels: tuple[str, ...]
    dataset: DatasetReference
    training: TrainingRecord
    reference: ReferenceRecord
    versions: dict[str, str]
    files: dict[str, FileRecord]

    def __post_init__(self) -> None:
        require_plain_name(self.name)
        lost = sorted({WEIGHTS_FILE, REFERENCE_FILE} - set(self.files))
        if lost:
            raise InputError(f"{lost[0]} has no recorded hash")
        if len(self.labels) != self.spec.class_count:
            raise InputError(
                f"{len(self.labels)} labels for a model of {self.spec.class_count} classes"
            )


@dataclass(frozen=True)
class Reference:
    """Full-precision answers on the test split.

    Attributes:
        logits: ``float32 [n, classes]``, before the softmax.
        labels: ``int64 [n]``.
        image_sha256: Hash of each photo file, in the same order.
    """

    logits: Scores
    labels: Labels
    image_sha256: tuple[str, ...]

    def logits_of(self, image_sha256: Sequence[str]) -> Scores | None:
        """Return the answers to these photos, in their order; ``None`` if one is missing."""
        position = {sha256: index for index, sha256 in enumerate(self.image_sha256)}
        if not position.keys() >= set(image_sha256):
            return None
        answers: Scores = self.logits[[position[sha256] for sha256 in image_sha256]]
        return answers


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its record, and the hash that exports cite."""

    root: Path
    record: RunRecord
    sha256: str

    @property
    def name(self) -> str:
        """The folder's name, which exports carry; ``record.name`` is what it was trained as."""
        return self.root.resolve().name

    @classmethod
    def load(cls, root: Path) -> Run:
        """Open a run and check that every file of it is as it was written.

        Raises:
            InputError: if there is no run, or a file is missing or was changed.
        """
        if not root.is_dir():
            raise InputError(
                f"there is no run at {root}", "Train one: edgevit train vit-tiny --data DIR"
            )
        path = root / RUN_FILE
        if not path.is_file() and (root / "checkpoint").is_dir():
            raise InputError(
                f"the run at {root} is not finished",
                f"Continue it: edgevit train … --out {root} --resume",
            )
        if not path.is_file():
            raise InputError(
                f"{root} is no run: it has no {RUN_FILE}",
                "Give a folder that `edgevit train` wrote, such as runs/vit-tiny",
            )
        record = documents.read(path, KIND, SCHEMA_VERSION, RunRecord)
        storage.verify_files(root, record.files, _DAMAGED_REMEDY)
        return cls(root=root, record=record, sha256=storage.sha256_of_file(path))

    def weights(self) -> Weights:
        """Read the weights: ``float32`` arrays by Keras variable path."""
        try:
            from safetensors.numpy import load_file
        except ImportError:
            raise MissingDependencyError(
                "reading a run's weights needs safetensors", "pip install 'edgevit[export]'"
            ) from None
        weights: Weights = load_file(self.root / WEIGHTS_FILE)
        return weights

    def reference(self) -> Reference:
        """Read the full-precision answers on the test split."""
        return read_reference(self.root / REFERENCE_FILE)


def require_plain_name(name: str) -> None:
    """Refuse a name that cannot be a folder's: names of other machines' files become paths here.

    Raises:
        InputError: if the name is empty, hidden, or leads elsewhere.
    """
    if not name.isprintable() or not name or name.startswith(".") or Path(name).name != name:
        raise InputError(f"{name!r} cannot be a folder's name")


def require_finite(weights: Weights, source: Path) -> None:
    """Refuse weights that training has ruined.

    Raises:
        InputError: naming the first tensor with NaN or infinity.
    """
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise InputError(
                f"the tensor {name} of {source} holds NaN or infinity",
                "Train the run again, with a lower --learning-rate",
            )


def write_reference(path: Path, reference: Reference) -> None:
    """Write the answers as an ``.npz`` of plain arrays (no pickle)."""
    archive = io.BytesIO()
    np.savez(
        archive,
        logits=reference.logits.astype(np.float32),
        labels=reference.labels.astype(np.int64),
        image_sha256=np.array(reference.image_sha256, dtype="U64"),
    )
    storage.write_atomically(path, archive.getvalue())


def read_reference(path: Path) -> Reference:
    """Read what :func:`write_reference` wrote.

    Raises:
        InputError: if an array is missing.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Reference(
                logits=arrays["logits"],
                labels=arrays["labels"],
                image_sha256=tuple(arrays["image_sha256"].tolist()),
            )
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error})", _DAMAGED_REMEDY) from error


def write_run(folder: Path, record: RunRecord) -> None:
    """Write ``run.json``, which makes the folder a finished run."""
    documents.write(folder / RUN_FILE, KIND, SCHEMA_VERSION, record)


def newest_run(runs: Path) -> Path:
    """Return the finished run below ``runs`` that was finished last.

    Raises:
        InputError: if there is none.
    """
    finished = sorted(
        runs.glob(f"*/{RUN_FILE}"), key=lambda path: (path.stat().st_mtime_ns, str(path))
    )
    if not finished:
        raise InputError(
            f"there is no finished run below {runs}{os.sep}",
            "Train one first (edgevit train vit-tiny --data DIR), or name a run's folder",
        )
    return finished[-1].parent

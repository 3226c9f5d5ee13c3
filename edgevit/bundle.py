"""A ``Bundle``: one exported model with everything that a device needs to use and to judge it.

``exports/NAME.FORMAT.PRECISION/`` holds the model file, ``labels.txt`` (one label a line) and
``bundle.json`` (this record). The model takes ``uint8 [1, height, width, 3]`` RGB pixels and
returns probabilities over the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevit import documents, storage
from edgevit.errors import InputError
from edgevit.metrics import PairedDrop
from edgevit.run import DatasetReference, ReferenceRecord, require_plain_name
from edgevit.spec import ModelSpec
from edgevit.storage import FileRecord

BUNDLE_FILE = "bundle.json"
LABELS_FILE = "labels.txt"
KIND = "edgevit.bundle"
SCHEMA_VERSION = 3

_DAMAGED_REMEDY = "The bundle is damaged: copy it again, or export it again"


@dataclass(frozen=True)
class TensorRecord:
    """One input or output of a model file.

    Attributes:
        name: The tensor's name in the file.
        dtype: NumPy name, such as ``uint8``.
        shape: With the batch dimension.
        scale: Quantisation step, for integer outputs; ``None`` where values are plain.
        zero_point: The integer that stands for 0.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class RungRecord:
    """One rung of the ladder that an export climbed: what was checked and what came out.

    Attributes:
        passed: ``None`` where it could not be checked; ``detail`` says why.
    """

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True)
class SourceRecord:
    """Where a bundle comes from.

    Attributes:
        run_name: The run's name.
        run_path: Where the run was when the bundle was made; a hint, the hash decides.
        run_sha256: Hash of its ``run.json``, which in turn holds the hash of the weights.
        dataset: The photos that the run was trained on.
        reference: The run's full-precision test result.
        calibration_sha256: Hash over the calibration images; ``None`` where none were needed.
        skipped_passes: Names of graph passes that the user left out.
        ranges: Range estimators that the user chose, as ``ESTIMATOR`` or ``KIND=ESTIMATOR``.
        calibration_image_sha256: Hash of each photo that the calibration saw; ``None`` in bundles
            that do not say.
    """

    run_name: str
    run_path: str
    run_sha256: str
    dataset: DatasetReference
    reference: ReferenceRecord
    calibration_sha256: str | None
    skipped_passes: tuple[str, ...]
    ranges: tuple[str, ...]
    calibration_image_sha256: tuple[str, ...] | None = None


@dataclass(frozen=True)
class FloatLayersRecord:
    """Layers of an int8 file that compute in float, and what that costs.

    Attributes:
        names: Of the dense layers and convolutions.
        latency_ms_p50: Median time of one inference of this file, milliseconds.
        latency_ms_p50_all_int8: The same of the file with every layer in int8; both took turns on
            the machine that exported them.
        threads: With which they were timed.
    """

    names: tuple[str, ...]
    latency_ms_p50: float
    latency_ms_p50_all_int8: float
    threads: int


@dataclass(frozen=True)
class BundleRecord:
    """The body of ``bundle.json``.

    Attributes:
        format: ``tflite``, …
        precision: The precision's name, such as ``int8``.
        applied_precision: What was really done, per kind of op, in words.
        float_layers: The int8 layers that stayed float after all; ``None`` if none did.
        op_dtypes: Number of the file's ops by kind and arithmetic, such as
            ``{"FULLY_CONNECTED int8": 74}``.
        placement: Number of ops by where the file's own runtime ran them when it was checked.
        model_file: Name of the file that the runtime opens.
        validation: Drop on validation photos in the file's own runtime; ``None`` without photos.
        max_drop_points: The budget that it was held against, percentage points, if there was one.
        fp32_weights_bytes: Size of the graph's weights in float32, to compare the files with.
        notes: What a user of this bundle should know.
        files: Every file but this record, with its hash.
    """

    name: str
    format: str
    precision: str
    applied_precision: dict[str, str]
    float_layers: FloatLayersRecord | None
    op_dtypes: dict[str, int]
    placement: dict[str, int]
    spec: ModelSpec
    labels: tuple[str, ...]
    model_file: str
    fp32_weights_bytes: int
    input: TensorRecord
    output: TensorRecord
    source: SourceRecord
    validation: PairedDrop | None
    max_drop_points: float | None
    ladder: tuple[RungRecord, ...]
    notes: tuple[str, ...]
    versions: dict[str, str]
    files: dict[str, FileRecord]

    def __post_init__(self) -> None:
        require_plain_name(self.name)
        require_plain_name(self.source.run_name)
        if len(self.labels) != self.spec.class_count:
            raise InputError(
                f"{len(self.labels)} labels for a model of {self.spec.class_count} classes"
            )
        if self.fp32_weights_bytes < 1:
            raise InputError(f"the weights cannot have {self.fp32_weights_bytes} bytes")
        for name in self._model_files:
            if name not in self.files:
                raise InputError(f"the model file {name!r} has no recorded hash")

    @property
    def _model_files(self) -> tuple[str, ...]:
        """The files that the runtime reads; OpenVINO keeps the weights beside the graph."""
        if self.format != "openvino":
            return (self.model_file,)
        return (self.model_file, str(Path(self.model_file).with_suffix(".bin")))


@dataclass(frozen=True)
class Bundle:
    """An exported model: its folder and its record."""

    root: Path
    record: BundleRecord

    @property
    def name(self) -> str:
        """``RUN.FORMAT.PRECISION``."""
        return self.record.name

    @property
    def model_path(self) -> Path:
        """The model file."""
        return self.root / self.record.model_file

    @property
    def model_size_bytes(self) -> int:
        """Size of the model: everything that a device needs but the labels and this record."""
        files = self.record.files
        return sum(file.size_bytes for name, file in files.items() if name != LABELS_FILE)

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return self.record.labels

    @property
    def run_name(self) -> str:
        """The run that it comes from."""
        return self.record.source.run_name

    @property
    def run_sha256(self) -> str:
        """Hash of that run's ``run.json``."""
        return self.record.source.run_sha256

    @property
    def run_paths(self) -> tuple[Path, ...]:
        """Where that run may be; hints, the hash decides."""
        # The second is where runs/ lies beside exports/ after both were copied to a device.
        beside = self.root.resolve().parent.parent / "runs" / self.run_name
        return Path(self.record.source.run_path), beside

    @classmethod
    def load(cls, root: Path) -> Bundle:
        """Open a bundle and check that every file of it is as it was written.

        Raises:
            InputError: if there is no bundle, or a file is missing or was changed.
        """
        if not root.is_dir():
            raise InputError(
                f"there is no bundle at {root}", "Make one: edgevit export RUN --format tflite"
            )
        if not (root / BUNDLE_FILE).is_file():
            raise InputError(
                f"{root} is no bundle: it has no {BUNDLE_FILE}",
                "Give a folder that `edgevit export` wrote, such as exports/vit-tiny.tflite.int8",
            )
        record = documents.read(root / BUNDLE_FILE, KIND, SCHEMA_VERSION, BundleRecord)
        storage.verify_files(root, record.files, _DAMAGED_REMEDY)
        if (root / LABELS_FILE).read_bytes() != render_labels(record.labels):
            raise InputError(
                f"{root / BUNDLE_FILE} and {LABELS_FILE} name other labels", _DAMAGED_REMEDY
            )
        return cls(root=root, record=record)


def write_bundle(folder: Path, record: BundleRecord) -> None:
    """Write ``bundle.json``, the last file of a bundle."""
    documents.write(folder / BUNDLE_FILE, KIND, SCHEMA_VERSION, record)


def render_labels(labels: tuple[str, ...]) -> bytes:
    """Return ``labels.txt``: one label a line, UTF-8.

    Raises:
        InputError: if a label holds a line break.
    """
    for label in labels:
        if "\n" in label or "\r" in label:
            raise InputError(f"the label {label!r} holds a line break", "Rename the class")
    return ("\n".join(labels) + "\n").encode()


def find_bundles(exports: Path) -> tuple[Path, ...]:
    """Return the bundles below ``exports``, sorted by name.

    Raises:
        InputError: if there is none.
    """
    found = tuple(sorted(path.parent for path in exports.glob(f"*/{BUNDLE_FILE}")))
    if not found:
        raise InputError(
            f"there is no bundle below {exports}/", "Make one: edgevit export RUN --format tflite"
        )
    return found

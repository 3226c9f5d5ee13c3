"""Everything that is measured about one model through one session, in one process."""

from __future__ import annotations

from pathlib import Path

from edgevit import console
from edgevit.bench import protocol
from edgevit.bench.accuracy import check_classes, evaluate
from edgevit.bench.conditions import cool_down_for
from edgevit.bench.evaluation import DatasetPhotos, EvaluationSet, PackedPhotos, spread
from edgevit.bench.jobs import RowJob
from edgevit.bench.protocol import LatencyResult
from edgevit.bench.result import EvaluationRecord, Measurement
from edgevit.bench.targets.agreement import measure_use, require_device
from edgevit.data.dataset import Dataset
from edgevit.metrics import top_k
from edgevit.preprocessing import Pixels
from edgevit.runtimes.base import CPU_DEVICE, AcceleratorUse
from edgevit.runtimes.classifier import Classifier, open_classifier

# Photos that the timing loop goes round: enough to see many, few enough to hold in memory.
TIMED_PHOTOS = 64


def measure_row(job: RowJob) -> Measurement:
    """Time a classifier, then score it on all photos through the same session.

    Raises:
        EdgevitError: if the model cannot be opened, does not fit the photos, or its accelerator
            gives other answers than the CPU.
    """
    classifier = open_classifier(Path(job.path), job.threads, job.device)
    photos = open_photos(job)
    check_classes(classifier, photos)
    pixels = photos.pixels(classifier.spec.preprocessing)
    images = pixels[spread(len(pixels), TIMED_PHOTOS)]
    use = _accelerator_use(job, classifier, images)
    with console.step(f"Timing {classifier.name}, threads: {job.threads}"):
        latency, repeats = protocol.measure_repeats(
            classifier.session.invoke, images, job.protocol, cool_down=cool_down_for(job.protocol)
        )
        end_to_end = _end_to_end(job, classifier, photos)
        sustained = protocol.measure_sustained(
            classifier.session.invoke, images, job.sustained_minutes
        )
    accuracy = evaluate(classifier, photos)
    return Measurement(
        model=classifier.spec.model,
        format=classifier.format,
        precision=classifier.precision,
        size_bytes=classifier.size_bytes,
        model_sha256=classifier.record_sha256,
        run_name=classifier.run_name,
        run_sha256=classifier.run_sha256,
        reference=classifier.reference,
        evaluation=_evaluation_record(classifier, photos),
        accuracy=accuracy,
        latency=latency,
        repeats=repeats,
        placement=classifier.session.placement(),
        end_to_end=end_to_end,
        accelerator=use,
        sustained=sustained,
    )


def open_photos(job: RowJob) -> EvaluationSet:
    """Open the photos that a job names.

    Raises:
        InputError: if they are not there, were changed, or there are none.
    """
    if job.packed:
        return PackedPhotos(Path(job.photos), job.source)
    return DatasetPhotos(Dataset.load(Path(job.photos)), "test", job.image_limit)


def _accelerator_use(job: RowJob, classifier: Classifier, images: Pixels) -> AcceleratorUse | None:
    """Compare an accelerator's answers with the CPU's, before anything is timed."""
    if job.device.kind == "cpu":
        return None
    on_cpu = open_classifier(Path(job.path), job.threads, CPU_DEVICE)
    use = measure_use(classifier, on_cpu, job.threads, job.device, images)
    if job.require_device:
        require_device(use)
    return use


def _end_to_end(job: RowJob, classifier: Classifier, photos: EvaluationSet) -> LatencyResult | None:
    """Time a photo's way from its file, held in memory, to its best label."""
    encoded = photos.encoded()
    if not encoded:
        return None
    preprocessing, session = classifier.spec.preprocessing, classifier.session

    def classify(photo: bytes) -> object:
        return top_k(session.invoke(preprocessing.pixels(photo)[None]), 1)

    return protocol.measure_queries(classify, encoded, protocol.once(job.protocol))[0]


def _evaluation_record(classifier: Classifier, photos: EvaluationSet) -> EvaluationRecord:
    seen = classifier.calibration_image_sha256
    return EvaluationRecord(
        source=photos.source,
        dataset_sha256=photos.dataset_sha256,
        image_count=len(photos.labels),
        same_photos=photos.dataset_sha256 == classifier.dataset.sha256,
        calibrated_count=None if seen is None else len(set(seen) & set(photos.image_sha256)),
    )

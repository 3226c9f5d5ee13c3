from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgevit.bench.evaluation import DatasetPhotos
from edgevit.bundle import BUNDLE_FILE, Bundle, write_bundle
from edgevit.compare.candidates import (
    Candidate,
    answers,
    cautions,
    load_candidate,
    names_apart,
    refuse_same,
    refuse_unlike,
)
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import REFERENCE_FILE, DatasetReference, Run, write_reference, write_run
from edgevit.storage import record_of
from tests.bench.standin import COLOURS, SIZE, make_run


@pytest.fixture
def first(run: Run) -> Candidate:
    return load_candidate(run.root)


@pytest.fixture
def second(tmp_path: Path, dataset: Dataset) -> Candidate:
    return load_candidate(make_run(tmp_path / "runs" / "other", dataset, wrong=3).root)


def seeing(candidate: Candidate, **changes: object) -> Candidate:
    """Return the candidate with another preprocessing."""
    preprocessing = dataclasses.replace(candidate.spec.preprocessing, **changes)  # type: ignore[arg-type]
    spec = dataclasses.replace(candidate.spec, preprocessing=preprocessing)
    return dataclasses.replace(candidate, spec=spec)


def refusal(first: Candidate, second: Candidate, *, across_sizes: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        refuse_unlike(first, second, across_sizes=across_sizes)
    return str(caught.value)


def test_run_is_read_without_its_runtime_when_it_is_loaded(run: Run, first: Candidate) -> None:
    # Its weights are no weights: a runtime would refuse them.
    assert (first.name, first.kind, first.format, first.precision) == (
        "colours",
        "run",
        "keras",
        "fp32",
    )
    assert first.run_sha256 == first.record_sha256 == run.sha256
    assert first.size_bytes == len(b"never read here")
    assert first.labels == COLOURS
    assert first.parameter_count is None  # no architecture of that name


def test_bundle_is_read_without_its_run_when_that_is_elsewhere(bundle: Path, run: Run) -> None:
    shutil.rmtree(run.root)
    candidate = load_candidate(bundle)
    assert (candidate.name, candidate.kind, candidate.format) == (
        "colours.tflite.fp32",
        "bundle",
        "tflite",
    )
    assert (candidate.run_name, candidate.run_sha256) == (run.name, run.sha256)
    assert candidate.record_sha256 != run.sha256


def test_parameters_are_counted_when_the_architecture_is_known(bundle: Path) -> None:
    record = bundle / BUNDLE_FILE
    text = record.read_text(encoding="utf-8").replace('"model": "colours"', '"model": "vit-tiny"')
    record.write_text(text, encoding="utf-8")
    candidate = load_candidate(bundle)
    assert (
        candidate.parameter_count
        == ARCHITECTURES.get("vit-tiny").parameter_counts(candidate.spec).total
    )


@pytest.mark.parametrize(
    ("sha256", "of_images", "expected"),
    [
        (None, None, ()),
        ("0" * 64, None, None),
        ("0" * 64, ("1" * 64,), ("1" * 64,)),
    ],
)
def test_calibration_is_unknown_when_a_calibrated_bundle_does_not_say(
    bundle: Path,
    sha256: str | None,
    of_images: tuple[str, ...] | None,
    expected: tuple[str, ...] | None,
) -> None:
    record = Bundle.load(bundle).record
    source = dataclasses.replace(
        record.source, calibration_sha256=sha256, calibration_image_sha256=of_images
    )
    write_bundle(bundle, dataclasses.replace(record, source=source))
    assert load_candidate(bundle).calibration_image_sha256 == expected


def test_loading_is_refused_when_a_file_was_changed(bundle: Path) -> None:
    (bundle / "model.tflite").write_bytes(b"changed")
    with pytest.raises(InputError, match=r"model\.tflite"):
        load_candidate(bundle)


def test_models_pass_when_labels_and_geometry_are_equal(
    first: Candidate, second: Candidate
) -> None:
    refuse_unlike(first, second)


def test_models_pass_when_only_the_normalisation_differs(
    first: Candidate, second: Candidate
) -> None:
    refuse_unlike(first, seeing(second, channel_order="bgr", mean=(1.0, 2.0, 3.0)))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("blue", "green"), "colours has 3 labels and other has 2."),
        (("blue", "green", "rot"), "label 2 is 'red' in colours and 'rot' in other."),
        (
            ("blue", "red", "green"),
            "label 1 is 'green' in colours and 'red' in other: the same labels in another order.",
        ),
    ],
)
def test_models_are_refused_by_name_when_their_labels_differ(
    first: Candidate, second: Candidate, labels: tuple[str, ...], words: str
) -> None:
    # Sizes of their own do not excuse other labels.
    line = refusal(first, dataclasses.replace(second, labels=labels), across_sizes=True)
    assert line == f"{words} Compare models that were trained on the same classes"


def test_option_is_named_when_only_the_size_differs(first: Candidate, second: Candidate) -> None:
    larger = seeing(second, height=2 * SIZE, width=2 * SIZE)
    assert refusal(first, larger) == (
        "colours takes photos as 16×16 crop bilinear, other as 32×32 crop bilinear. Add "
        "--across-sizes: each model then sees the same photos at its own size"
    )
    refuse_unlike(first, larger, across_sizes=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 2 * SIZE}, "16×32 crop bilinear"),
        ({"resize_mode": "squash"}, "16×16 squash bilinear"),
        ({"interpolation": "bicubic"}, "16×16 crop bicubic"),
    ],
)
@pytest.mark.parametrize("across_sizes", [False, True])
def test_models_are_refused_when_they_see_other_parts_of_a_photo(
    first: Candidate,
    second: Candidate,
    changes: dict[str, object],
    words: str,
    across_sizes: bool,
) -> None:
    line = refusal(first, seeing(second, **changes), across_sizes=across_sizes)
    assert f"colours takes photos as 16×16 crop bilinear, other as {words}." in line
    assert "--across-sizes" not in line


def test_paths_are_named_when_the_names_are_equal(
    first: Candidate, tmp_path: Path, dataset: Dataset
) -> None:
    namesake = load_candidate(make_run(tmp_path / "old" / "colours", dataset, wrong=3).root)
    assert names_apart(first, namesake) == (str(first.path), str(namesake.path))
    line = refusal(first, dataclasses.replace(namesake, labels=("blue",)))
    assert str(first.path) in line
    assert str(namesake.path) in line


def test_model_is_refused_when_it_is_compared_with_itself(
    first: Candidate, second: Candidate, tmp_path: Path
) -> None:
    refuse_same(first, second)
    with pytest.raises(InputError, match="colours is given twice"):
        refuse_same(first, first)
    copy = tmp_path / "copy"
    shutil.copytree(first.path, copy)
    with pytest.raises(InputError, match="copy are the same run"):
        refuse_same(first, load_candidate(copy))


def test_saved_answers_follow_the_photos_when_these_are_fewer(
    first: Candidate, run: Run, dataset: Dataset
) -> None:
    photos = DatasetPhotos(dataset, image_limit=3)
    probabilities, source = answers(first, photos, threads=1)
    assert source == "saved by the run"
    saved = run.reference()
    rows = [saved.image_sha256.index(sha256) for sha256 in photos.image_sha256]
    assert rows != list(range(3))
    assert probabilities.shape == (3, 3)
    np.testing.assert_array_equal(probabilities.argmax(1), saved.logits[rows].argmax(1))
    np.testing.assert_allclose(probabilities.sum(1), 1.0, rtol=1e-6)


def test_bundle_answers_by_itself_when_its_run_is_elsewhere(
    bundle: Path, run: Run, dataset: Dataset
) -> None:
    shutil.rmtree(run.root)
    photos = DatasetPhotos(dataset, "val")
    probabilities, source = answers(load_candidate(bundle), photos, threads=1)
    assert source == "computed here, 1 thread"
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(probabilities.argmax(1), photos.labels)


def test_run_needs_no_tensorflow_when_its_answers_are_saved(run: Run, dataset: Dataset) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "sys.modules.update(tensorflow=None, keras=None)\n"
        "from edgevit.bench.evaluation import DatasetPhotos\n"
        "from edgevit.data.dataset import Dataset\n"
        "from edgevit.compare.candidates import answers, load_candidate\n"
        "photos = DatasetPhotos(Dataset.load(Path(sys.argv[2])), sys.argv[3])\n"
        "print(answers(load_candidate(Path(sys.argv[1])), photos, 1)[1])\n"
    )
    command = [sys.executable, "-c", script, str(run.root), str(dataset.root)]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    done = subprocess.run([*command, "test"], capture_output=True, text=True, env=environment)
    assert done.stdout == "saved by the run\n"
    # The validation photos have no saved answers: the same program then looks for Keras.
    done = subprocess.run([*command, "val"], capture_output=True, text=True, env=environment)
    assert "MissingDependencyError" in done.stderr


def test_answers_are_refused_when_they_are_no_numbers(run: Run, dataset: Dataset) -> None:
    path = run.root / REFERENCE_FILE
    reference = run.reference()
    write_reference(path, dataclasses.replace(reference, logits=reference.logits * np.nan))
    files = {**run.record.files, REFERENCE_FILE: record_of(path)}
    write_run(run.root, dataclasses.replace(run.record, files=files))
    with pytest.raises(InputError, match=r"colours answers with NaN or infinity\. Train it again"):
        answers(load_candidate(run.root), DatasetPhotos(dataset), threads=1)


def test_nothing_is_cautioned_when_both_learned_from_the_data_set(
    first: Candidate, second: Candidate, dataset: Dataset
) -> None:
    assert cautions(first, second, DatasetPhotos(dataset)) == ()


def test_training_is_told_when_the_photos_were_a_part_of_it(
    first: Candidate, second: Candidate, dataset: Dataset
) -> None:
    (known,) = cautions(first, second, DatasetPhotos(dataset, "train"))
    assert known == ("colours and other were trained on these photos: they may do worse on others")
    (chosen,) = cautions(first, second, DatasetPhotos(dataset, "val"))
    assert chosen == "The best epoch of colours and other was chosen by these photos"


def test_other_data_sets_are_told_when_models_learned_from_them(
    first: Candidate, second: Candidate, dataset: Dataset
) -> None:
    photos = DatasetPhotos(dataset)
    elsewhere = DatasetReference("data/elsewhere", "0" * 64, 6, 3, 12)
    stranger = dataclasses.replace(second, dataset=elsewhere)
    (note,) = cautions(first, stranger, photos)
    assert note == (
        "other was trained on another data set (data/elsewhere): its training photos may be among "
        "these"
    )
    (note,) = cautions(dataclasses.replace(first, dataset=elsewhere), stranger, photos)
    assert note.startswith("Neither colours nor other was trained on this data set")
    known, _ = cautions(first, stranger, DatasetPhotos(dataset, "train"))
    assert known == "colours was trained on these photos: it may do worse on others"


def test_sizes_and_calibration_are_told_when_they_matter(
    first: Candidate, second: Candidate, dataset: Dataset
) -> None:
    photos = DatasetPhotos(dataset)
    calibrated = dataclasses.replace(second, calibration_image_sha256=photos.image_sha256[:2])
    assert cautions(first, seeing(calibrated, height=8, width=8), photos) == (
        "Each model sees the photos at its own size: colours at 16×16 and other at 8×8",
        "other was calibrated on 2 of these 12 photos",
    )
    unknown = dataclasses.replace(second, calibration_image_sha256=None)
    assert cautions(first, unknown, photos) == (
        "other does not say which photos it was calibrated on: they may be among these",
    )

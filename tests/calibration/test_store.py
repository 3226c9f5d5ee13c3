from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgevit import storage
from edgevit.calibration.sampling import CalibrationSet
from edgevit.calibration.store import (
    CALIBRATION_FILE,
    IMAGES_FILE,
    SHEET_FILE,
    check_set,
    contact_sheet,
    load_set,
    write_set,
)
from edgevit.errors import InputError
from edgevit.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(12, 16)
CLASSES = ("café, noir", "zebra")
HASHES = tuple(f"{index:064x}" for index in range(11))
SHA256 = "d" * 64


@pytest.fixture
def calibration() -> CalibrationSet:
    """Eight images for ranges, three held out."""
    pixels = np.random.default_rng(0).integers(0, 256, (11, 12, 16, 3), dtype=np.uint8)
    return CalibrationSet(
        images=pixels[:8],
        held_out=pixels[8:],
        image_sha256=HASHES,
        labels=(0, 1) * 5 + (0,),
        classes=CLASSES,
        geometry="12x16-crop-bilinear",
        seed=7,
        dataset_sha256=SHA256,
    )


@pytest.fixture
def written(calibration: CalibrationSet, tmp_path: Path) -> Path:
    write_set(tmp_path / "sets" / "mine", calibration)
    return tmp_path / "sets" / "mine"


def contents(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit(folder: Path, name: str, data: bytes, **changes: object) -> None:
    """Replace a file with its hash and fields of the record, as someone with an editor does."""
    (folder / name).write_bytes(data)
    path = folder / CALIBRATION_FILE
    document = json.loads(path.read_text())
    record = storage.record_of(folder / name)
    document["files"][name] = {"sha256": record.sha256, "size_bytes": record.size_bytes}
    path.write_text(json.dumps({**document, **changes}))


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_set_is_the_same_when_read_again(calibration: CalibrationSet, written: Path) -> None:
    loaded = load_set(written)
    np.testing.assert_array_equal(loaded.images, calibration.images)
    np.testing.assert_array_equal(loaded.held_out, calibration.held_out)
    for field in fields(CalibrationSet)[2:]:
        assert getattr(loaded, field.name) == getattr(calibration, field.name)
    assert loaded.sha256 == calibration.sha256
    record = json.loads((written / CALIBRATION_FILE).read_text())
    assert sorted(record["files"]) == sorted(set(os.listdir(written)) - {CALIBRATION_FILE})


def test_bytes_are_the_same_when_written_twice(
    calibration: CalibrationSet, written: Path, tmp_path: Path
) -> None:
    write_set(tmp_path / "again", calibration)
    assert contents(tmp_path / "again") == contents(written)


def test_hash_differs_when_photos_geometry_or_the_border_do(calibration: CalibrationSet) -> None:
    together = np.concatenate([calibration.images, calibration.held_out])
    others = (
        replace(calibration, image_sha256=HASHES[::-1]),
        replace(calibration, geometry="12x16-squash-bilinear"),
        replace(calibration, images=together[:9], held_out=together[9:]),
    )
    assert len({calibration.sha256, *(other.sha256 for other in others)}) == 4


def check(
    calibration: CalibrationSet,
    preprocessing: Preprocessing = PREPROCESSING,
    labels: tuple[str, ...] = CLASSES,
    dataset_sha256: str = SHA256,
    forbidden: Collection[str] = ("f" * 64,),
) -> None:
    check_set(
        calibration,
        "calibration/mine",
        preprocessing=preprocessing,
        labels=labels,
        dataset_sha256=dataset_sha256,
        forbidden=forbidden,
    )


def test_set_is_accepted_when_it_fits(
    calibration: CalibrationSet, capsys: pytest.CaptureFixture[str]
) -> None:
    check(calibration)
    # The normalisation is in the graph: it does not shape the pixels.
    check(calibration, replace(PREPROCESSING, mean=(0.0, 0.0, 0.0)))
    assert capsys.readouterr().err == ""


def test_set_is_accepted_and_it_is_said_when_its_photos_are_of_another_data_set(
    calibration: CalibrationSet, capsys: pytest.CaptureFixture[str]
) -> None:
    check(calibration, dataset_sha256="e" * 64)
    assert capsys.readouterr().err == (
        "The photos of calibration/mine are of another data set (dddddddddddd…) than the run's "
        "(eeeeeeeeeeee…), of the same classes: they are used\n"
    )


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (("zebra", "café, noir"), "class 0 is 'café, noir' in .* and 'zebra' in the run"),
        (("café, noir", "Zebra"), "class 1 is 'zebra' in the .*mine and 'Zebra' in the run"),
        (("café, noir",), "the calibration set calibration/mine has 2 classes, the run 1"),
        ((*CLASSES, "okapi"), "the calibration set calibration/mine has 2 classes, the run 3"),
    ],
)
def test_set_is_refused_when_its_classes_are_others(
    calibration: CalibrationSet, labels: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(InputError, match=rf"{complaint}\. .*edgevit calibrate"):
        check(calibration, labels=labels)


@pytest.mark.parametrize(
    "other",
    [
        Preprocessing(16, 16),
        Preprocessing(12, 16, "squash"),
        Preprocessing(12, 16, "crop", "bicubic"),
    ],
)
def test_set_is_refused_when_its_pixels_have_another_geometry(
    calibration: CalibrationSet, other: Preprocessing
) -> None:
    complaint = (
        f"calibration/mine holds 12x16-crop-bilinear pixels, the model takes {other.geometry}"
    )
    with pytest.raises(InputError, match=complaint):
        check(calibration, other)


def test_set_is_refused_when_its_pixels_are_not_of_the_geometry_it_says(
    calibration: CalibrationSet,
) -> None:
    other = replace(calibration, images=calibration.images[:, :8])
    with pytest.raises(InputError, match="holds 8x16 pixels, the model takes 12x16-crop"):
        check(other)


@pytest.mark.parametrize("index", [0, 10])  # an image for ranges, one that is held out
def test_set_is_refused_when_accuracy_is_measured_on_one_of_its_photos(
    calibration: CalibrationSet, index: int
) -> None:
    complaint = rf"1 photo of the calibration set \S+ is .* such as {HASHES[index][:12]}…"
    with pytest.raises(InputError, match=complaint):
        check(calibration, forbidden={"f" * 64, HASHES[index]})


def test_command_is_named_when_there_is_no_set(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(
            InputError, match=rf"no calibration set at {root}\. .*edgevit calibrate"
        ):
            load_set(root)


@pytest.mark.parametrize("name", [IMAGES_FILE, SHEET_FILE])
@pytest.mark.parametrize("damage", ["missing", "shorter", "changed"])
def test_file_is_named_when_it_is_damaged(written: Path, name: str, damage: str) -> None:
    path = written / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if damage == "shorter" else data[:-1] + bytes([data[-1] ^ 1]))
    words = {"missing": "is missing", "shorter": "bytes", "changed": "sha256"}
    with pytest.raises(InputError, match=rf"{name}.* {words[damage]}.*edgevit calibrate"):
        load_set(written)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\x93NUMPY\x01\x00 cut", "cannot be read"),
        (npy(np.array([{"pickled": 1}], dtype=object)), "cannot be read"),
        (npy(np.zeros((11, 12, 16, 3), dtype=np.float32)), "holds no calibration images"),
        (npy(np.zeros((11, 576), dtype=np.uint8)), "holds no calibration images"),
        (npy(np.zeros((11, 12, 16, 1), dtype=np.uint8)), "holds no calibration images"),
        (npy(np.zeros((11, 0, 16, 3), dtype=np.uint8)), "holds no calibration images"),
        # None would be left to check the file on.
        (npy(np.zeros((8, 12, 16, 3), dtype=np.uint8)), "holds no calibration images"),
    ],
)
def test_images_are_refused_when_they_are_none(written: Path, data: bytes, complaint: str) -> None:
    edit(written, IMAGES_FILE, data)
    with pytest.raises(InputError, match=f"{IMAGES_FILE} {complaint}"):
        load_set(written)


@pytest.mark.parametrize("count", [-1, 0, 11, 99])
def test_record_is_refused_when_its_count_leaves_one_part_empty(written: Path, count: int) -> None:
    edit(written, IMAGES_FILE, (written / IMAGES_FILE).read_bytes(), image_count=count)
    with pytest.raises(InputError, match="holds no calibration images"):
        load_set(written)


@pytest.mark.parametrize("name", [IMAGES_FILE, SHEET_FILE])
def test_record_is_refused_when_a_file_has_no_hash(written: Path, name: str) -> None:
    path = written / CALIBRATION_FILE
    document = json.loads(path.read_text())
    del document["files"][name]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=f"{name} has no recorded hash"):
        load_set(written)


@pytest.mark.parametrize("changes", [{"image_sha256": []}, {"labels": [0]}])
def test_record_is_refused_when_an_image_has_no_hash_or_label(
    written: Path, changes: Mapping[str, list[int]]
) -> None:
    edit(written, IMAGES_FILE, (written / IMAGES_FILE).read_bytes(), **changes)
    with pytest.raises(InputError, match=r"hashes and \d+ labels for 11 images"):
        load_set(written)


@pytest.mark.parametrize("label", [-1, 2])
def test_record_is_refused_when_a_label_is_none_of_its_classes(written: Path, label: int) -> None:
    images = (written / IMAGES_FILE).read_bytes()
    edit(written, IMAGES_FILE, images, labels=[0] * 10 + [label])
    with pytest.raises(InputError, match=rf"has the label {label}, .* of its 2 classes \(0 to 1\)"):
        load_set(written)


@pytest.mark.parametrize(("count", "words"), [(1, "1 image"), (7, "7 images")])
def test_set_is_refused_when_too_few_images_are_for_ranges(
    written: Path, count: int, words: str
) -> None:
    edit(written, IMAGES_FILE, (written / IMAGES_FILE).read_bytes(), image_count=count)
    complaint = rf"^the calibration set {written} has {words} for ranges, at least 8 .* calibrate"
    with pytest.raises(InputError, match=complaint):
        load_set(written)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda images: images * 0, "8 of 8 images for ranges are one colour all over, such as"),
        (lambda images: images * 0 + images[:1], "the 8 images for ranges are copies of 1"),
    ],
)
def test_set_is_refused_when_there_is_too_little_on_its_images(
    calibration: CalibrationSet,
    tmp_path: Path,
    change: Callable[[np.ndarray], np.ndarray],
    complaint: str,
) -> None:
    write_set(tmp_path / "set", replace(calibration, images=change(calibration.images)))
    remedy = rf"Look at its {SHEET_FILE}, and make another: edgevit calibrate"
    with pytest.raises(InputError, match=rf"set \S+/set: {complaint}.*{remedy}"):
        load_set(tmp_path / "set")


def test_set_stays_when_force_is_not_given(calibration: CalibrationSet, written: Path) -> None:
    before = contents(written)
    with pytest.raises(InputError, match="exists already"):
        write_set(written, replace(calibration, seed=8))
    assert contents(written) == before
    write_set(written, replace(calibration, seed=8), force=True)
    assert load_set(written).seed == 8
    assert os.listdir(written.parent) == ["mine"]


def test_folder_stays_when_it_is_no_calibration_set(
    calibration: CalibrationSet, tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("precious")
    with pytest.raises(InputError, match=f"it has no {CALIBRATION_FILE}"):
        write_set(tmp_path, calibration, force=True)
    assert contents(tmp_path) == {"letter.txt": b"precious"}


def test_nothing_is_left_when_writing_fails(
    calibration: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(images: np.ndarray) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgevit.calibration.store.contact_sheet", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_set(tmp_path / "sets" / "mine", calibration)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [
        (3, (16, 16), (3 * 96, 96)),
        (16, (8, 8), (16 * 96, 96)),
        (17, (8, 8), (16 * 96, 2 * 96)),
        (5, (12, 16), (5 * 96, 72)),
        (5, (64, 16), (5 * 24, 96)),
    ],
)
def test_contact_sheet_has_a_tile_for_every_image_when_drawn(
    count: int, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    sheet = Image.open(io.BytesIO(contact_sheet(np.zeros((count, *size, 3), dtype=np.uint8))))
    assert (sheet.format, sheet.mode, sheet.size) == ("PNG", "RGB", expected)
    tile_area = expected[0] // min(count, 16) * (expected[1] // -(-count // 16))
    assert sheet.histogram()[0] == count * tile_area  # black photos, and white where there is none


def test_contact_sheet_keeps_the_order_when_there_are_two_rows() -> None:
    images = np.zeros((18, 6, 8, 3), dtype=np.uint8)  # tiles of 96×72
    images[:] = np.arange(0, 180, 10).reshape(-1, 1, 1, 1)
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(images))))
    corners = sheet[4::72, 4::96, 0].reshape(-1)
    assert corners[:18].tolist() == list(range(0, 180, 10))
    assert (corners[18:] == 255).all()


def test_sheet_shows_the_images_for_ranges_when_written(
    calibration: CalibrationSet, written: Path
) -> None:
    assert (written / SHEET_FILE).read_bytes() == contact_sheet(calibration.images)

"""The app's assets: made, checked and put in place as one set."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevit import __version__, documents, storage
from edgevit.android import java_properties
from edgevit.android.golden import (
    GoldenPhoto,
    PhotoSource,
    choose_photos,
    expected_answers,
    golden_entries,
)
from edgevit.android.template import render_template
from edgevit.bundle import LABELS_FILE, Bundle, TensorRecord, render_labels
from edgevit.errors import InputError
from edgevit.runtimes.classifier import open_classifier
from edgevit.storage import FileRecord

MODEL_ASSET = "model.tflite"
PROPERTIES_ASSET = "model.properties"
TEMPLATE_ASSET = "bench_template.json"
GOLDEN_FOLDER = "golden"
# Which of the assets are ours: only those are ever replaced.
INSTALLED_ASSET = "installed.json"
KIND = "edgevit.android"
SCHEMA_VERSION = 1

_INPUT_TYPES = ("uint8", "int8")
_OUTPUT_TYPES = ("float32", "uint8", "int8", "int16")
# Their 16-bit QUANTIZE ops came with LiteRT 2.
_UNKNOWN_PRECISIONS = {"int8-full"}
_EXPORT_REMEDY = "Export it again: edgevit export RUN --format tflite"


@dataclass(frozen=True)
class InstalledRecord:
    """The body of ``installed.json``.

    Attributes:
        bundle: Name of the bundle.
        photos: Where the golden photos are from.
        files: Every other file of the install, with its hash.
    """

    bundle: str
    photos: str
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class Assets:
    """All that one bundle brings into the app.

    Attributes:
        bundle: Where the model is.
        source: Of the golden photos.
        golden: The photos with their expected answers.
        texts: Bytes of every file but the model, by name below the assets' folder.
    """

    bundle: Bundle
    source: PhotoSource
    golden: tuple[GoldenPhoto, ...]
    texts: dict[str, bytes]

    @property
    def names(self) -> tuple[str, ...]:
        """Every file but ``installed.json``."""
        return (MODEL_ASSET, *self.texts)


def open_tflite_bundle(root: Path) -> Bundle:
    """Open a bundle that a phone can run.

    Raises:
        InputError: if it is damaged, no TFLite, or takes or returns what the app does not.
    """
    bundle = Bundle.load(root)
    record = bundle.record
    if record.format != "tflite":
        raise InputError(
            f"{bundle.name} is {record.format}, the Android demo runs tflite",
            f"Export the run for it: edgevit export {record.source.run_path} --format tflite",
        )
    if record.precision in _UNKNOWN_PRECISIONS:
        raise InputError(
            f"{bundle.name} is {record.precision}, which the app's LiteRT 1.4 cannot load",
            f"Export int8: edgevit export {record.source.run_path} --format tflite --quantize int8",
        )
    _check_tensor(bundle, "takes", record.input, _INPUT_TYPES, (1, *record.spec.input_shape))
    _check_tensor(bundle, "returns", record.output, _OUTPUT_TYPES, (1, len(bundle.labels)))
    return bundle


def make_assets(bundle: Bundle, images: Sequence[Path] = ()) -> Assets:
    """Compute the golden answers and write down what the app must know, in memory.

    Args:
        bundle: From :func:`open_tflite_bundle`.
        images: Golden photos that the user named; see :func:`edgevit.android.golden.choose_photos`.

    Raises:
        InputError: if the model file does not fit its record, or a photo cannot be decoded.
        MissingDependencyError: if there is no TFLite runtime here.
    """
    classifier = open_classifier(bundle.root, threads=1)
    source = choose_photos(bundle, images)
    golden = expected_answers(classifier, source.photos)
    texts = {
        LABELS_FILE: render_labels(bundle.labels),
        PROPERTIES_ASSET: java_properties.render(
            model_entries(bundle), f"Written by edgevit {__version__} android install"
        ),
        TEMPLATE_ASSET: render_template(bundle, source),
        f"{GOLDEN_FOLDER}/expected.properties": java_properties.render(
            golden_entries(golden), "What the model answered where it was installed"
        ),
        **{f"{GOLDEN_FOLDER}/{photo.name}": photo.data for photo in golden},
    }
    return Assets(bundle, source, golden, texts)


def model_entries(bundle: Bundle) -> dict[str, str]:
    """Return what ``model.properties`` says."""
    record = bundle.record
    model, preprocessing = record.files[record.model_file], record.spec.preprocessing
    return {
        "schema": "1",
        "name": bundle.name,
        "architecture": record.spec.model,
        "run_name": bundle.run_name,
        "precision": record.precision,
        "model_file": MODEL_ASSET,
        "model_sha256": model.sha256,
        "model_size_bytes": str(model.size_bytes),
        "input_type": record.input.dtype,
        "input_height": str(preprocessing.height),
        "input_width": str(preprocessing.width),
        "resize_mode": preprocessing.resize_mode,
        "interpolation": preprocessing.interpolation,
        "output_type": record.output.dtype,
        "label_count": str(len(bundle.labels)),
    }


def install(assets: Assets, folder: Path, *, force: bool = False) -> None:
    """Put the assets in place: all of them or none.

    Files in ``folder`` that no install wrote are kept.

    Args:
        assets: From :func:`make_assets`.
        folder: The app's ``src/main/assets``, which is made if need be.
        force: Replace an earlier install.

    Raises:
        InputError: if there is an earlier install without ``force``, or a file of another's that
            would be replaced.
    """
    storage.refuse_place(folder)
    foreign = _foreign_files(folder, assets, force=force)
    with storage.folder_in_one_piece(folder, force=True) as temporary:
        for name in foreign:
            _copy(folder / name, temporary / name)
        _copy(assets.bundle.model_path, temporary / MODEL_ASSET)
        for name, data in assets.texts.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(data)
        files = {name: storage.record_of(temporary / name) for name in assets.names}
        _check_copy(assets.bundle, files[MODEL_ASSET])
        record = InstalledRecord(assets.bundle.name, assets.source.description, files)
        documents.write(temporary / INSTALLED_ASSET, KIND, SCHEMA_VERSION, record)


def _check_tensor(
    bundle: Bundle, verb: str, tensor: TensorRecord, types: Sequence[str], shape: tuple[int, ...]
) -> None:
    if tensor.dtype not in types or tensor.shape != shape:
        expected = " or ".join(types)
        raise InputError(
            f"{bundle.name} {verb} {tensor.dtype} {list(tensor.shape)}, the Android demo needs "
            f"{expected} {list(shape)}",
            _EXPORT_REMEDY,
        )


def _foreign_files(folder: Path, assets: Assets, *, force: bool) -> list[str]:
    """Return the files below ``folder`` that no install wrote, as relative names."""
    there = {
        path.relative_to(folder).as_posix()
        for path in (folder.rglob("*") if folder.is_dir() else ())
        if path.is_symlink() or not path.is_dir()
    }
    ours: Mapping[str, FileRecord] = {}
    if INSTALLED_ASSET in there:
        record = documents.read(folder / INSTALLED_ASSET, KIND, SCHEMA_VERSION, InstalledRecord)
        if not force:
            raise InputError(f"{folder} holds {record.bundle} already", "Add --force to replace it")
        ours = record.files
        there.discard(INSTALLED_ASSET)
    foreign = sorted(there - set(ours))
    taken = next((name for name in foreign if name in assets.names), None)
    if taken is not None:
        raise InputError(
            f"{folder / taken} was not written by edgevit android install, so it is not replaced",
            "Move it away",
        )
    return foreign


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def _check_copy(bundle: Bundle, copied: FileRecord) -> None:
    """Check that the model is still what it was when it was verified and run."""
    if copied != bundle.record.files[bundle.record.model_file]:
        raise InputError(f"{bundle.model_path} was changed meanwhile", "Install it again")

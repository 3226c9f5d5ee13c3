"""Hand-edited records: what a loader must not believe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgevit.bundle import BUNDLE_FILE, Bundle, find_bundles, render_labels
from edgevit.errors import InputError
from edgevit.run import RUN_FILE, Run, newest_run
from tests.bench.standin import make_bundle, make_dataset, make_run


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("originals")
    run = make_run(root / "run", make_dataset(root / "data"))
    make_bundle(root / "bundle", run)
    return root


@pytest.fixture
def copies(originals: Path, tmp_path: Path) -> Path:
    shutil.copytree(originals, tmp_path / "copies")
    return tmp_path / "copies"


def edit(path: Path, **changes: Any) -> None:
    document = json.loads(path.read_text())
    document.update(changes)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("name", ["../../evil", "a/b", "", ".hidden", "/etc"])
def test_name_is_refused_when_it_leads_elsewhere(copies: Path, name: str) -> None:
    edit(copies / "run" / RUN_FILE, name=name)
    with pytest.raises(InputError, match="cannot be a folder's name"):
        Run.load(copies / "run")
    edit(copies / "bundle" / BUNDLE_FILE, name=name)
    with pytest.raises(InputError, match="cannot be a folder's name"):
        Bundle.load(copies / "bundle")


def test_run_is_refused_when_its_weights_have_no_hash(copies: Path) -> None:
    edit(copies / "run" / RUN_FILE, files={})
    with pytest.raises(InputError, match=r"reference\.npz has no recorded hash"):
        Run.load(copies / "run")


def test_bundle_is_refused_when_its_model_has_no_hash(copies: Path) -> None:
    edit(copies / "bundle" / BUNDLE_FILE, files={})
    with pytest.raises(InputError, match=r"'model\.tflite' has no recorded hash"):
        Bundle.load(copies / "bundle")


def test_openvino_bundle_is_refused_when_its_weights_have_no_hash(copies: Path) -> None:
    path = copies / "bundle" / BUNDLE_FILE
    files = json.loads(path.read_text())["files"]
    files["model.xml"] = files["model.tflite"]
    edit(path, format="openvino", model_file="model.xml", files=files)
    with pytest.raises(InputError, match=r"'model\.bin' has no recorded hash"):
        Bundle.load(copies / "bundle")


def test_labels_are_refused_when_they_do_not_fit_the_model(copies: Path) -> None:
    edit(copies / "bundle" / BUNDLE_FILE, labels=["only one"])
    with pytest.raises(InputError, match="1 labels for a model of 3 classes"):
        Bundle.load(copies / "bundle")


def test_file_is_refused_when_its_name_leaves_the_folder(copies: Path) -> None:
    path = copies / "bundle" / BUNDLE_FILE
    files = json.loads(path.read_text())["files"]
    edit(path, files={**files, "../run/run.json": files["labels.txt"]})
    with pytest.raises(InputError, match="leaves the folder"):
        Bundle.load(copies / "bundle")


@pytest.mark.parametrize("damage", ["missing", "shorter", "changed"])
@pytest.mark.parametrize("file", ["run/weights.safetensors", "bundle/model.tflite"])
def test_file_is_named_when_it_is_damaged(copies: Path, file: str, damage: str) -> None:
    path = copies / file
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if damage == "shorter" else data[:-1] + bytes([data[-1] ^ 1]))
    words = {"missing": "is missing", "shorter": "bytes", "changed": "sha256"}
    with pytest.raises(InputError, match=f"{path.name}.* {words[damage]}"):
        (Run if file.startswith("run") else Bundle).load(path.parent)


def test_newest_run_is_the_one_finished_last_when_there_are_two(copies: Path) -> None:
    shutil.copytree(copies / "run", copies / "later")
    (copies / "later" / RUN_FILE).write_bytes((copies / "run" / RUN_FILE).read_bytes())
    assert newest_run(copies) == copies / "later"


def test_nothing_is_found_when_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished run"):
        newest_run(tmp_path)
    with pytest.raises(InputError, match="no bundle below"):
        find_bundles(tmp_path)


def test_label_is_refused_when_it_holds_a_line_break() -> None:
    assert render_labels(("café, noir", "x")) == "café, noir\nx\n".encode()
    with pytest.raises(InputError, match="line break"):
        render_labels(("two\nlines", "x"))

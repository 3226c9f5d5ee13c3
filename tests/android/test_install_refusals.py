"""`edgevit android install`: what it refuses, and what it leaves alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgevit import documents, storage
from edgevit.bundle import KIND, SCHEMA_VERSION, Bundle
from edgevit.run import Run
from tests.android.installs import (
    Said,
    contents,
    install,
    installed,
    refusal,
    with_record,
)
from tests.bench.standin import make_bundle
from tests.conftest import save_photo


def test_install_refuses_when_the_apps_runtime_lacks_the_files_ops(
    run: Run, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_bundle(tmp_path / "exports/colours.tflite.int8-full", run, "int8")
    with_record(made, precision="int8-full")
    assert install(made, project) == 2
    assert "is int8-full, which the app's LiteRT 1.4 cannot load" in capsys.readouterr().err
    assert not installed(project).exists()


def test_install_is_refused_when_the_bundle_is_of_another_format(
    bundle: Path, project: Path, capsys: Said
) -> None:
    line = refusal(capsys, with_record(bundle, format="onnx"), project)
    assert "is onnx, the Android demo runs tflite" in line
    assert "--format tflite" in line


def test_install_is_refused_when_the_input_is_no_pixels(
    bundle: Path, project: Path, capsys: Said
) -> None:
    tensor = replace(Bundle.load(bundle).record.input, dtype="float32")
    line = refusal(capsys, with_record(bundle, input=tensor), project)
    assert "takes float32 [1, 16, 16, 3], the Android demo needs uint8 or int8" in line


def test_install_is_refused_when_labels_and_scores_differ(
    bundle: Path, project: Path, capsys: Said
) -> None:
    tensor = replace(Bundle.load(bundle).record.output, shape=(1, 4))
    line = refusal(capsys, with_record(bundle, output=tensor), project)
    assert "returns float32 [1, 4], the Android demo needs" in line
    assert "[1, 3]" in line


def test_install_is_refused_when_the_model_was_changed(
    bundle: Path, project: Path, capsys: Said
) -> None:
    with (bundle / "model.tflite").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff\xfe\xfd")
    assert "was changed" in refusal(capsys, bundle, project)


def test_install_is_refused_when_the_model_is_empty(
    bundle: Path, project: Path, capsys: Said
) -> None:
    (bundle / "model.tflite").write_bytes(b"")
    assert "has 0 bytes" in refusal(capsys, bundle, project)


def test_install_is_refused_when_the_file_is_no_tflite(
    bundle: Path, project: Path, capsys: Said
) -> None:
    (bundle / "model.tflite").write_bytes(b"PK\x03\x04" + bytes(200))
    files = {name: storage.record_of(bundle / name) for name in ("model.tflite", "labels.txt")}
    document = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    document["files"] = documents.encode(files)
    (bundle / "bundle.json").write_text(json.dumps(document), encoding="utf-8")
    assert (document["kind"], document["schema_version"]) == (KIND, SCHEMA_VERSION)
    assert "is not a TFLite file" in refusal(capsys, bundle, project)


@pytest.mark.parametrize(
    ("name", "said"),
    [("missing.jpg", "does not exist"), ("text.jpg", "is not an image"), ("empty", "no photo")],
)
def test_install_is_refused_when_a_photo_cannot_be_used(
    name: str, said: str, bundle: Path, project: Path, tmp_path: Path, capsys: Said
) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "empty").mkdir()
    assert said in refusal(capsys, bundle, project, "--images", tmp_path / name)


def test_install_is_refused_when_the_project_is_another(
    bundle: Path, project: Path, tmp_path: Path, capsys: Said
) -> None:
    assert "there is no Android project" in refusal(capsys, bundle, tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    assert "it has no settings.gradle.kts" in refusal(capsys, bundle, tmp_path / "other")
    (project / "settings.gradle.kts").write_text('rootProject.name = "shop"\ninclude(":app")\n')
    assert "is not that of the Android demo" in refusal(capsys, bundle, project)


def test_install_is_refused_when_there_is_one_already(
    bundle: Path, project: Path, capsys: Said
) -> None:
    assert install(bundle, project) == 0
    line = refusal(capsys, bundle, project)
    assert "holds colours.tflite.fp32 already" in line
    assert "--force" in line


def test_install_replaces_only_its_own_when_forced(
    bundle: Path, project: Path, tmp_path: Path
) -> None:
    folder = installed(project)
    (folder / "fonts").mkdir(parents=True)
    (folder / "fonts/mine.ttf").write_bytes(b"a font")
    photos = [save_photo(tmp_path / f"{seed}.jpg", seed) for seed in range(2)]
    assert install(bundle, project) == 0
    (folder / "golden/mine.txt").write_bytes(b"a note")
    assert install(bundle, project, "--force", "--images", photos[0]) == 0
    golden = {path.name for path in (folder / "golden").iterdir()}
    assert golden == {"00.png", "expected.properties", "mine.txt"}
    assert (folder / "fonts/mine.ttf").read_bytes() == b"a font"


def test_install_is_refused_when_a_file_of_anothers_is_in_the_way(
    bundle: Path, project: Path, capsys: Said
) -> None:
    folder = installed(project)
    folder.mkdir()
    (folder / "labels.txt").write_text("my own labels\n")
    line = refusal(capsys, bundle, project, "--force")
    assert "labels.txt was not written by edgevit android install" in line


def test_install_changes_nothing_when_writing_fails(
    bundle: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert install(bundle, project) == 0
    before = contents(project)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgevit.android.assets.documents.write", fail)
    assert install(bundle, project, "--force") == 2
    assert contents(project) == before
    assert sorted(path.name for path in installed(project).parent.iterdir()) == [
        "AndroidManifest.xml",
        "assets",
    ]

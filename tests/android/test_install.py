"""`edgevit android install`: what it writes, what it refuses, and what it leaves alone."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgevit import documents, storage
from edgevit.android import assets as app_assets
from edgevit.android.golden import MAX_PHOTOS, SCORE_TOLERANCE
from edgevit.bundle import KIND, SCHEMA_VERSION, Bundle, write_bundle
from edgevit.cli.main import main
from edgevit.data.dataset import Dataset
from edgevit.metrics import top_k
from edgevit.run import Run
from edgevit.runtimes.classifier import open_classifier
from tests.android.golden import FOLDER
from tests.android.projects import BUILDER, MISSING_TOOL, make_project
from tests.bench.standin import COLOURS, SIZE, make_bundle
from tests.conftest import save_photo

Said = pytest.CaptureFixture[str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "android_demo")


def installed(project: Path) -> Path:
    return project / "app/src/main/assets"


def install(bundle: Path, project: Path, *options: str | Path) -> int:
    words = ["android", "install", str(bundle), "--project", str(project), *map(str, options)]
    return main(words)


def refusal(capsys: Said, bundle: Path, project: Path, *options: str | Path, code: int = 2) -> str:
    """Return the one line that an install which must fail says."""
    before = contents(project)
    assert install(bundle, project, *options) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if "edgevit: error: " in line]
    assert len(lines) == 1
    if code == 2:
        assert contents(project) == before, "a refused install changes nothing"
    return lines[0].removeprefix("edgevit: error: ")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def properties(path: Path) -> dict[str, str]:
    """Read properties without escapes; Java's own reading is tested by the core."""
    lines = path.read_text(encoding="ascii").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def with_record(bundle: Path, **changes: object) -> Path:
    """Change the bundle's record as a careless hand would."""
    record = Bundle.load(bundle).record
    write_bundle(bundle, replace(record, **changes))  # type: ignore[arg-type]
    return bundle


def test_install_writes_the_whole_set_when_given_a_tflite_bundle(
    bundle: Path, project: Path, capsys: Said
) -> None:
    assert install(bundle, project) == 0
    folder = installed(project)
    written = contents(folder)
    record = documents.read(
        folder / "installed.json", app_assets.KIND, 1, app_assets.InstalledRecord
    )
    assert set(written) == {"installed.json", *record.files}
    storage.verify_files(folder, record.files, "")
    assert written["model.tflite"] == (bundle / "model.tflite").read_bytes()
    assert written["labels.txt"] == (bundle / "labels.txt").read_bytes()
    said = properties(folder / "model.properties")
    assert said["name"] == "colours.tflite.fp32"
    assert said["model_sha256"] == storage.sha256_of_bytes(written["model.tflite"])
    assert (said["input_type"], said["output_type"]) == ("uint8", "float32")
    assert (said["input_height"], said["label_count"]) == (str(SIZE), str(len(COLOURS)))
    assert "colours.tflite.fp32" in capsys.readouterr().out


def test_golden_answers_are_the_runtimes_own_when_installed(bundle: Path, project: Path) -> None:
    assert install(bundle, project) == 0
    folder = installed(project) / "golden"
    expected = properties(folder / "expected.properties")
    classifier = open_classifier(bundle, 1)
    assert expected["tolerance"] == str(SCORE_TOLERANCE)
    assert int(expected["count"]) == MAX_PHOTOS
    for index in range(MAX_PHOTOS):
        photo = (folder / expected[f"{index}.file"]).read_bytes()
        pixels = classifier.spec.preprocessing.pixels(photo)
        scores = classifier.session.invoke(pixels[None])
        best = top_k(scores, 5)[0]
        assert expected[f"{index}.sha256"] == storage.sha256_of_bytes(photo)
        assert expected[f"{index}.pixels_sha256"] == storage.sha256_of_bytes(pixels.tobytes())
        assert expected[f"{index}.best"] == ",".join(map(str, best))
        found = np.array(expected[f"{index}.scores"].split(","), dtype=np.float32)
        assert np.array_equal(found, scores[0, best])


def test_golden_photos_are_the_runs_test_photos_when_they_are_here(
    bundle: Path, project: Path, dataset: Dataset
) -> None:
    assert install(bundle, project) == 0
    template = json.loads((installed(project) / "bench_template.json").read_text(encoding="utf-8"))
    evaluation = template["rows"][0]["measurement"]["evaluation"]
    assert evaluation["same_photos"] is True
    assert evaluation["dataset_sha256"] == dataset.sha256
    best = properties(installed(project) / "golden/expected.properties")
    tops = [best[f"{index}.best"].split(",")[0] for index in range(MAX_PHOTOS)]
    assert set(tops) == {"0", "1", "2"}, "photos of every class"


def test_golden_photos_are_drawn_when_there_are_none(
    bundle: Path, project: Path, dataset: Dataset, capsys: Said
) -> None:
    shutil.rmtree(dataset.root)
    assert install(bundle, project) == 0
    assert "8 golden photos from drawn pictures" in capsys.readouterr().out
    template = json.loads((installed(project) / "bench_template.json").read_text(encoding="utf-8"))
    assert template["rows"][0]["measurement"]["evaluation"]["same_photos"] is False


def test_golden_photos_are_the_users_when_named(
    bundle: Path, project: Path, tmp_path: Path
) -> None:
    plain = save_photo(tmp_path / "mine/a.jpg")
    turned = tmp_path / "mine/b.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(plain).save(turned, exif=exif)
    save_photo(tmp_path / "mine/c.webp")
    profiled = tmp_path / "mine/d.jpg"
    Image.open(plain).save(profiled, icc_profile=b"some profile")
    assert install(bundle, project, "--images", tmp_path / "mine", "--images", plain) == 0
    folder = installed(project) / "golden"
    expected = properties(folder / "expected.properties")
    files = [expected[f"{index}.file"] for index in range(int(expected["count"]))]
    assert files == ["00.png", "01.jpg", "02.png", "03.png", "04.png"]
    # With its orientation: the phone must apply it.
    assert (folder / "01.jpg").read_bytes() == turned.read_bytes()
    assert "1.pixels_sha256" not in expected, "decoders of JPEG may differ by a step"
    assert "0.pixels_sha256" in expected
    with Image.open(folder / "00.png") as png, Image.open(plain) as jpeg:
        assert png.tobytes() == jpeg.tobytes()
    with Image.open(folder / "03.png") as png:
        assert "icc_profile" not in png.info


def test_golden_photo_is_shrunk_when_it_is_large(
    bundle: Path, project: Path, tmp_path: Path
) -> None:
    file = tmp_path / "large.jpg"
    Image.new("RGB", (3000, 2000), (10, 200, 30)).save(file)
    assert install(bundle, project, "--images", file) == 0
    photo = (installed(project) / "golden/00.png").read_bytes()
    with Image.open(io.BytesIO(photo)) as image:
        assert image.size == (1024, 683)


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_install_takes_integer_models_when_they_are_whole(
    kind: str, run: Run, project: Path, tmp_path: Path
) -> None:
    made = make_bundle(tmp_path / "exports/colours.tflite.int8-full", run, kind)
    record = Bundle.load(made).record
    ports = (replace(record.input, dtype=kind), replace(record.output, dtype=kind))
    with_record(made, input=ports[0], output=ports[1])
    assert install(made, project) == 0
    said = properties(installed(project) / "model.properties")
    assert (said["input_type"], said["output_type"]) == (kind, kind)


def test_install_refuses_when_the_apps_runtime_lacks_the_files_ops(
    run: Run, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_bundle(tmp_path / "exports/colours.tflite.int8-full", run, "int8")
    with_record(made, precision="int8-full")
    assert install(made, project) == 2
    assert "is int8-full, which the app's LiteRT 1.4 cannot load" in capsys.readouterr().err
    assert not installed(project).exists()


def test_template_holds_what_the_phone_cannot_know_when_installed(
    bundle: Path, run: Run, project: Path
) -> None:
    assert install(bundle, project) == 0
    template = json.loads((installed(project) / "bench_template.json").read_text(encoding="utf-8"))
    assert (template["kind"], template["tool"]) == ("edgevit.bench", "edgevit android demo")
    (row,) = template["rows"]
    measurement = row["measurement"]
    assert row["name"] == "colours.tflite.fp32"
    assert measurement["run_sha256"] == run.sha256
    assert measurement["model_sha256"] == storage.sha256_of_file(bundle / "bundle.json")
    assert measurement["reference"] == documents.encode(run.record.reference)
    assert measurement["accuracy"] is None


def test_files_have_the_fields_that_the_core_is_tested_with_when_installed(
    bundle: Path, project: Path
) -> None:
    assert install(bundle, project) == 0
    folder = installed(project)

    def fields(value: object) -> object:
        if isinstance(value, dict):
            return {name: fields(item) for name, item in value.items() if name != "reference"}
        return [fields(item) for item in value] if isinstance(value, list) else None

    written, tested = (
        json.loads(path.read_text(encoding="utf-8"))
        for path in (folder / "bench_template.json", FOLDER / "bench/template.json")
    )
    assert fields(written) == fields(tested)
    model = properties(folder / "model.properties")
    assert model.keys() == properties(FOLDER / "properties/model.properties").keys()


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


def test_apk_is_built_from_the_assets_when_asked_for(
    bundle: Path, tmp_path: Path, capsys: Said
) -> None:
    project = make_project(tmp_path / "demo", BUILDER)
    out = tmp_path / "demo.apk"
    out.write_bytes(b"an old APK")
    assert install(bundle, project, "--apk", out, "--force") == 0
    with zipfile.ZipFile(out) as apk:
        assert set(apk.namelist()) == set(contents(installed(project)))
    assert "adb install" in capsys.readouterr().out


def test_apk_says_what_is_missing_when_a_tool_is_not_there(
    bundle: Path, tmp_path: Path, capsys: Said
) -> None:
    project = make_project(tmp_path / "demo", MISSING_TOOL)
    out = tmp_path / "demo.apk"
    out.write_bytes(b"an old APK")
    line = refusal(capsys, bundle, project, "--apk", out, "--force", code=1)
    assert out.read_bytes() == b"an old APK"
    assert sorted(path.name for path in tmp_path.glob(".*")) == []
    assert "the assets are installed, but" in line
    assert "aapt2 is not installed. apt-get install aapt" in line
    assert (installed(project) / "model.tflite").is_file()


def test_apk_is_refused_when_it_cannot_be_written(
    bundle: Path, tmp_path: Path, capsys: Said
) -> None:
    project = make_project(tmp_path / "demo", BUILDER)
    (tmp_path / "old.apk").write_bytes(b"an APK")
    assert "exists already" in refusal(capsys, bundle, project, "--apk", tmp_path / "old.apk")
    assert "is a folder" in refusal(capsys, bundle, project, "--apk", tmp_path)
    line = refusal(capsys, bundle, project, "--apk", tmp_path / "no/demo.apk")
    assert "is not a folder to write in" in line


def test_apk_is_refused_when_the_project_cannot_build_one(
    bundle: Path, project: Path, tmp_path: Path, capsys: Said
) -> None:
    line = refusal(capsys, bundle, project, "--apk", tmp_path / "demo.apk")
    assert "ci/build_apk.py is not there" in line

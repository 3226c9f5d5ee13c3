from __future__ import annotations

import zipfile
from pathlib import Path

from tests.android.installs import Said, contents, install, installed, refusal
from tests.android.projects import BUILDER, MISSING_TOOL, make_project


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

"""The checks of the smoke APK's builder, on archives that need no Android tool."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.android.builds import PROJECT


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    path = PROJECT / "ci/build_apk.py"
    spec = importlib.util.spec_from_file_location("build_apk", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks its own module up while it is made.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "build_apk", module)
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def app(builder: ModuleType, tmp_path: Path) -> object:
    """What Maven would have made: resources, a runtime, no classes."""
    resources, runtime = tmp_path / "resources.apk", tmp_path / "runtime.aar"
    with zipfile.ZipFile(resources, "w") as apk:
        apk.writestr("AndroidManifest.xml", b"manifest", zipfile.ZIP_DEFLATED)
        apk.writestr("resources.arsc", b"table", zipfile.ZIP_STORED)
    with zipfile.ZipFile(runtime, "w") as aar:
        for abi in builder.ABIS:
            aar.writestr(f"jni/{abi}/libtensorflowlite_jni.so", b"library")
    return builder.App((), resources, tmp_path, runtime, tmp_path)


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    folder = tmp_path / "assets"
    (folder / "golden").mkdir(parents=True)
    (folder / "model.tflite").write_bytes(b"model" * 1000)
    (folder / "labels.txt").write_bytes(b"a\nb\n")
    (folder / "golden/0.png").write_bytes(b"photo")
    return folder


def test_model_and_libraries_are_stored_on_pages_when_packed(
    builder: ModuleType, app: object, assets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "packed.apk"
    builder.pack(app, [], assets, out)
    found = list(builder._check_mapped(out))
    assert len(found) == 1 + len(builder.ABIS)
    assert found[0] == "assets/model.tflite is stored, on a page (5,000 bytes)"
    with zipfile.ZipFile(out) as apk:
        assert apk.testzip() is None
        assert apk.read("assets/model.tflite") == (assets / "model.tflite").read_bytes()
        assert apk.read("assets/golden/0.png") == b"photo"


def test_equal_contents_make_equal_archives(
    builder: ModuleType, app: object, assets: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.apk", tmp_path / "b.apk"]
    for path in paths:
        builder.pack(app, [], assets, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_check_fails_when_the_model_is_compressed(builder: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "wrong.apk"
    with zipfile.ZipFile(out, "w") as apk:
        apk.writestr("assets/model.tflite", b"model", zipfile.ZIP_DEFLATED)
    with pytest.raises(builder.BuildError, match=r"model\.tflite is compressed"):
        list(builder._check_mapped(out))


def test_check_fails_when_the_model_is_not_on_a_page(builder: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "wrong.apk"
    with zipfile.ZipFile(out, "w") as apk:
        apk.writestr("assets/model.tflite", b"model", zipfile.ZIP_STORED)
    with pytest.raises(builder.BuildError, match="begins at 49, no multiple of 16384"):
        list(builder._check_mapped(out))


def test_build_names_the_remedy_when_no_bundle_is_installed(
    builder: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "missing_tools", list)
    with pytest.raises(builder.BuildError, match=r"has no model\.tflite: edgevit android install"):
        list(builder.build(tmp_path, tmp_path / "out.apk"))


def test_build_names_the_packages_when_tools_are_missing(
    builder: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert builder.main(["--out", str(tmp_path / "out.apk")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "apt-get install -y aapt apksigner dexdump maven openjdk-17-jdk-headless" in error


def test_badging_is_refused_when_a_value_is_another(builder: ModuleType) -> None:
    with pytest.raises(builder.BuildError, match="does not say"):
        builder._check_badging("package: name='org.edgevit.demo' versionCode='2'")

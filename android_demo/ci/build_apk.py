"""Builds and checks a smoke APK of the demo without Android's SDK.

    python android_demo/ci/build_apk.py --out demo.apk [--assets DIR]

Maven compiles the app against TensorFlow Lite 2.16.1; D8, aapt2 and apksigner make a signed APK of
it; then everything that can be checked without a phone is checked. It is a smoke test and a way to
try the demo: its native libraries are for phones with pages of 4 KB, and its key is thrown away.
The app for users is built by Gradle.

Needs a JDK 17, Maven, and Debian's packages ``aapt``, ``zipalign``, ``apksigner`` and ``dexdump``.
Only the standard library is used.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

PROJECT = Path(__file__).resolve().parents[1]
MANIFEST = PROJECT / "app/src/main/AndroidManifest.xml"
ASSETS = PROJECT / "app/src/main/assets"
TOOLS = {
    "java": "openjdk-17-jdk-headless",
    "keytool": "openjdk-17-jdk-headless",
    "mvn": "maven",
    "aapt2": "aapt",
    "zipalign": "zipalign",
    "apksigner": "apksigner",
    "dexdump": "dexdump",
}
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
# Without these the app starts, and says that no model is installed.
NEEDED_ASSETS = ("model.tflite", "labels.txt", "model.properties", "bench_template.json")

# What Maven says if its repository is out of reach, or lacks something.
OUT_OF_REACH = re.compile(
    "could not be resolved|not resolve dependencies|Could not transfer|Could not find artifact|"
    "Unable to find/resolve artifact|Couldn't download"
)

# What is mapped into memory begins on a page, of 16 KB on the newest phones.
PAGE_BYTES = 16384
# Android refuses an app whose table of resources is not stored and aligned to this.
WORD_BYTES = 4
_MAPPED = (".tflite", ".so")
# The header of a file in a ZIP archive, without its name and extra field.
_LOCAL_HEADER_BYTES = 30
# The extra field by which Android's tools record alignment: id, size, alignment, zeros.
_ALIGNMENT_FIELD = 0xD935
_ALIGNMENT_FIELD_BYTES = 6
_ANDROID = "{http://schemas.android.com/apk/res/android}"
_COMPONENT_TAGS = ("activity", "service", "receiver", "provider")
_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_MAVEN = ("mvn", "--quiet", "--batch-mode", "--no-transfer-progress", "-Dstyle.color=never")


class BuildError(Exception):
    """A step failed or a check was not met; one line that says what to do."""


class MissingToolError(BuildError):
    """This machine cannot build an APK; one line that says what is missing."""


@dataclass(frozen=True)
class App:
    """What Maven made of the app.

    Attributes:
        jars: The app's classes, resources' numbers, and every library that goes into the APK.
        resources: The APK of aapt2: manifest and resources.
        platform: android-all: Android's classes.
        runtime: TensorFlow Lite's AAR, with its native libraries.
        dexer: D8.
    """

    jars: tuple[Path, ...]
    resources: Path
    platform: Path
    runtime: Path
    dexer: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Build and check a smoke APK of the demo.")
    parser.add_argument("--out", type=Path, required=True, help="the APK to write")
    parser.add_argument(
        "--assets", type=Path, default=ASSETS, help="where the model is; by default the app's own"
    )
    options = parser.parse_args(arguments)
    try:
        for line in build(options.assets, options.out):
            print(line)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def missing_tools() -> list[str]:
    """Return Debian's packages that are missing here, sorted."""
    return sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})


def build(assets: Path, out: Path) -> Iterator[str]:
    """Build, sign and check an APK; yields a line for each thing that was checked.

    Args:
        assets: What ``edgevit android install`` wrote.
        out: The APK to write; replaced if it exists.

    Raises:
        MissingToolError: if a tool is missing and cannot be fetched.
        BuildError: if an asset is missing, a step fails, or a check is not met.
    """
    if packages := missing_tools():
        raise MissingToolError(f"tools are missing: apt-get install -y {' '.join(packages)}")
    absent = [name for name in NEEDED_ASSETS if not (assets / name).is_file()]
    if absent:
        raise BuildError(f"{assets} has no {absent[0]}: edgevit android install BUNDLE")
    app = compile_app()
    with tempfile.TemporaryDirectory(prefix="edgevit-apk-") as name:
        scratch = Path(name)
        dexes = dex(app, scratch)
        unsigned = scratch / "unsigned.apk"
        pack(app, dexes, assets, unsigned)
        signed = scratch / "signed.apk"
        sign(unsigned, signed, scratch)
        yield from check(signed, scratch)
        shutil.copyfile(signed, out)
    yield f"{out.name}: {out.stat().st_size / 1e6:.1f} MB, for {', '.join(ABIS)} of 4 KB pages"


def compile_app() -> App:
    """Compile the app by Maven and fetch D8."""
    modules = "core,ci/tflite-classes,app"
    _maven("compiling the app", "-pl", modules, "-Dmaven.test.skip=true", "package")
    target = PROJECT / "app/target"
    made = target / "android"
    paths = dict(
        line.split("=", 1) for line in (made / "paths.properties").read_text().splitlines() if line
    )
    return App(
        jars=(*target.glob("app-*.jar"), *(made / "libraries").glob("*.jar")),
        resources=made / "resources.apk",
        platform=Path(paths["androidAll"]),
        runtime=PROJECT / "ci/tflite-classes/target/aar/tensorflow-lite.aar",
        dexer=_dexer(),
    )


def _dexer() -> Path:
    """Return D8: Maven's, or that of an Android SDK where Maven's repository lacks it."""
    try:
        _maven("fetching D8", "-pl", "ci/apk-tools", "generate-resources")
    except MissingToolError as error:
        sdk = Path(os.environ.get("ANDROID_HOME", "no SDK"))
        found = sorted(sdk.glob("build-tools/*/lib/d8.jar"))
        if not found:
            raise MissingToolError(f"{error}; with an Android SDK, set ANDROID_HOME") from error
        return found[-1]
    return PROJECT / "ci/apk-tools/target/r8.jar"


def dex(app: App, scratch: Path) -> list[Path]:
    """Translate the classes for Android; returns one dex file or more, in order."""
    out = scratch / "dex"
    out.mkdir()
    words = ["java", "-Xmx1g", "-cp", str(app.dexer), "com.android.tools.r8.D8", "--release"]
    words += ["--min-api", _pom("android.minSdk"), "--lib", str(app.platform)]
    _run([*words, "--output", str(out), *map(str, app.jars)], "D8")
    return sorted(out.glob("*.dex"))


def pack(app: App, dexes: Sequence[Path], assets: Path, out: Path) -> None:
    """Put everything into one archive, aligned as Android wants it."""
    with zipfile.ZipFile(out, "w") as apk:
        with zipfile.ZipFile(app.resources) as resources:
            for entry in resources.infolist():
                _add(apk, entry.filename, resources.read(entry), entry.compress_type)
        for path in dexes:
            _add(apk, path.name, path.read_bytes(), zipfile.ZIP_DEFLATED)
        for path in sorted(path for path in assets.rglob("*") if path.is_file()):
            name = f"assets/{path.relative_to(assets).as_posix()}"
            is_mapped = path.suffix in _MAPPED
            method = zipfile.ZIP_STORED if is_mapped else zipfile.ZIP_DEFLATED
            _add(apk, name, path.read_bytes(), method)
        with zipfile.ZipFile(app.runtime) as runtime:
            for abi in ABIS:
                library = "libtensorflowlite_jni.so"
                data = runtime.read(f"jni/{abi}/{library}")
                _add(apk, f"lib/{abi}/{library}", data, zipfile.ZIP_STORED)


def sign(unsigned: Path, signed: Path, scratch: Path) -> None:
    """Sign with a key that is made for it and thrown away."""
    store, password = scratch / "key.p12", secrets.token_hex(16)
    secret = scratch / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    words = ["keytool", "-genkeypair", "-keystore", str(store), "-storetype", "PKCS12"]
    words += ["-storepass:file", str(secret), "-keypass:file", str(secret), "-alias", "smoke"]
    words += ["-keyalg", "RSA", "-keysize", "2048", "-validity", "30", "-dname", "CN=edgevit smoke"]
    _run(words, "making a key")
    words = ["apksigner", "sign", "--ks", str(store), "--ks-pass", f"file:{secret}"]
    words += ["--min-sdk-version", _pom("android.minSdk"), "--out", str(signed), str(unsigned)]
    _run(words, "signing")


def check(apk: Path, scratch: Path) -> Iterator[str]:
    """Check everything that needs no phone; yields a line for each check.

    Raises:
        BuildError: at the first that is not met.
    """
    minimum = _pom("android.minSdk")
    _run(["apksigner", "verify", "--min-sdk-version", minimum, str(apk)], "verifying the signature")
    yield "apksigner verifies the signature"
    yield _check_badging(_run(["aapt2", "dump", "badging", str(apk)], "aapt2 dump badging"))
    _run(["zipalign", "-c", "-p", str(WORD_BYTES), str(apk)], "checking the alignment")
    yield from _check_mapped(apk)
    yield _check_classes(apk, scratch)


def manifest_components(manifest: Path = MANIFEST) -> list[str]:
    """Return the full names of the classes that the manifest names."""
    application = ElementTree.parse(manifest).getroot().find("application")
    if application is None:
        raise BuildError(f"{manifest} has no application")
    names = [application.get(f"{_ANDROID}name")]
    names += [child.get(f"{_ANDROID}name") for child in application if child.tag in _COMPONENT_TAGS]
    package = _pom("android.applicationId")
    return [f"{package}{name}" if name.startswith(".") else name for name in names if name]


def _check_badging(badging: str) -> str:
    package = _pom("android.applicationId")
    expected = {
        f"package: name='{package}' versionCode='{_pom('android.versionCode')}'",
        f"sdkVersion:'{_pom('android.minSdk')}'",
        f"targetSdkVersion:'{_pom('android.targetSdk')}'",
        f"launchable-activity: name='{package}.MainActivity'",
        "uses-permission: name='android.permission.CAMERA'",
        *(f"'{abi}'" for abi in ABIS),
    }
    missing = sorted(text for text in expected if text not in badging)
    if missing:
        raise BuildError(f"aapt2 dump badging does not say {missing[0]}")
    return f"aapt2 reads {package}, API {_pom('android.minSdk')} to {_pom('android.targetSdk')}"


def _check_mapped(apk: Path) -> Iterator[str]:
    with zipfile.ZipFile(apk) as archive, apk.open("rb") as file:
        for entry in archive.infolist():
            is_mapped = entry.filename.endswith(_MAPPED)
            if entry.compress_type != zipfile.ZIP_STORED:
                if is_mapped or entry.filename == "resources.arsc":
                    raise BuildError(f"{entry.filename} is compressed in the APK")
                continue
            offset = _data_offset(file, entry)
            wanted = PAGE_BYTES if is_mapped else WORD_BYTES
            if offset % wanted:
                raise BuildError(f"{entry.filename} begins at {offset}, no multiple of {wanted}")
            if is_mapped:
                yield f"{entry.filename} is stored, on a page ({entry.file_size:,} bytes)"


def _check_classes(apk: Path, scratch: Path) -> str:
    """Check that what the manifest names is in the dex files."""
    descriptors: set[str] = set()
    with zipfile.ZipFile(apk) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dex")]
        for name in names:
            listing = _run(["dexdump", archive.extract(name, scratch / "check")], "dexdump")
            descriptors.update(re.findall(r"Class descriptor +: 'L([^;]+);'", listing))
    for component in manifest_components():
        if component.replace(".", "/") not in descriptors:
            raise BuildError(f"the manifest names {component}, which is in no dex file")
    return f"dexdump lists all {len(manifest_components())} classes that the manifest names"


def _add(apk: zipfile.ZipFile, name: str, data: bytes, method: int) -> None:
    # A fixed date, so that equal contents make equal archives.
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = method
    entry.external_attr = 0o644 << 16
    if method == zipfile.ZIP_STORED:
        alignment = PAGE_BYTES if name.endswith(_MAPPED) else WORD_BYTES
        assert apk.fp is not None
        start = apk.fp.tell() + _LOCAL_HEADER_BYTES + len(name.encode()) + _ALIGNMENT_FIELD_BYTES
        entry.extra = _alignment_field(alignment, -start % alignment)
    apk.writestr(entry, data)


def _alignment_field(alignment: int, padding: int) -> bytes:
    header = (_ALIGNMENT_FIELD, 2 + padding, alignment)
    return b"".join(number.to_bytes(2, "little") for number in header) + bytes(padding)


def _data_offset(file: BinaryIO, entry: zipfile.ZipInfo) -> int:
    """Return where an entry's data begins; the directory does not say."""
    file.seek(entry.header_offset + _LOCAL_HEADER_BYTES - 4)
    lengths = file.read(4)
    name, extra = (int.from_bytes(lengths[at : at + 2], "little") for at in (0, 2))
    return entry.header_offset + _LOCAL_HEADER_BYTES + name + extra


def _pom(name: str) -> str:
    """Return a property of Maven's project file."""
    found = ElementTree.parse(PROJECT / "pom.xml").findtext(f"properties/{name}", "")
    if not found:
        raise BuildError(f"pom.xml has no property {name}")
    return found


def _maven(what: str, *words: str) -> None:
    try:
        _run([*_MAVEN, *words], what)
    except BuildError as error:
        if OUT_OF_REACH.search(str(error)):
            raise MissingToolError(str(error)) from error
        raise


def _run(words: Sequence[str], what: str) -> str:
    """Run a program in the project's folder; returns what it printed."""
    done = subprocess.run(
        words, cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = _COLOURS.sub("", done.stdout + done.stderr)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        wrong = [line for line in lines if "error" in line.lower()]
        reason = (wrong or lines or [f"exit code {done.returncode}"])[0]
        raise BuildError(f"{what} failed: {reason.removeprefix('[ERROR] ')}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())

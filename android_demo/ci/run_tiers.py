"""Runs everything that can be tested of the demo without a phone, tier by tier.

    python android_demo/ci/run_tiers.py [--bundle BUNDLE] [--install-tools] [--apk OUT.apk]

Each tier is reported on a line of its own: passed, failed, or SKIPPED with the reason. The exit
code is 1 if a tier failed. Run it with the Python that edgevit is installed in.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import build_apk

PROJECT = build_apk.PROJECT
REPOSITORY = PROJECT.parent
DEMO_BUNDLE = REPOSITORY / "demo/exports/vit-tiny.tflite.int8"
# One module at a time: two compilers at once are slower on the two cores of a small machine.
MAVEN = ("mvn", "--batch-mode", "--no-transfer-progress", "-Dstyle.color=never", "-T1")
_APP_MODULES = "core,ci/tflite-classes,app"
_TAIL_LINES = 30
_REASON_CHARACTERS = 160


class Skipped(Exception):  # noqa: N818 - it is no error
    """A tier cannot run here; says why and what to do."""


class Failed(Exception):  # noqa: N818 - the tier's result, not the program's
    """A tier failed; the text is what its programs printed last."""


@dataclass(frozen=True)
class Tier:
    """One kind of evidence.

    Attributes:
        name: What is tested.
        run: Tests it and returns what it found, in words; raises :class:`Skipped` or
            :class:`Failed`.
    """

    name: str
    run: Callable[[], str]


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Test the Android demo without a phone.")
    parser.add_argument("--bundle", type=Path, help="the TFLite bundle that goes into the APK")
    parser.add_argument("--install-tools", action="store_true", help="install what is missing")
    parser.add_argument("--apk", type=Path, help="keep the smoke APK there")
    options = parser.parse_args()
    missing = build_apk.missing_tools()
    if missing and options.install_tools and os.geteuid() == 0:
        _install(missing)
    tiers = (
        Tier("1 core: pixels, scores, statistics, documents", _core),
        Tier("2 app compiles against TensorFlow Lite 2.16.1", _compile),
        Tier("3 screens on Robolectric", _robolectric),
        Tier("4 smoke APK", lambda: _apk(options.bundle, options.apk)),
        Tier("5 build files agree", _build_files),
    )
    lines = [_report(tier) for tier in tiers]
    print("\nAndroid demo, without a phone:")
    print("\n".join(lines))
    return 1 if any(": failed" in line for line in lines) else 0


def _report(tier: Tier) -> str:
    print(f"== {tier.name} …", flush=True)
    begun = time.monotonic()
    try:
        outcome = f"passed: {tier.run()}"
    except Skipped as reason:
        outcome = f"SKIPPED, NOT TESTED: {reason}"
    except Failed as failure:
        print(failure, file=sys.stderr)
        outcome = "failed"
    line = f"  tier {tier.name}: {outcome} ({time.monotonic() - begun:.0f} s)"
    print(line, flush=True)
    return line


def _core() -> str:
    _need("java")
    try:
        _need("mvn")
        return _count(_maven("-pl", "core", "test"))
    except Skipped as reason:
        # The same tests by a compiler from elsewhere.
        outcome = _pytest("tests/android/test_core.py")
        if "skipped" in outcome:
            raise reason from None
        return f"{outcome}, without Maven"


def _compile() -> str:
    _need("java", "mvn", "aapt2")
    _maven("-pl", _APP_MODULES, "-Dmaven.test.skip=true", "package")
    return "no warning"


def _robolectric() -> str:
    _need("java", "mvn", "aapt2")
    # The tests of core have been run: only those of the app are named.
    only_app = ("-Dtest=org/edgevit/demo/**", "-Dsurefire.failIfNoSpecifiedTests=false")
    return _count(_maven("-pl", f"{_APP_MODULES},ci/robolectric", *only_app, "package"))


def _apk(bundle: Path | None, keep: Path | None) -> str:
    _need(*build_apk.TOOLS)
    with tempfile.TemporaryDirectory(prefix="edgevit-android-") as name:
        scratch = Path(name)
        if bundle is None:
            bundle = DEMO_BUNDLE if DEMO_BUNDLE.is_dir() else _tiny_bundle(scratch)
        assets = _install_bundle(bundle, scratch / "project")
        try:
            for line in build_apk.build(assets, scratch / "smoke.apk"):
                print(f"   {line}", flush=True)
        except build_apk.MissingToolError as error:
            raise Skipped(_short(str(error))) from error
        except build_apk.BuildError as error:
            raise Failed(str(error)) from error
        if keep is not None:
            shutil.copyfile(scratch / "smoke.apk", keep)
        size_bytes = (scratch / "smoke.apk").stat().st_size
    return f"{size_bytes / 1e6:.1f} MB with {bundle.name}, for phones with 4 KB pages"


def _build_files() -> str:
    return _pytest("tests/android/test_builds.py")


def _pytest(tests: str) -> str:
    words = [_beside_python("pytest"), "-q", "-p", "no:cacheprovider", tests]
    return _run(words, REPOSITORY).splitlines()[-1].partition(" in ")[0]


def _tiny_bundle(scratch: Path) -> Path:
    # Behind the installed packages: in front, the repository's edgevit/ would hide the installed.
    code = "import sys; sys.path.append(sys.argv.pop()); from tests.android import tiny_bundle"
    words = [sys.executable, "-c", f"{code}; tiny_bundle.main()", str(scratch), str(REPOSITORY)]
    _run(words, scratch)
    return scratch / "colours.tflite.fp32"


def _install_bundle(bundle: Path, project: Path) -> Path:
    """Install into a copy of the project, not over what the user installed; returns the assets."""
    for name in ("settings.gradle.kts", "app/src/main/AndroidManifest.xml"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, project / name)
    words = [_beside_python("edgevit"), "android", "install", str(bundle.resolve())]
    _run([*words, "--project", "."], project)
    return project / "app/src/main/assets"


def _beside_python(name: str) -> str:
    """Return a program of the environment that this runs in."""
    path = Path(sys.executable).parent / name
    if not path.is_file():
        raise Skipped(f"{path} is missing: make install")
    return str(path)


def _need(*tools: str) -> None:
    packages = sorted({build_apk.TOOLS[tool] for tool in tools if shutil.which(tool) is None})
    if packages:
        raise Skipped(f"tools are missing: apt-get install -y {' '.join(packages)}")


def _install(packages: Sequence[str]) -> None:
    print(f"Installing {' '.join(packages)} …", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        # What could not be installed is missed, and said, by the tiers that need it.
        subprocess.run(["apt-get", "-qq", *words], env=environment, check=False)


def _maven(*words: str) -> str:
    try:
        return _run([*MAVEN, *words], PROJECT)
    except Failed as failure:
        # Not the demo's fault: the registry is out of reach, or lacks something.
        for line in str(failure).splitlines():
            if build_apk.OUT_OF_REACH.search(line):
                raise Skipped(f"Maven: {_short(line)}") from None
        raise


def _short(line: str) -> str:
    line = line.removeprefix("[ERROR] ")
    return line if len(line) <= _REASON_CHARACTERS else f"{line[:_REASON_CHARACTERS]}…"


def _run(words: Sequence[str], folder: Path) -> str:
    done = subprocess.run(
        words,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = done.stdout.splitlines()
        wrong = [line for line in lines if "ERROR" in line and line.strip() != "[ERROR]"]
        raise Failed("\n".join((wrong or lines)[:_TAIL_LINES]))
    return done.stdout


def _count(log: str) -> str:
    """Return how many tests Maven ran, over all modules."""
    pattern = r"^\[\w+\] Tests run: (\d+), Failures: 0, Errors: 0, Skipped: (\d+)$"
    counts = [(int(run), int(skipped)) for run, skipped in re.findall(pattern, log, re.MULTILINE)]
    ran = sum(run - skipped for run, skipped in counts)
    if not ran:
        raise Failed("no test ran")
    return f"{ran} tests"


if __name__ == "__main__":
    sys.exit(main())

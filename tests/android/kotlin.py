"""Compiles and tests the Android demo's core with whatever this machine has.

It takes a JDK 17 or newer, and either Maven (which fetches the compiler and JUnit that the demo's
own builds use) or npm's ``kotlin-compiler`` with Debian's ``junit4``. Both are kept below
``~/.cache/edgevit/kotlin``, so that only the first run needs a network. Without them the tests are
skipped, loudly.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Set where a skipped tier would go unnoticed: what is missing then fails.
REQUIRED = bool(os.environ.get("EDGEVIT_REQUIRE_ANDROID_CORE"))

REPOSITORY = Path(__file__).parents[2]
PROJECT = REPOSITORY / "android_demo"
CORE = PROJECT / "core"
GOLDEN = REPOSITORY / "tests" / "golden"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "edgevit" / "kotlin"

_LEAST_JAVA = 17
_NPM_COMPILER = "kotlin-compiler@2.4.20"
_COMPILER_CLASS = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
# A compiler that runs for ten seconds is not worth compiling itself to the utmost.
_COMPILER_JVM = ("-Xmx900m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_COMPILER_OPTIONS = ("-no-stdlib", "-no-reflect", "-Xjdk-release=8", "-Werror")
_DEBIAN_JARS = (Path("/usr/share/java/junit4.jar"), Path("/usr/share/java/hamcrest.jar"))
_KEPT_SECONDS = 24 * 3600
_FETCH_SECONDS, _COMPILE_SECONDS, _TEST_SECONDS = 600, 600, 300


class MissingToolError(Exception):
    """This machine cannot compile Kotlin; the text says what is missing."""


@dataclass(frozen=True)
class Toolchain:
    """What compiles and runs Kotlin here.

    Attributes:
        java: The program.
        compiler: Jars of the compiler.
        libraries: Jars of Kotlin's library, JUnit and Hamcrest.
    """

    java: str
    compiler: tuple[Path, ...]
    libraries: tuple[Path, ...]

    def compile(self, sources: Sequence[Path], classes: Path) -> None:
        """Compile folders of sources into one folder; warnings are errors.

        Raises:
            AssertionError: with the compiler's words if it fails.
        """
        words = [self.java, *_COMPILER_JVM, "-cp", _joined(self.compiler), _COMPILER_CLASS]
        words += [*_COMPILER_OPTIONS, "-cp", _joined(self.libraries), "-d", str(classes)]
        done = _run([*words, *map(str, sources)], _COMPILE_SECONDS)
        assert done.returncode == 0, f"the core does not compile:\n{done.stdout[-4000:]}"

    def run_tests(self, classes: Path, *options: str, pattern: str = "*Test") -> str:
        """Run every class whose name matches; returns what JUnit printed.

        Args:
            classes: From :func:`compiled_core`.
            options: Of the virtual machine.
            pattern: Of the classes' names.

        Raises:
            AssertionError: with JUnit's words if one fails.
        """
        names = [
            ".".join(path.relative_to(classes).with_suffix("").parts)
            for path in sorted(classes.rglob(f"{pattern}.class"))
        ]
        words = [self.java, f"-Dedgevit.golden={GOLDEN}", *options, "-cp"]
        words += [_joined((classes, *self.libraries)), "org.junit.runner.JUnitCore", *names]
        done = _run(words, _TEST_SECONDS)
        assert done.returncode == 0, f"the core's tests fail:\n{done.stdout[:8000]}"
        return done.stdout


def find_toolchain() -> Toolchain:
    """Find or fetch what compiles Kotlin.

    Raises:
        MissingToolError: if there is no way on this machine.
    """
    java = _find_java()
    try:
        return Toolchain(java, *_from_maven())
    except MissingToolError as without_maven:
        try:
            return Toolchain(java, *_from_npm())
        except MissingToolError as without_npm:
            raise MissingToolError(f"{without_maven}; {without_npm}") from None


def compiled_core(toolchain: Toolchain) -> Path:
    """Return the folder of the core's classes and tests; compiled once for the same sources."""
    sources = [CORE / "src/main/kotlin", CORE / "src/test/kotlin"]
    folder = CACHE / "classes"
    classes = folder / _hash_of(sources, toolchain)
    if not classes.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _remove_old(folder)
        # Whole or absent, also where two test runs compile at once.
        partial = Path(tempfile.mkdtemp(dir=folder))
        try:
            toolchain.compile(sources, partial)
            with suppress(OSError):
                partial.rename(classes)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return classes


def _remove_old(folder: Path) -> None:
    """Remove what nobody compiled in the last day."""
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def test_count() -> int:
    """Return the number of tests that the core's sources hold."""
    files = (CORE / "src/test/kotlin").rglob("*.kt")
    return sum(path.read_text(encoding="utf-8").count("@Test") for path in files)


test_count.__test__ = False  # type: ignore[attr-defined]  # its name is no test's


def _find_java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    remedy = f"install a JDK {_LEAST_JAVA}: apt-get install openjdk-17-jdk-headless maven"
    if java is None or not Path(java).is_file():
        raise MissingToolError(f"there is no Java here; {remedy}")
    printed = _run([java, "-version"], _TEST_SECONDS).stdout
    version = re.search(r'version "(\d+)', printed)
    if version is None or int(version[1]) < _LEAST_JAVA:
        found = printed.strip().splitlines()[:1]
        raise MissingToolError(f"Java is too old ({' '.join(found)}); {remedy}")
    return java


def _from_maven() -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Let Maven fetch the compiler and JUnit in the versions of the demo's pom.xml."""
    pom = (PROJECT / "pom.xml").read_text(encoding="utf-8")
    kotlin, junit = (_version(pom, name) for name in ("kotlin", "junit"))
    compiler = _maven_jars(f"org.jetbrains.kotlin:kotlin-compiler-embeddable:{kotlin}")
    library = _maven_jars(f"org.jetbrains.kotlin:kotlin-stdlib:{kotlin}")
    return compiler, (*library, *_maven_jars(f"junit:junit:{junit}"))


def _version(pom: str, name: str) -> str:
    found = re.search(rf"<{name}\.version>([^<]+)<", pom)
    if found is None:
        raise MissingToolError(f"android_demo/pom.xml names no {name}.version")
    return found[1]


def _maven_jars(coordinates: str) -> tuple[Path, ...]:
    """Return the jars of an artifact and of all that it needs, from the cache or from Maven."""
    group, artifact, version = coordinates.split(":")
    folder = CACHE / f"{artifact}-{version}"
    listing = folder / "classpath.txt"
    if listing.is_file():
        jars = tuple(map(Path, listing.read_text(encoding="utf-8").split(os.pathsep)))
        if all(jar.is_file() for jar in jars):
            return jars
    if shutil.which("mvn") is None:
        raise MissingToolError("there is no Maven (apt-get install maven)")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pom.xml").write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>org.edgevit</groupId>"
        "<artifactId>tools</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies><dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version></dependency></dependencies></project>\n",
        encoding="utf-8",
    )
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"
    words = ["mvn", "-q", "-B", "-f", str(folder / "pom.xml"), goal]
    words += [f"-Dmaven.repo.local={CACHE / 'm2'}", f"-Dmdep.outputFile={listing}"]
    done = _run(words, _FETCH_SECONDS)
    if done.returncode != 0 or not listing.is_file():
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
        reason = errors[0] if errors else done.stdout[-300:]
        raise MissingToolError(f"Maven cannot fetch {coordinates}: {reason}")
    return _maven_jars(coordinates)


def _from_npm() -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Take npm's compiler, which has all in it, and Debian's JUnit."""
    lost = [str(jar) for jar in _DEBIAN_JARS if not jar.is_file()]
    if lost:
        raise MissingToolError(f"{lost[0]} is not there (apt-get install junit4)")
    jars = CACHE / "node_modules" / "kotlin-compiler" / "lib"
    if not (jars / "kotlin-compiler.jar").is_file():
        if shutil.which("npm") is None:
            raise MissingToolError("there is no npm")
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(CACHE)]
        done = _run(["npm", "install", *options, _NPM_COMPILER], _FETCH_SECONDS)
        if done.returncode != 0:
            raise MissingToolError(f"npm cannot fetch {_NPM_COMPILER}: {done.stdout[-300:]}")
    return (jars / "kotlin-compiler.jar", jars / "kotlin-stdlib.jar"), (
        jars / "kotlin-stdlib.jar",
        *_DEBIAN_JARS,
    )


def _hash_of(folders: Sequence[Path], toolchain: Toolchain) -> str:
    digest = hashlib.sha256(repr((toolchain, _COMPILER_OPTIONS)).encode())
    for folder in folders:
        for path in sorted(folder.rglob("*.kt")):
            digest.update(f"{path.relative_to(CORE)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:24]


def _joined(jars: Sequence[Path]) -> str:
    return os.pathsep.join(map(str, jars))


def _run(words: Sequence[str], seconds: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=seconds,
        check=False,
    )

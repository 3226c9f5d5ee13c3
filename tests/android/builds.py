"""Reads what the Android demo's two builds and its manifest say, without Gradle and Maven."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

PROJECT = Path(__file__).parents[2] / "android_demo"
MANIFEST = PROJECT / "app/src/main/AndroidManifest.xml"
SOURCES = PROJECT / "app/src/main/kotlin"
ANDROID = "{http://schemas.android.com/apk/res/android}"


def catalogue() -> dict[str, str]:
    """Return Gradle's versions by name."""
    return dict(re.findall(r'^([\w-]+) = "([^"]+)"$', _catalogue_text(), re.MULTILINE))


def libraries() -> set[str]:
    """Return the libraries that Gradle's modules use, as ``group:name``."""
    found = re.findall(r'^([\w-]+) = \{ module = "([^"]+)"', _catalogue_text(), re.MULTILINE)
    known = {name.replace("-", "."): module for name, module in found}
    scripts = gradle("core") + gradle("app")
    return {known[name] for name in re.findall(r"mplementation\(libs\.([a-z.]+)\)", scripts)}


def gradle(module: str) -> str:
    """Return a module's Gradle script."""
    return (PROJECT / module / "build.gradle.kts").read_text(encoding="utf-8")


def gradle_value(name: str) -> str:
    """Return what the app's Gradle script assigns to a name, without quotes."""
    found = re.findall(rf'^\s*{name} = "?([^"\n]+)"?$', gradle("app"), re.MULTILINE)
    assert len(found) == 1, f"app/build.gradle.kts assigns {name} {len(found)} times"
    value: str = found[0]
    return value


def pom(path: str = "pom.xml") -> ElementTree.Element:
    """Return a Maven project file."""
    return ElementTree.parse(PROJECT / path).getroot()


def properties() -> dict[str, str]:
    """Return the properties of Maven's project file."""
    found = pom().find("properties")
    assert found is not None
    return {child.tag: (child.text or "").strip() for child in found}


def maven_version() -> str:
    """Return the version of Maven's project."""
    return pom().findtext("version", "")


def maven_modules() -> set[str]:
    """Return the folders of Maven's modules."""
    return {module.text or "" for module in pom().findall("modules/module")}


def dependencies(path: str) -> set[str]:
    """Return a Maven module's dependencies and what it fetches, as ``group:name``."""
    root = pom(path)
    found = [*root.iterfind("dependencies/dependency")]
    found += root.iterfind(".//artifactItem")
    return {
        f"{entry.findtext('groupId', '')}:{entry.findtext('artifactId', '')}" for entry in found
    }


def manifest() -> ElementTree.Element:
    """Return the app's manifest."""
    return ElementTree.parse(MANIFEST).getroot()


def components(tag: str) -> set[str]:
    """Return the names of the manifest's components of a kind, such as ``.MainActivity``."""
    return {entry.get(f"{ANDROID}name", "") for entry in manifest().iterfind(f"application/{tag}")}


def _catalogue_text() -> str:
    return (PROJECT / "gradle/libs.versions.toml").read_text(encoding="utf-8")

"""The Android demo's two builds and its manifest describe one app."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tests.android import builds
from tests.android.builds import ANDROID, PROJECT, SOURCES


@pytest.mark.parametrize(
    ("gradle", "maven"),
    [
        ("applicationId", "android.applicationId"),
        ("namespace", "android.applicationId"),
        ("minSdk", "android.minSdk"),
        ("targetSdk", "android.targetSdk"),
        ("compileSdk", "android.compileSdk"),
        ("versionCode", "android.versionCode"),
    ],
)
def test_app_is_the_same_when_gradle_and_maven_build_it(gradle: str, maven: str) -> None:
    assert builds.gradle_value(gradle) == builds.properties()[maven]


@pytest.mark.parametrize("name", ["kotlin", "junit", "robolectric"])
def test_versions_are_the_same_in_gradle_and_maven(name: str) -> None:
    assert builds.catalogue()[name] == builds.properties()[f"{name}.version"]


def test_version_name_is_the_same_in_gradle_and_in_every_maven_module() -> None:
    version = builds.maven_version()
    assert builds.gradle_value("versionName") == version
    for module in builds.maven_modules():
        parent = builds.pom(f"{module}/pom.xml").findtext("parent/version", "")
        assert parent == version, module


def test_java_version_is_the_same_in_gradle_and_maven() -> None:
    for module in ("core", "app"):
        target = builds.pom(f"{module}/pom.xml").findtext(".//jvmTarget", "")
        script = builds.gradle(module)
        found = re.findall(r"(?:JavaVersion\.VERSION|JvmTarget\.JVM)_(\w+)", script)
        assert {word.replace("_", ".") for word in found} == {target}, module


def test_libraries_differ_only_in_litert_and_tensorflow_lite() -> None:
    # Kotlin's library comes with Gradle's plugin, and android-all stands in for Android's SDK.
    implied = {"org.jetbrains.kotlin:kotlin-stdlib", "org.robolectric:android-all"}
    # Robolectric's, which Gradle leaves to it.
    implied |= {"org.robolectric:android-all-instrumented"}
    maven = set().union(
        *(
            builds.dependencies(f"{module}/pom.xml")
            for module in ("core", "app", "ci/tflite-classes", "ci/robolectric")
        )
    )
    maven = {name for name in maven - implied if not name.startswith("org.edgevit:")}
    assert builds.libraries() - maven == {
        "com.google.ai.edge.litert:litert",
        "com.google.ai.edge.litert:litert-gpu",
        "com.google.ai.edge.litert:litert-gpu-api",
    }
    assert maven - builds.libraries() == {
        "org.tensorflow:tensorflow-lite",
        "org.tensorflow:tensorflow-lite-api",
    }


def test_tensorflow_lite_is_not_one_of_the_versions_that_only_relocate() -> None:
    assert builds.properties()["tflite.version"] == "2.16.1"
    assert builds.catalogue()["litert"].startswith("1.4.")


def test_modules_are_the_same_in_gradle_and_maven() -> None:
    settings = (PROJECT / "settings.gradle.kts").read_text(encoding="utf-8")
    assert set(re.findall(r'":(\w+)"', settings)) == {"core", "app"} <= builds.maven_modules()


def test_manifest_leaves_to_gradle_what_gradle_sets() -> None:
    manifest = builds.manifest()
    assert "package" not in manifest.attrib
    assert manifest.find("uses-sdk") is None


def test_app_can_be_installed_without_a_camera() -> None:
    features = {
        feature.get(f"{ANDROID}name"): feature.get(f"{ANDROID}required")
        for feature in builds.manifest().iterfind("uses-feature")
    }
    # The permission implies the first.
    assert features == {"android.hardware.camera": "false", "android.hardware.camera.any": "false"}


def test_every_activity_is_in_the_manifest() -> None:
    package = builds.gradle_value("namespace")
    written: dict[str, set[str]] = {"activity": set(), "provider": set(), "application": set()}
    parents = {"Activity": "activity", "ContentProvider": "provider", "Application": "application"}
    for path in SOURCES.rglob("*.kt"):
        text = path.read_text(encoding="utf-8")
        folder = re.findall(r"^package (.+)$", text, re.MULTILINE)[0].removeprefix(package)
        for name, parent in re.findall(r"^(?:open )?class (\w+)[^{]*? : ?(\w+)\(\)", text, re.M):
            if parent in parents:
                written[parents[parent]].add(f"{folder}.{name}")
    assert builds.components("activity") == written["activity"] != set()
    assert builds.components("provider") == written["provider"] != set()
    application = builds.manifest().find("application")
    assert application is not None
    assert {application.get(f"{ANDROID}name")} == written["application"]


def test_results_are_found_where_they_are_shared_from() -> None:
    provider = builds.manifest().find("application/provider")
    assert provider is not None
    text = (SOURCES / "org/edgevit/demo/bench/ResultProvider.kt").read_text(encoding="utf-8")
    assert f'AUTHORITY = "{provider.get(f"{ANDROID}authorities")}"' in text
    assert provider.get(f"{ANDROID}authorities", "").startswith(builds.gradle_value("namespace"))
    assert provider.get(f"{ANDROID}exported") == "false"


def test_model_is_not_compressed_by_gradle() -> None:
    assert 'noCompress += "tflite"' in builds.gradle("app")


def test_apk_has_the_processors_of_gradle() -> None:
    listed = re.findall(r"abiFilters \+= listOf\((.+)\)", builds.gradle("app"))[0]
    script = (PROJECT / "ci/build_apk.py").read_text(encoding="utf-8")
    packed = re.findall(r"^ABIS = \((.+)\)$", script, re.MULTILINE)[0]
    assert listed == packed


def test_app_has_no_text_outside_its_resources() -> None:
    for layout in (PROJECT / "app/src/main/res").glob("layout*/*.xml"):
        for view in ElementTree.parse(layout).iter():
            for name in ("text", "contentDescription", "hint"):
                value = view.get(f"{ANDROID}{name}", "@string/")
                assert value.startswith("@string/"), f"{layout.name}: {value}"


def test_text_sizes_follow_the_users_setting() -> None:
    for path in (PROJECT / "app/src/main/res").rglob("*.xml"):
        sizes = re.findall(r'[tT]extSize"?[>=]"?([^<"]+)', path.read_text(encoding="utf-8"))
        assert all(size.endswith("sp") for size in sizes), path


def test_core_knows_nothing_of_android() -> None:
    for path in (PROJECT / "core/src/main").rglob("*.kt"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^import (android|androidx|org\.json)\b", text, re.MULTILINE), path


def test_tests_of_the_app_use_nothing_that_android_lacks() -> None:
    for path in (PROJECT / "app/src").rglob("*.kt"):
        text = path.read_text(encoding="utf-8")
        # Maven's JDK has it; Gradle compiles against Android's own classes.
        assert not re.search(r"\b(java\.awt|javax\.imageio|sun)\.", text), path
        assert not re.search(r"^import androidx", text, re.MULTILINE), path

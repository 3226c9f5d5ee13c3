"""``edgevit data`` as a stranger meets it: exit codes, messages, a full disk."""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgevit.cli.main import main
from tests.conftest import save_classes

LIMIT_BYTES = 4096


def edgevit(
    *arguments: str | Path,
    before: Callable[[], None] | None = None,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgevit", *map(str, arguments)],
        capture_output=True,
        text=True,
        preexec_fn=before,
        env=environment,
        check=False,
        timeout=60,
    )


def limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB, where the system lets us make one."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("cannot mount a tmpfs here")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_data_demo_then_prepare_works_when_their_own_advice_is_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["data", "demo", "--out", "my photos", "--classes", "4", "--per-class", "10"]
    assert main([*arguments, "--size", "32"]) == 0
    said = capsys.readouterr().out
    assert "40 photos of 4 classes are in my photos" in said
    advice = shlex.split(said.split("Next: edgevit ")[1])
    assert main([*advice, "--size", "16"]) == 0
    said = capsys.readouterr().out
    assert "40 photos of 4 classes (28 train, 4 val, 8 test)" in said
    assert "Next: edgevit train vit-tiny --data data/demo" in said


def test_data_prepare_lists_a_few_when_many_files_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = save_classes(tmp_path / "photos", {"a": 3, "b": 3})
    for index in range(9):
        (photos / "a" / f"x{index}.jpg").write_text("text")
    arguments = ["data", "prepare", str(photos), "--out", str(tmp_path / "out"), "--size", "16"]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "9 files were left out:" in said
    assert said.count("it is not an image") == 5
    assert "… and 4 more, in " in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--out", "x", "--classes", "1"], "'--classes': 1 is not in the range 2<=x<=120"),
        (["demo", "--out", "x", "--per-class", "4"], "'--per-class': 4 is not in the range 5<="),
        (["demo"], "Missing option '--out'"),
        (["demo", "--out", ""], "error: the folder to write is '.'. Give it a name"),
        (["prepare", "absent", "--out", "x"], "error: absent does not exist"),
        (["prepare", ".", "--out", ""], "error: the folder to write is '.'. Give it a name"),
        (["prepare", ".", "--out", "x", "--size", "0"], "'--size': 0 is not in the range 16<="),
        (["prepare", ".", "--out", "x", "--val-share", "2"], "error: --val-share is 2.0"),
    ],
)
def test_data_exits_with_2_when_arguments_are_wrong(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_data_prepare_warns_and_gives_no_next_step_when_there_is_no_test_photo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = save_classes(tmp_path / "photos", {"a": 3, "b": 3})
    arguments = ["data", "prepare", str(photos), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--size", "16", "--test-share", "0"]) == 0
    captured = capsys.readouterr()
    assert "4 train, 2 val, 0 test" in captured.out
    assert "Next:" not in captured.out
    assert "There is no test photo, and training needs some" in captured.err


def test_data_demo_names_the_locale_when_it_cannot_write_an_accent(tmp_path: Path) -> None:
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = edgevit(
        "data", "demo", "--out", tmp_path / "new" / "demo", "--size", "16", environment=ascii_only
    )
    assert result.returncode == 2
    assert f"this locale (ascii) cannot write '{tmp_path}/new/demo/" in result.stderr
    assert "Set LC_ALL=C.UTF-8" in result.stderr
    assert "Traceback" not in result.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("command", ["demo", "prepare"])
def test_data_leaves_nothing_when_files_may_not_grow(tmp_path: Path, command: str) -> None:
    photos = save_classes(tmp_path / "photos", {"a": 5, "b": 5})
    (tmp_path / "work").mkdir()
    out = tmp_path / "work" / "out"
    if command == "demo":
        arguments = ["demo", "--classes", "2", "--per-class", "5", "--size", "224"]
    else:
        arguments = ["prepare", str(photos), "--size", "224"]
    result = edgevit("data", *arguments, "--out", out, before=limit_file_size)
    assert_full_disk(result, tmp_path / "work")


@pytest.mark.parametrize("command", ["demo", "prepare"])
def test_data_leaves_nothing_when_the_disk_is_full(
    tmp_path: Path, small_disk: Path, command: str
) -> None:
    photos = save_classes(tmp_path / "photos", {"a": 5, "b": 5})
    arguments = ["demo", "--per-class", "5"] if command == "demo" else ["prepare", str(photos)]
    result = edgevit("data", *arguments, "--out", small_disk / "out")
    assert_full_disk(result, small_disk)


def assert_full_disk(result: subprocess.CompletedProcess[str], folder: Path) -> None:
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert last.startswith("edgevit: error: cannot write")
    assert os.listdir(folder) == []


def test_data_help_imports_nothing_heavy_when_asked() -> None:
    code = (
        "import sys; from edgevit.cli.main import main; main(['data', 'prepare', '--help']);"
        "print([m for m in ('numpy', 'PIL', 'scipy', 'rich', 'tensorflow') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("[]\n")
    assert "Examples:" in result.stdout

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgevit.cli.main import COMMANDS, main

# Without them `--help` takes 0.06 s.
_HEAVY = (
    "tensorflow",
    "keras",
    "ai_edge_litert",
    "tflite_runtime",
    "onnxruntime",
    "openvino",
    "onnx",
    "numpy",
    "rich",
    "PIL",
)


def heavy_imports_of(*arguments: str) -> set[str]:
    code = (
        "import sys\n"
        "from edgevit.cli.main import main\n"
        f"assert main({list(arguments)!r}) == 0\n"
        f"print('HEAVY', *sorted(set({_HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.rsplit("HEAVY", 1)[1].split())


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_imports_nothing_heavy_when_asked_of_any_command(command: str | None) -> None:
    arguments = ["--help"] if command is None else [command, "--help"]
    assert heavy_imports_of(*arguments) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_command_help_gives_an_example_when_asked(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"edgevit {command}" in out
    assert "\b" not in out


def test_main_returns_2_when_the_usage_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-command"]) == 2
    assert main(["predict"]) == 2
    assert main(["bench", "--threads", "0"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_main_prints_one_line_when_the_input_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["predict", "no/such/run", "photo.jpg"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("edgevit: error: no/such/run does not exist. Give a folder")
    assert captured.err.count("\n") == 1


def test_main_returns_0_when_asked_for_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    from edgevit import __version__

    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_path_is_named_when_the_system_refuses_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "demo", "--out", "/proc/nowhere/demo"]) == 2
    assert "cannot use /proc/nowhere: No such file or directory" in capsys.readouterr().err


def test_nothing_is_left_when_terminated(tmp_path: Path) -> None:
    arguments = ["data", "demo", "--out", str(tmp_path / "demo"), "--per-class", "9999"]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgevit", *arguments], stderr=subprocess.PIPE, text=True
    )
    while not any(tmp_path.glob(".demo.partial-*/*/0001.jpg")):
        assert process.poll() is None
    process.terminate()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert error.endswith("edgevit: error: terminated\n")
    assert list(tmp_path.iterdir()) == []


def test_usage_error_is_one_line_when_an_option_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["data", "demo", "--classes", "many"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("edgevit: error: Invalid value for '--classes': 'many'")
    assert error.endswith("See: edgevit data demo --help\n")
    assert error.count("\n") == 1


def test_work_is_done_when_standard_error_is_closed(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    command = f"{sys.executable} -m edgevit data demo --out {out} --classes 2 --per-class 5 2>&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0
    assert len(list(out.glob("*/*.jpg"))) == 10

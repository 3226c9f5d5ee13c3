from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from edgevit.cli.main import main
from tests.bench.standin import photo_of


def test_predict_skips_a_pipe_and_a_dash_when_given_among_photos(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.jpg")
    Image.fromarray(photo_of("red")).save("red.png")
    assert main(["predict", str(bundle), "pipe.jpg", "-", "red.png", "--top", "1"]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith("red.png\n")
    assert captured.err.splitlines() == [
        "edgevit: error: pipe.jpg is a pipe, a socket or a device. Give a photo",
        "edgevit: error: - does not exist. It does not stand for standard input here: "
        "give /dev/stdin",
    ]


def test_predict_reads_standard_input_when_it_is_piped(bundle: Path, tmp_path: Path) -> None:
    Image.fromarray(photo_of("green")).save(tmp_path / "green.png")
    done = subprocess.run(
        [sys.executable, "-m", "edgevit", "predict", str(bundle), "/dev/stdin", "--top", "1"],
        input=(tmp_path / "green.png").read_bytes(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[1].endswith(b"%  green")


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_threads_are_explained_and_checked_when_given(
    command: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    assert "Threads for the model" in capsys.readouterr().out
    images = ["photo.png"] if command == "predict" else []
    assert main([command, str(bundle), *images, "--threads", "100000"]) == 2
    assert "100000 threads, but this process may use" in capsys.readouterr().err

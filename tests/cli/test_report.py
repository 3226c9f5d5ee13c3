from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgevit.bench.result import BenchRow, write_result
from edgevit.cli.main import main
from tests.bench.results import SERVER, result


@pytest.fixture(autouse=True)
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with the results of two devices."""
    monkeypatch.chdir(tmp_path)
    write_result(Path("pi.json"), result())
    write_result(Path("server.json"), result(machine=SERVER))


def test_report_merges_devices_when_several_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "pi.json", "server.json", "--markdown", "out/report.md"]) == 0
    assert capsys.readouterr().out.splitlines() == ["report.html", "out/report.md"]
    for path in (Path("report.html"), Path("out/report.md")):
        text = path.read_text(encoding="utf-8")
        assert "Raspberry Pi 5 Model B" in text
        assert "Intel Xeon Platinum 8481C" in text
    assert Path("report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_report_says_so_when_a_result_is_given_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "pi.json", "./pi.json"]) == 0
    assert "pi.json holds the same result as pi.json" in capsys.readouterr().err


def test_report_keeps_old_files_when_not_forced(capsys: pytest.CaptureFixture[str]) -> None:
    Path("old.md").write_text("precious")
    arguments = ["report", "pi.json", "-o", "new.html", "--markdown", "old.md"]
    assert main(arguments) == 2
    assert "old.md exists already. Choose another name, or add --force" in capsys.readouterr().err
    assert not Path("new.html").exists()
    assert main([*arguments, "--force"]) == 0
    assert Path("old.md").read_text(encoding="utf-8") != "precious"


def test_report_returns_1_when_every_row_failed(capsys: pytest.CaptureFixture[str]) -> None:
    failed = BenchRow("broken", "exports/broken", 1, "cpu", error="the file was changed")
    write_result(Path("failed.json"), result(failed))
    assert main(["report", "failed.json"]) == 1
    assert "Nothing was measured" in capsys.readouterr().err
    assert "The file was changed." in Path("report.html").read_text(encoding="utf-8")


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a report that is refused; returns its one line."""
    assert main(["report", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_report_returns_2_when_no_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no result is named" in refusal([], capsys)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "does not exist"),
        ("no JSON", "is not valid JSON"),
        ('{"kind": "edgevit.run", "schema_version": 1}', "should hold 'edgevit.bench'"),
        ('{"kind": "edgevit.bench", "schema_version": 1}', "schema version 1"),
        ('{"kind": "edgevit.bench", "schema_version": 2}', "is missing"),
    ],
)
def test_report_returns_2_when_a_file_is_no_result(
    content: str | None, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        Path("bad.json").write_text(content)
    assert text in refusal(["pi.json", "bad.json"], capsys)
    assert not Path("report.html").exists()


def test_report_returns_2_when_a_result_has_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(Path("pi.json").read_text(encoding="utf-8"))
    Path("bad.json").write_text(json.dumps({**document, "rows": []}))
    assert "bad.json holds no row" in refusal(["bad.json"], capsys)


def test_report_returns_2_when_the_output_is_an_input(capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("pi.json").read_bytes()
    for options in (["-o", "./pi.json"], ["--markdown", "./pi.json", "--force"]):
        assert "is one of the results" in refusal(["pi.json", *options], capsys)
    assert Path("pi.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-o", "folder"], "folder is a folder"),
        (["-o", "same", "--markdown", "same"], "are both same"),
        (["-o", "pi.json/report.html"], "cannot use"),
        (["-o", "/proc/none/report.html"], "cannot use"),
    ],
)
def test_report_returns_2_when_the_output_cannot_be_written(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder").mkdir()
    assert text in refusal(["server.json", *arguments], capsys)

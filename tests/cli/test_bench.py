from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from edgevit.bench import protocol
from edgevit.bench.protocol import Protocol
from edgevit.bench.result import read_result
from edgevit.cli.main import main
from edgevit.data.dataset import Dataset
from edgevit.machine import describe_machine
from edgevit.run import Run
from tests.bench.standin import make_bundle, photo_of


@pytest.fixture(autouse=True)
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with timing rules that take no time."""
    monkeypatch.chdir(tmp_path)
    for name in ("FULL", "QUICK"):
        monkeypatch.setattr(
            protocol, name, Protocol(name.lower(), False, 20, 0.0, 2, 0.0, 0.0, cold_starts=1)
        )


def damage(bundle: Path) -> None:
    data = bytearray((bundle / "model.tflite").read_bytes())
    data[-20] ^= 1
    (bundle / "model.tflite").write_bytes(data)


def test_bench_measures_every_export_when_none_is_named(
    bundle: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bundle(bundle.parent / "colours.tflite.int8", run, "int8")
    assert main(["bench", "--threads", "1"]) == 0
    captured = capsys.readouterr()
    assert "colours.tflite.fp32" in captured.out
    assert "colours.tflite.int8" in captured.out
    (written,) = Path("results").glob("bench-*.json")
    assert len(read_result(written).rows) == 2
    assert str(written) in captured.err


def test_bench_returns_1_and_prints_the_others_when_a_bundle_is_damaged(
    bundle: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = make_bundle(bundle.parent / "broken", run)
    damage(broken)
    assert (
        main(["bench", "--quick", str(broken), str(bundle), "--threads", "1", "--out", "out.json"])
        == 1
    )
    out = capsys.readouterr().out
    assert "sha256" in out
    assert "100.00" in out
    assert [row.error is None for row in read_result(Path("out.json")).rows] == [False, True]


def test_bench_takes_one_and_all_cores_when_no_threads_are_named(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgevit.bench.targets.base.cpu_affinity", lambda: (0, 1))
    assert main(["bench", str(bundle), "--out", "out.json"]) == 0
    cores = {1, min(2, describe_machine().cpu.physical_cores or 2)}
    assert {row.threads for row in read_result(Path("out.json")).rows} == cores


@pytest.mark.parametrize("threads", ["one", "1,,2", "1;2", "0", "-1"])
def test_bench_returns_2_when_threads_are_no_numbers(bundle: Path, threads: str) -> None:
    assert main(["bench", str(bundle), f"--threads={threads}"]) == 2
    assert not Path("results").exists()


def test_pack_and_bench_give_the_paired_drop_when_all_else_is_gone(
    bundle: Path, run: Run, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pack", str(bundle.parent), "-o", "device/bench.zip"]) == 0
    assert "1 bundle, 12 photos" in capsys.readouterr().out
    for folder in (bundle.parent, run.root, dataset.root):
        shutil.rmtree(folder)
    assert main(["bench", "device/bench.zip", "--threads", "1", "--out", "out.json"]) == 0
    (row,) = read_result(Path("out.json")).rows
    assert row.measurement is not None
    assert row.measurement.accuracy is not None
    assert row.measurement.accuracy.paired is not None
    assert row.measurement.evaluation.source == "device/bench.zip"
    assert row.path == "device/bench.zip/exports/colours.tflite.fp32"
    assert row.measurement.end_to_end is not None
    assert [path.name for path in Path("device").iterdir()] == ["bench.zip"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bench.zip", "other.zip"], "one pack"),
        (["bench.zip", "--data", "data"], "brings its own photos"),
        (["bench.zip", "--images", "3"], "brings its own photos"),
        (["missing.zip"], "there is no pack at missing.zip"),
        (["exports/a", "--ssh", "pi@host"], "one pack"),
        (["bench.zip", "--adb"], "--benchmark-model PATH"),
    ],
)
def test_bench_returns_2_when_a_pack_is_misused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not Path("results").exists()


def test_bench_resumes_when_a_result_is_there(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench", str(bundle), "--threads", "1", "--out", "out.json"]
    assert main(arguments) == 0
    before = read_result(Path("out.json")).rows
    assert main([*arguments, "--resume"]) == 0
    assert read_result(Path("out.json")).rows == before
    assert "kept from the earlier run" in capsys.readouterr().err


@pytest.mark.parametrize("required", [False, True])
def test_bench_returns_1_and_says_why_when_the_accelerator_is_absent(
    bundle: Path, required: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench", str(bundle), "--target", "npu", "--threads", "1", "--out", "out.json"]
    assert main([*arguments, *(["--require-device"] if required else [])]) == 1
    rows = read_result(Path("out.json")).rows
    assert all(row.measurement is None for row in rows)
    reasons = [row.error if required else row.absent for row in rows]
    assert all(reasons)
    assert str(reasons[0]) in capsys.readouterr().out


def test_bench_returns_2_when_the_machine_is_no_pi(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(bundle), "--target", "pi"]) == 2
    assert "Raspberry Pi" in capsys.readouterr().err


def test_bench_returns_2_when_there_are_more_threads_than_cores(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(bundle), "--threads", "100000"]) == 2
    assert "100000 threads, but this process may use" in capsys.readouterr().err
    assert not Path("results").exists()


def test_bench_returns_2_when_there_is_no_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 2
    assert "edgevit export" in capsys.readouterr().err


def test_bench_keeps_an_old_result_when_not_forced(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench", str(bundle), "--threads", "1", "--out", "out.json"]
    assert main(arguments) == 0
    before = Path("out.json").read_bytes()
    assert main(arguments) == 2
    assert Path("out.json").read_bytes() == before
    assert "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    assert Path("out.json").read_bytes() != before


def test_bench_keeps_a_file_that_is_no_result_even_when_forced(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = bundle / "bundle.json"
    before = record.read_bytes()
    assert main(["bench", str(bundle), "--out", str(record), "--force"]) == 2
    assert record.read_bytes() == before
    assert "is no result of edgevit" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [
        ["--delegate", "libedgetpu.so.1"],
        ["--require-device"],
        ["--install"],
        ["--ssh-option", "-p 22"],
        ["--benchmark-model", "file"],
        ["--serial", "1"],
        ["--resume"],
    ],
)
def test_bench_returns_2_when_an_option_would_do_nothing(
    bundle: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(bundle), *option]) == 2
    assert f"{option[0]} means nothing without" in capsys.readouterr().err


def test_bench_measures_every_bundle_when_a_folder_of_them_is_named(bundle: Path) -> None:
    assert main(["bench", str(bundle.parent), "--threads", "1", "--out", "out.json"]) == 0
    assert [row.name for row in read_result(Path("out.json")).rows] == [bundle.name]


def test_bench_returns_2_when_the_named_data_is_no_data_set(bundle: Path) -> None:
    assert main(["bench", str(bundle), "--data", "nowhere"]) == 2


def test_evaluate_prints_the_paired_drop_when_the_run_is_there(
    bundle: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(bundle), "--data", str(dataset.root)]) == 0
    out = capsys.readouterr().out
    assert "top-1      100.00 %" in out
    assert "drop       −8.33 (" in out
    assert "agreement  91.67 %" in out


def test_evaluate_prints_json_when_asked(
    bundle: Path, dataset: Dataset, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run.root)
    assert main(["evaluate", str(bundle), "--data", str(dataset.root), "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["same_photos"] is True
    assert body["result"]["accuracy"]["image_count"] == 12
    assert body["result"]["paired"] is None
    assert body["result"]["unpaired_drop_points"] == pytest.approx(-100 / 12)


def test_predict_names_the_colour_when_given_photos(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for colour in ("red", "blue"):
        Image.fromarray(photo_of(colour)).save(f"{colour}.png")
    assert main(["predict", str(bundle), "red.png", "blue.png", "--top", "1", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["image"] for answer in answers] == ["red.png", "blue.png"]
    assert [answer["predictions"][0]["label"] for answer in answers] == ["red", "blue"]
    assert all(len(answer["predictions"]) == 1 for answer in answers)


def test_predict_goes_on_and_returns_2_when_a_photo_is_bad(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photo_of("green")).save("good.png")
    Path("bad.jpg").write_bytes(b"no photo")
    Path("folder").mkdir()
    assert main(["predict", str(bundle), "bad.jpg", "folder", "good.png"]) == 2
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "good.png"
    assert captured.out.splitlines()[1].endswith("%  green")
    assert len(captured.out.splitlines()) == 4
    assert captured.err.splitlines() == [
        "edgevit: error: bad.jpg is not an image. Give a JPEG, PNG, WebP …",
        "edgevit: error: folder is a folder. Give a photo",
    ]


def test_predict_names_sha256_when_the_bundle_was_changed(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(bundle)
    assert main(["predict", str(bundle), "photo.png"]) == 2
    assert "sha256" in capsys.readouterr().err


def test_bench_returns_2_when_a_path_is_mistyped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    assert main(["bench", str(tmp_path / "nope"), "--out", str(out)]) == 2
    assert "nope does not exist" in capsys.readouterr().err
    assert not out.exists()

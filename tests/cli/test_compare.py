from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgevit.cli.main import main
from edgevit.data.dataset import Dataset
from edgevit.preprocessing import Preprocessing
from edgevit.run import RUN_FILE, WEIGHTS_FILE, Run
from edgevit.spec import ModelSpec
from tests.bench.standin import COLOURS, make_dataset, make_run
from tests.compare.pairs import draw_noise, without_test_photos
from tests.pages.outline import outline_of
from tests.records import finish_run

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def other(tmp_path: Path, dataset: Dataset) -> Run:
    """A run with eight wrong answers of twelve; `run` has one."""
    return make_run(tmp_path / "runs" / "other", dataset, wrong=8)


def run_of_size(root: Path, dataset: Dataset, height: int, width: int) -> Run:
    """Write a run of another geometry whose answers are all right."""
    root.mkdir(parents=True)
    (root / WEIGHTS_FILE).write_bytes(b"never read here")
    logits = np.eye(3, dtype=np.float32)[dataset.split("test").labels()] * 5
    return finish_run(root, ModelSpec("colours", 3, Preprocessing(height, width)), dataset, logits)


def refusal(arguments: list[str | Path], capsys: Captured) -> str:
    """Run a comparison that is refused before it writes anything; returns its one line."""
    assert main(["compare", *map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not Path("compare.html").exists()
    return line.removeprefix("edgevit: error: ")


def test_compare_writes_the_page_and_the_tables_when_two_runs_are_given(
    run: Run, other: Run, dataset: Dataset, capsys: Captured
) -> None:
    arguments = ["compare", str(run.root), str(other.root), "--markdown", "out/compare.md"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"colours and other on 12 test photos of {dataset.root}"
    assert "  top-1, %                       91.67             33.33" in lines
    assert "  answers             saved by the run  saved by the run" in lines
    assert not any("top-5" in line for line in lines)  # of three classes it is always 100 %
    assert (
        "  verdict     colours is more accurate: 7 photos only it gets right, 0 only other "
        "(McNemar's p 0.016)."
    ) in lines
    assert "  colours right            4            7" in lines
    assert "  colours wrong            0            1" in lines
    assert "  green   4 of 4  0 of 4" in lines
    assert lines[-2:] == ["Written: compare.html", "Written: out/compare.md"]
    page = outline_of(Path("compare.html").read_text(encoding="utf-8"))
    assert page.count("img") == 7
    assert "colours is more accurate" in Path("out/compare.md").read_text(encoding="utf-8")


def test_compare_shows_the_drop_when_a_bundle_is_put_beside_its_run(
    run: Run, bundle: Path, capsys: Captured
) -> None:
    assert main(["compare", str(run.root), str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "difference  −8.33 (" in out
    assert "agreement   91.67 %: the same label for 11 of 12 test photos" in out
    assert "No difference is shown: 0 photos only colours gets right, 1 only colours.tflite" in out
    assert "computed here, 1 thread" in out


def test_compare_needs_no_run_when_bundles_came_from_another_machine(
    run: Run, bundle: Path, dataset: Dataset, tmp_path: Path, capsys: Captured
) -> None:
    other = tmp_path / "exports" / "colours.tflite.int8"
    shutil.copytree(bundle, other)
    record = other / "bundle.json"
    record.write_text(record.read_text().replace("colours.tflite.fp32", other.name))
    shutil.rmtree(run.root)
    moved = dataset.root.rename(tmp_path / "moved")
    assert main(["compare", str(bundle), str(other), "--data", str(moved)]) == 0
    assert "Both give the same label to each of 12 test photos." in capsys.readouterr().out


def test_compare_prints_one_document_when_json_is_asked_for(
    run: Run, other: Run, capsys: Captured
) -> None:
    assert main(["compare", str(run.root), str(other.root), "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["first"]["name"] == "colours"
    assert body["second"]["accuracy"]["top1"] == pytest.approx(1 / 3)
    assert body["outcomes"] == {
        "both_right": 4,
        "only_first": 7,
        "only_second": 0,
        "both_wrong": 1,
    }
    assert body["mcnemar_p"] == pytest.approx(2 / 2**7)
    assert [item["label"] for item in body["classes"]] == list(COLOURS)
    assert len(body["disagreements"]) == 7
    assert body["disagreements"][0]["right"] == "first"
    assert Path(body["disagreements"][0]["photo"]).is_file()
    assert body["written"] == ["compare.html"]
    assert Path("compare.html").is_file()


def test_class_is_unknown_when_it_has_no_test_photo(tmp_path: Path, capsys: Captured) -> None:
    dataset = without_test_photos(make_dataset(tmp_path / "data"), label=2)
    first, second = (
        make_run(tmp_path / "runs" / name, dataset, wrong)
        for name, wrong in (("first", 1), ("second", 3))
    )
    arguments = ["compare", str(first.root), str(second.root), "--json"]
    assert main(arguments) == 0
    red = json.loads(capsys.readouterr().out)["classes"][2]
    assert (red["label"], red["photo_count"], red["first_top1"]) == ("red", 0, None)
    assert main([*arguments[:-1], "--force"]) == 0
    assert "\nWithout a test photo, so unknown: 1 (red)\n" in capsys.readouterr().out


def test_numbers_are_printed_when_the_photos_are_gone(
    run: Run, other: Run, dataset: Dataset, capsys: Captured
) -> None:
    shutil.rmtree(dataset.root / "photos")
    assert main(["compare", str(run.root), str(other.root)]) == 0
    assert "difference  +58.33 (" in capsys.readouterr().out
    assert Path("compare.html").read_text(encoding="utf-8").count("(the photo is gone)") == 7


def test_compare_warns_when_one_model_learned_from_other_photos(
    bundle: Path, dataset: Dataset, tmp_path: Path, capsys: Captured
) -> None:
    elsewhere = make_dataset(tmp_path / "elsewhere", draw=draw_noise)
    stranger = make_run(tmp_path / "runs" / "stranger", elsewhere)
    assert main(["compare", str(stranger.root), str(bundle)]) == 0
    assert (
        f"  note        colours.tflite.fp32 was trained on another data set ({dataset.root}): its "
        "training photos may be among these."
    ) in capsys.readouterr().out.splitlines()


def test_compare_takes_two_sizes_when_it_may(
    run: Run, dataset: Dataset, tmp_path: Path, capsys: Captured
) -> None:
    larger = run_of_size(tmp_path / "runs" / "larger", dataset, 32, 32)
    line = refusal([run.root, larger.root], capsys)
    assert line == (
        "colours takes photos as 16×16 crop bilinear, larger as 32×32 crop bilinear. Add "
        "--across-sizes: each model then sees the same photos at its own size"
    )
    assert main(["compare", str(run.root), str(larger.root), "--across-sizes"]) == 0
    assert "own size: colours at 16×16 and larger at 32×32." in capsys.readouterr().out


def test_compare_returns_2_when_the_aspect_ratios_differ(
    run: Run, dataset: Dataset, tmp_path: Path, capsys: Captured
) -> None:
    wide = run_of_size(tmp_path / "runs" / "wide", dataset, 16, 32)
    line = refusal([run.root, wide.root, "--across-sizes"], capsys)
    assert "colours takes photos as 16×16 crop bilinear, wide as 16×32 crop bilinear" in line


@pytest.mark.parametrize(
    ("colours", "text"),
    [
        (("blue", "green", "rot"), "label 2 is 'red' in colours and 'rot' in stranger"),
        (("blue", "red", "green"), "label 1 is 'green' in colours and 'red' in stranger: the same"),
    ],
)
def test_compare_returns_2_when_the_labels_differ(
    run: Run, tmp_path: Path, colours: tuple[str, ...], text: str, capsys: Captured
) -> None:
    data = make_dataset(tmp_path / "elsewhere", colours=colours, draw=draw_noise)
    stranger = make_run(tmp_path / "runs" / "stranger", data)
    assert text in refusal([run.root, stranger.root], capsys)


def test_compare_returns_2_when_a_model_meets_itself(
    run: Run, tmp_path: Path, capsys: Captured
) -> None:
    assert "colours is given twice" in refusal([run.root, run.root], capsys)
    shutil.copytree(run.root, tmp_path / "copy")
    assert "are the same run" in refusal([run.root, tmp_path / "copy"], capsys)


def test_compare_returns_2_when_a_folder_is_no_model(
    run: Run, other: Run, capsys: Captured
) -> None:
    assert "nowhere does not exist" in refusal([run.root, "nowhere"], capsys)
    assert "is neither a run nor a bundle" in refusal([".", run.root], capsys)
    (other.root / WEIGHTS_FILE).write_bytes(b"changed")
    assert WEIGHTS_FILE in refusal([run.root, other.root], capsys)
    (other.root / RUN_FILE).unlink()
    (other.root / "checkpoint").mkdir()
    assert "is not finished" in refusal([run.root, other.root], capsys)


def test_compare_returns_2_when_the_photos_cannot_be_used(
    run: Run, other: Run, dataset: Dataset, tmp_path: Path, capsys: Captured
) -> None:
    models = [run.root, other.root]
    empty = make_dataset(tmp_path / "empty", val_photos_per_colour=0).root
    line = refusal([*models, "--data", empty, "--split", "val"], capsys)
    assert line.startswith(f"the val split of {empty} is empty. Choose another --split")
    strange = make_dataset(tmp_path / "strange", colours=("a", "bb", "ccc"), draw=draw_noise).root
    assert "class 0 is 'a' in the data set" in refusal([*models, "--data", strange], capsys)
    assert "is no prepared data set" in refusal([*models, "--data", tmp_path], capsys)
    dataset.root.rename(tmp_path / "moved")
    line = refusal(models, capsys)
    assert line == (
        f"the photos that colours was trained on are not at {dataset.root}. Copy the data set here "
        "and name it: --data DIR"
    )


def test_compare_keeps_old_files_when_not_forced(run: Run, other: Run, capsys: Captured) -> None:
    Path("old.md").write_text("precious")
    arguments: list[str | Path] = [run.root, other.root, "--markdown", "old.md"]
    assert "old.md exists already. Choose another name, or add --force" in refusal(
        arguments, capsys
    )
    assert Path("old.md").read_text() == "precious"
    assert main(["compare", *map(str, arguments), "--force"]) == 0
    assert Path("old.md").read_text() != "precious"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-o", "folder"], "folder is a folder"),
        (["-o", "same", "--markdown", "same"], "are both same"),
        (["-o", "file/compare.html"], "cannot use"),
        (["--threads", "0"], "--threads"),
        (["--threads", "4096"], "4096 threads"),
        (["--split", "all"], "--split"),
    ],
)
def test_compare_returns_2_when_an_option_is_bad(
    run: Run, other: Run, arguments: list[str], text: str, capsys: Captured
) -> None:
    Path("folder").mkdir()
    Path("file").touch()
    assert text in refusal([run.root, other.root, *arguments], capsys)


def test_compare_returns_2_when_the_output_lies_in_a_model(
    run: Run, other: Run, capsys: Captured
) -> None:
    before = (run.root / RUN_FILE).read_bytes()
    arguments: list[str | Path] = [run.root, other.root, "-o", run.root / RUN_FILE, "--force"]
    assert f"lies in the folder of {run.root}" in refusal(arguments, capsys)
    assert (run.root / RUN_FILE).read_bytes() == before

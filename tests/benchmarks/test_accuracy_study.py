from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import stress
from accuracy import main
from accuracy_exports import Measured
from accuracy_report import KIND, SCHEMA_VERSION, Row, Study
from accuracy_runs import Training
from click.testing import CliRunner
from PIL import Image

from edgevit import documents
from edgevit.errors import InputError
from edgevit.run import Run

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "accuracy.py"
FORMATS = ("tflite", "onnx", "openvino")
OBVIOUS = "TFLiteConverter, full int8"
# Few photos and epochs, and outliers that would be cruel to a model that is to be shipped.
SMALL = (
    *("--seeds", "0", "--classes", "8", "--per-class", "50", "--epochs", "8"),
    *("--outliers", "80", "--peers", "tflite-int8"),
)
INT8_AGREEMENT = 0.95  # four of 80 photos
INT8_DB, FULL_DB = 25.0, 15.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the study has been made."""
    made = tmp_path_factory.mktemp("accuracy")
    run_study(made, "study.md")
    return made


@pytest.fixture(scope="module")
def rows(folder: Path) -> dict[str, Row]:
    study = documents.read(folder / "out" / "study.json", KIND, SCHEMA_VERSION, Study)
    return {row.name: row for run in study.runs for row in run.rows}


def run_study(folder: Path, name: str, *options: str) -> str:
    # Scripts find each other in their own folder, which this variable would shut out.
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONSAFEPATH"}
    places = ("--work", str(folder / "work"), "--out", str(folder / "out" / name))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *SMALL, *places, *options],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def both(row: Row) -> tuple[Measured, Measured]:
    """Return what was measured of the run as trained and of its variant."""
    assert row.plain.measured is not None, row.plain.error
    assert row.outlier is not None
    assert row.outlier.measured is not None, row.outlier.error
    return row.plain.measured, row.outlier.measured


@pytest.mark.slow
def test_study_writes_table_picture_and_numbers_when_run(
    folder: Path, rows: dict[str, Row]
) -> None:
    text = (folder / "out" / "study.md").read_text()
    assert "80 test photos of 8 classes" in text
    assert "one photo is 1.25 points" in text
    assert all(f"| {name} |" in text for name in rows)
    with Image.open(folder / "out" / "study.png") as image:
        image.verify()
    assert set(rows) == {
        *(f"edgevit {name} {bits}" for name in FORMATS for bits in ("fp16", "int8")),
        "edgevit tflite int8-full",
        OBVIOUS,
    }


@pytest.mark.slow
def test_float_answers_stay_when_exported_as_fp16(rows: dict[str, Row]) -> None:
    for name in FORMATS:
        row = rows[f"edgevit {name} fp16"]
        assert row.plain.met
        assert [found.drop.agreement for found in both(row)] == [1.0, 1.0]


@pytest.mark.slow
def test_hardly_an_answer_changes_when_exported_as_int8(rows: dict[str, Row]) -> None:
    for name, least_db in (
        *((f"edgevit {name} int8", INT8_DB) for name in FORMATS),
        ("edgevit tflite int8-full", FULL_DB),
    ):
        for found in both(rows[name]):
            assert found.drop.agreement >= INT8_AGREEMENT
            assert found.sqnr_db >= least_db


@pytest.mark.slow
def test_outlier_variant_is_the_same_in_float_when_made(folder: Path) -> None:
    (root,) = (folder / "work").glob("*/runs/*.outliers80")
    record = stress.read_outliers(root)
    assert record.max_difference < stress.TOLERANCE
    # Of itself that says little of a variant that is not another one.
    before, after = (Run.load(path).weights() for path in (root.with_suffix(""), root))
    assert sum(not np.array_equal(before[name], after[name]) for name in before) == 32


@pytest.mark.slow
def test_outliers_cost_the_obvious_file_more_when_both_are_integers_throughout(
    rows: dict[str, Row],
) -> None:
    ours, obvious = both(rows["edgevit tflite int8-full"]), both(rows[OBVIOUS])
    assert obvious[1].drop.agreement < ours[1].drop.agreement
    lost_db = [plain.sqnr_db - outlier.sqnr_db for plain, outlier in (ours, obvious)]
    assert lost_db[1] > lost_db[0] + 3


@pytest.mark.slow
def test_finished_runs_and_obvious_files_are_kept_when_run_again(folder: Path) -> None:
    said = run_study(folder, "again.md", "--formats", "tflite", "--precisions", "int8")
    assert "Exporting" in said
    for again in ("Drawing", "Training", "Making vit-tiny.seed0 tflite-int8"):
        assert again not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--models", "vit-huge"), "vit-huge"),
        (("--formats", "coreml"), "coreml"),
        (("--precisions", "int3"), "int3"),
        (("--peers", "tflite-int3"), "tflite-int3"),
        (("--seeds", "one"), "give numbers"),
        (("--data", "nowhere"), "no prepared data set"),
    ],
)
def test_study_refuses_before_any_work_when_a_name_is_unknown(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    result = CliRunner().invoke(main, [*arguments, "--work", str(work), "--no-peers"])
    assert result.exit_code != 0
    assert message in result.output
    assert not work.exists()


def test_finished_run_is_refused_when_it_was_trained_otherwise(run: Run) -> None:
    Training().check(run, 0)
    Training(epochs=1).check(run, 0)
    with pytest.raises(InputError, match="seed 0, not 1"):
        Training().check(run, 1)
    with pytest.raises(InputError, match="epochs 1, not 3"):
        Training(epochs=3).check(run, 0)
    with pytest.raises(InputError, match="mixed precision False, not True"):
        Training(mixed_precision=True).check(run, 0)
    with pytest.raises(InputError, match="weights random, not trunk"):
        Training(weights={run.record.spec.model: "trunk.h5"}).check(run, 0)

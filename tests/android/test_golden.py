"""The golden vectors in tests/golden are what Python computes today."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from edgevit.bench.report.entries import read_report
from edgevit.bench.report.markdown import build_markdown
from edgevit.bench.report.page import build_page
from edgevit.bench.result import read_result, write_result
from edgevit.preprocessing import Preprocessing
from tests.android import golden


def test_golden_files_are_the_committed_ones_when_made_again() -> None:
    different = golden.differences(golden.FOLDER, golden.all_files())
    assert not different, (
        f"{len(different)} files differ, such as {different[:3]}. If Python is right, write them "
        "anew and make the core agree: python -m tests.android.golden"
    )


def test_difference_is_found_when_a_byte_a_file_or_a_name_changes(tmp_path: Path) -> None:
    files = {"a": b"1", "b/c": b"2"}
    (tmp_path / "a").write_bytes(b"1")
    assert golden.differences(tmp_path, files) == ["b/c"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"3")
    (tmp_path / "d").write_bytes(b"")
    assert golden.differences(tmp_path, files) == ["b/c", "d"]


def test_golden_files_stay_small_when_counted() -> None:
    sizes = [path.stat().st_size for path in golden.FOLDER.rglob("*") if path.is_file()]
    assert len(sizes) >= 20
    assert sum(sizes) < 1_500_000


def test_golden_cases_cover_what_they_should_when_read() -> None:
    def column(table: str, name: str) -> list[str]:
        header, *rows = (golden.FOLDER / f"{table}.tsv").read_text(encoding="utf-8").splitlines()
        place = header.split("\t").index(name)
        return [row.split("\t")[place] for row in rows]

    assert set(column("preprocessing", "mode")) == {"crop", "squash"}
    assert set(column("preprocessing", "filter")) == {"bilinear", "bicubic"}
    assert set(column("camera", "degrees")) == {"0", "90", "180", "270"}
    assert {"1", "2"} == set(column("camera", "u_pixel"))
    assert set(column("rotation", "value")) >= {str(orientation) for orientation in range(1, 9)}
    assert len(column("preprocessing", "case")) + len(column("camera", "case")) >= 30


def test_drawn_noise_is_whole_when_looked_at() -> None:
    # Every value, in nearly equal numbers: no half of the range is left out.
    counts = np.bincount(golden.noise(256 * 400, 1), minlength=256)
    assert counts.min() > 300
    assert counts.max() < 500


def test_camera_planes_are_read_rightly_when_taken_apart_by_hand() -> None:
    planes = golden.Planes("nv21", 5, 3, seed=1)
    (_, _), (u_at, u_size), (v_at, v_size) = planes.parts
    assert u_at == v_at + 1
    data = np.frombuffer(planes.data, np.uint8)
    row = planes.strides[1][0]
    for plane, at, size in ((planes.u, u_at, u_size), (planes.v, v_at, v_size)):
        found = [[data[at + y * row + 2 * x] for x in range(3)] for y in range(2)]
        assert np.array_equal(found, plane)
        assert at + size <= len(data)


def test_python_refuses_no_golden_photo_size_when_extreme() -> None:
    file = io.BytesIO()
    Image.fromarray(golden.noise_image(1, 301, seed=1)).save(file, "PNG")
    assert Preprocessing(16, 24).pixels(file.getvalue()).shape == (16, 24, 3)


def test_phone_result_is_read_and_merged_when_the_app_wrote_it(tmp_path: Path) -> None:
    document = golden.FOLDER / "bench" / "document.json"
    result = read_result(document)
    assert result.tool == "edgevit android demo"
    assert result.target == "phone"
    assert result.machine.board == "Google Pixel 8"
    assert [row.device for row in result.rows] == ["cpu", "gpu TFLite GPU delegate"]
    write_result(tmp_path / "again.json", result)
    assert (tmp_path / "again.json").read_bytes() == document.read_bytes()


def test_phone_result_is_on_the_page_when_reported_beside_another_device(tmp_path: Path) -> None:
    from tests.bench import results

    write_result(tmp_path / "pi.json", results.result())
    report = read_report([tmp_path / "pi.json", golden.FOLDER / "bench" / "document.json"])
    assert len(report.entries) == 4
    assert len(report.chains) == 1, "the phone's rows are of the same run"
    page, table = build_page(report), build_markdown(report)
    for text in (page, table):
        assert "Pixel 8" in text
    assert "thermal status 3 (severe)" in page

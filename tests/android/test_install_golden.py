from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from edgevit import storage
from edgevit.android.golden import MAX_PHOTOS, SCORE_TOLERANCE
from edgevit.data.dataset import Dataset
from edgevit.metrics import top_k
from edgevit.runtimes.classifier import open_classifier
from tests.android.installs import Said, install, installed, properties
from tests.conftest import save_photo


def test_golden_answers_are_the_runtimes_own_when_installed(bundle: Path, project: Path) -> None:
    assert install(bundle, project) == 0
    folder = installed(project) / "golden"
    expected = properties(folder / "expected.properties")
    classifier = open_classifier(bundle, 1)
    assert expected["tolerance"] == str(SCORE_TOLERANCE)
    assert int(expected["count"]) == MAX_PHOTOS
    for index in range(MAX_PHOTOS):
        photo = (folder / expected[f"{index}.file"]).read_bytes()
        pixels = classifier.spec.preprocessing.pixels(photo)
        scores = classifier.session.invoke(pixels[None])
        best = top_k(scores, 5)[0]
        assert expected[f"{index}.sha256"] == storage.sha256_of_bytes(photo)
        assert expected[f"{index}.pixels_sha256"] == storage.sha256_of_bytes(pixels.tobytes())
        assert expected[f"{index}.best"] == ",".join(map(str, best))
        found = np.array(expected[f"{index}.scores"].split(","), dtype=np.float32)
        assert np.array_equal(found, scores[0, best])


def test_golden_photos_are_the_runs_test_photos_when_they_are_here(
    bundle: Path, project: Path, dataset: Dataset
) -> None:
    assert install(bundle, project) == 0
    template = json.loads((installed(project) / "bench_template.json").read_text(encoding="utf-8"))
    evaluation = template["rows"][0]["measurement"]["evaluation"]
    assert evaluation["same_photos"] is True
    assert evaluation["dataset_sha256"] == dataset.sha256
    best = properties(installed(project) / "golden/expected.properties")
    tops = [best[f"{index}.best"].split(",")[0] for index in range(MAX_PHOTOS)]
    assert set(tops) == {"0", "1", "2"}, "photos of every class"


def test_golden_photos_are_drawn_when_there_are_none(
    bundle: Path, project: Path, dataset: Dataset, capsys: Said
) -> None:
    shutil.rmtree(dataset.root)
    assert install(bundle, project) == 0
    assert "8 golden photos from drawn pictures" in capsys.readouterr().out
    template = json.loads((installed(project) / "bench_template.json").read_text(encoding="utf-8"))
    assert template["rows"][0]["measurement"]["evaluation"]["same_photos"] is False


def test_golden_photos_are_the_users_when_named(
    bundle: Path, project: Path, tmp_path: Path
) -> None:
    plain = save_photo(tmp_path / "mine/a.jpg")
    turned = tmp_path / "mine/b.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(plain).save(turned, exif=exif)
    save_photo(tmp_path / "mine/c.webp")
    profiled = tmp_path / "mine/d.jpg"
    Image.open(plain).save(profiled, icc_profile=b"some profile")
    assert install(bundle, project, "--images", tmp_path / "mine", "--images", plain) == 0
    folder = installed(project) / "golden"
    expected = properties(folder / "expected.properties")
    files = [expected[f"{index}.file"] for index in range(int(expected["count"]))]
    assert files == ["00.png", "01.jpg", "02.png", "03.png", "04.png"]
    # With its orientation: the phone must apply it.
    assert (folder / "01.jpg").read_bytes() == turned.read_bytes()
    assert "1.pixels_sha256" not in expected, "decoders of JPEG may differ by a step"
    assert "0.pixels_sha256" in expected
    with Image.open(folder / "00.png") as png, Image.open(plain) as jpeg:
        assert png.tobytes() == jpeg.tobytes()
    with Image.open(folder / "03.png") as png:
        assert "icc_profile" not in png.info


def test_golden_photo_is_shrunk_when_it_is_large(
    bundle: Path, project: Path, tmp_path: Path
) -> None:
    file = tmp_path / "large.jpg"
    Image.new("RGB", (3000, 2000), (10, 200, 30)).save(file)
    assert install(bundle, project, "--images", file) == 0
    photo = (installed(project) / "golden/00.png").read_bytes()
    with Image.open(io.BytesIO(photo)) as image:
        assert image.size == (1024, 683)

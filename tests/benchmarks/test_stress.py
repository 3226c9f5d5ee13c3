from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import stress

from edgevit.data.dataset import Dataset
from edgevit.errors import CheckFailedError
from edgevit.run import REFERENCE_FILE, Run, Weights
from tests.export.runs import make_photos, make_run

BLOCKS, WIDTH = 4, 128  # of vit-tiny


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_photos(tmp_path_factory.mktemp("stress"))


@pytest.fixture(scope="module")
def vit(photos: Dataset) -> Run:
    return make_run(photos.root.parent / "runs" / "vit-tiny", photos)


def write(run: Run, photos: Dataset, root: Path, factor: float = 40, seed: int = 0) -> Run:
    stress.write_outliers(run.root, photos.root, root, factor, seed)
    return Run.load(root)


def gains(weights: Weights) -> dict[str, np.ndarray]:
    return {name: value for name, value in weights.items() if "LayerNorm_" in name}


def test_outliers_stand_in_six_channels_of_every_norm_when_a_vit_is_stressed(vit: Run) -> None:
    before = vit.weights()
    after = stress.with_outliers(before, 40, seed=0)
    changed = {
        name: after[name] / before[name]
        for name in gains(before)
        if not np.array_equal(after[name], before[name])
    }
    assert len(changed) == BLOCKS * 2 * 2  # gain and bias of two norms
    for ratio in changed.values():
        raised = ratio[ratio > 1.5]
        assert len(raised) == stress.CHANNELS
        assert (raised > 19.9).all()
        assert (raised < 60.1).all()
        assert np.sum(ratio == 1) == WIDTH - stress.CHANNELS


def test_readers_of_a_norm_undo_its_outliers_when_a_vit_is_stressed(vit: Run) -> None:
    before = vit.weights()
    after = stress.with_outliers(before, 40, seed=0)
    norms = stress.norms_of(before)
    assert [len(norm.kernels) for norm in norms] == [3, 1] * BLOCKS
    for norm in norms:
        factors = after[f"{norm.path}/gamma"] / before[f"{norm.path}/gamma"]
        for name in norm.kernels:
            np.testing.assert_allclose(
                after[name] * factors.reshape(-1, *[1] * (after[name].ndim - 1)),
                before[name],
                rtol=1e-5,
            )


def test_stressed_run_is_whole_and_same_in_float_when_written(
    vit: Run, photos: Dataset, tmp_path: Path
) -> None:
    stressed = write(vit, photos, tmp_path / "stressed")
    assert stressed.record.labels == vit.record.labels
    assert (stressed.root / REFERENCE_FILE).read_bytes() == (vit.root / REFERENCE_FILE).read_bytes()
    record = stress.read_outliers(stressed.root)
    assert record.run_sha256 == vit.sha256
    assert 0 < record.max_difference < stress.TOLERANCE


def test_stressed_run_is_kept_when_it_would_come_out_the_same(
    vit: Run, photos: Dataset, tmp_path: Path
) -> None:
    first = write(vit, photos, tmp_path / "stressed")
    made = (first.root / "run.json").stat().st_ino
    assert (write(vit, photos, first.root).root / "run.json").stat().st_ino == made
    other = write(vit, photos, first.root, factor=10)
    assert (other.root / "run.json").stat().st_ino != made
    assert stress.read_outliers(other.root).factor == 10


def test_stressed_run_is_refused_when_its_answers_are_others(
    vit: Run, photos: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_sided(weights: Weights, factor: float, seed: int) -> Weights:
        return {**weights, **gains(stressed(weights, factor, seed))}

    stressed = stress.with_outliers
    monkeypatch.setattr(stress, "with_outliers", one_sided)
    with pytest.raises(CheckFailedError, match="changed a probability"):
        write(vit, photos, tmp_path / "stressed")
    assert not (tmp_path / "stressed").exists()


def test_outliers_fit_nothing_when_the_model_has_no_such_norms(vit: Run) -> None:
    assert stress.fits(vit)
    assert stress.norms_of(["block1_conv1/kernel", "head_norm_1/gamma"]) == ()

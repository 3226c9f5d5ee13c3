from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.training import checkpoint
from edgevit.training.checkpoint import Position, Tensors
from edgevit.training.history import EpochRow
from tests.training.short_run import files_of_at_most
from tests.training.tinynet import settings_for

HISTORY = (EpochRow(1, 1.25, 0.5, None, None, 0.1, 2.0),)


def tensors(value: float) -> Tensors:
    return {
        "model/00000": np.full((2, 3), value, dtype=np.float32).T,
        "model/00001": np.array([7, 2**32 - 1], dtype=np.uint32),
        "optimizer/00000": np.array(2**40, dtype=np.int64),
    }


def write(folder: Path, dataset: Dataset, epoch: int) -> None:
    position = Position(epoch=epoch, step=3, loss_sum=0.1 + 0.2)
    checkpoint.write_checkpoint(
        folder, settings_for(dataset), position, HISTORY, tensors(float(epoch))
    )


def test_checkpoint_comes_back_with_its_dtypes_when_read(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    write(tmp_path, tiny_dataset, 1)

    record = checkpoint.read_record(tmp_path)
    assert record.settings == settings_for(tiny_dataset)
    assert record.position == Position(epoch=1, step=3, loss_sum=0.1 + 0.2)
    assert record.history == HISTORY
    for name, array in checkpoint.read_tensors(tmp_path, record).items():
        assert array.dtype == tensors(1.0)[name].dtype
        np.testing.assert_array_equal(array, tensors(1.0)[name])


def test_one_tensor_file_is_left_when_checkpoints_follow_each_other(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    for epoch in (1, 2, 3):
        write(tmp_path, tiny_dataset, epoch)

    assert len(list((tmp_path / "checkpoint").iterdir())) == 2
    assert checkpoint.read_record(tmp_path).position.epoch == 3


def test_older_checkpoint_is_whole_when_the_next_was_cut_off(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    write(tmp_path, tiny_dataset, 1)
    (tmp_path / "checkpoint" / "state-000002.safetensors").write_bytes(b"cut off")
    (tmp_path / "checkpoint" / ".state-000002.safetensors.partial-1").write_bytes(b"cut off")

    record = checkpoint.read_record(tmp_path)
    assert checkpoint.read_tensors(tmp_path, record).keys() == tensors(1.0).keys()
    write(tmp_path, tiny_dataset, 2)
    assert len(list((tmp_path / "checkpoint").iterdir())) == 2


def test_damage_is_named_when_the_tensor_file_was_changed(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    write(tmp_path, tiny_dataset, 1)
    (path,) = (tmp_path / "checkpoint").glob("*.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    with pytest.raises(InputError, match="was changed"):
        checkpoint.read_tensors(tmp_path, checkpoint.read_record(tmp_path))


def test_older_checkpoint_is_kept_when_the_disk_is_full(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    write(tmp_path, tiny_dataset, 1)

    with files_of_at_most(100), pytest.raises(OSError, match="File too large"):
        write(tmp_path, tiny_dataset, 2)

    record = checkpoint.read_record(tmp_path)
    assert record.position.epoch == 1
    assert checkpoint.read_tensors(tmp_path, record).keys() == tensors(1.0).keys()


@pytest.mark.parametrize("names", [(), ("a.safetensors", "b.safetensors")])
def test_checkpoint_is_refused_when_it_has_not_one_tensor_file(
    tiny_dataset: Dataset, tmp_path: Path, names: tuple[str, ...]
) -> None:
    write(tmp_path, tiny_dataset, 1)
    path = checkpoint.checkpoint_path(tmp_path)
    document = json.loads(path.read_text())
    (file,) = document["files"].values()
    document["files"] = dict.fromkeys(names, file)
    path.write_text(json.dumps(document))

    with pytest.raises(InputError, match=f"1 tensor file, {len(names)} are recorded"):
        checkpoint.read_record(tmp_path)


def test_full_disk_is_an_os_error_with_its_number_when_writing_fails() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    error = checkpoint._as_os_error(
        OSError("Error while serializing: I/O error: No space left on device (os error 28)"),
        Path("x"),
    )

    assert error.errno == 28

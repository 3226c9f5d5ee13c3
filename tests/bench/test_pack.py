from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgevit import storage
from edgevit.bench import pack as packing
from edgevit.bench.evaluation import DatasetPhotos
from edgevit.bench.pack import PACK_FILE, open_pack, write_pack
from edgevit.bundle import Bundle
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.run import Run
from tests.bench.standin import SPEC, make_bundle, make_dataset, make_run


@pytest.fixture
def pack(tmp_path: Path, dataset: Dataset, bundle: Path) -> Path:
    path = tmp_path / "device" / "bench.zip"
    write_pack(path, [Bundle.load(bundle)], DatasetPhotos(dataset))
    return path


def rewritten(pack: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """Write the pack's members again, after a change."""
    with zipfile.ZipFile(pack) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(pack, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return pack


def refusal(pack: Path) -> str:
    before = sorted(pack.parent.iterdir())
    with pytest.raises(InputError) as caught, open_pack(pack):
        pass
    assert sorted(pack.parent.iterdir()) == before, "something was left behind"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_open_pack_gives_bundles_photos_and_answers_when_all_else_is_gone(
    pack: Path, dataset: Dataset, run: Run, bundle: Path
) -> None:
    labels = dataset.split("test").labels()
    for folder in (dataset.root, run.root, bundle):
        shutil.rmtree(folder)
    with open_pack(pack) as opened:
        (path,) = opened.bundles
        assert Bundle.load(path).name == "colours.tflite.fp32"
        np.testing.assert_array_equal(opened.evaluation.labels, labels)
        assert opened.evaluation.pixels(SPEC.preprocessing)[:].any()
        assert packing.find_reference(Bundle.load(path)).logits.shape == (12, 3)
        assert opened.evaluation.source == str(pack)
    assert list(pack.parent.iterdir()) == [pack]


def test_write_pack_holds_no_weights_of_the_run(pack: Path) -> None:
    with zipfile.ZipFile(pack) as archive:
        assert not [name for name in archive.namelist() if "safetensors" in name]


def test_write_pack_leaves_nothing_when_the_run_is_gone(
    tmp_path: Path, dataset: Dataset, run: Run, bundle: Path
) -> None:
    shutil.rmtree(run.root)
    target = tmp_path / "out" / "bench.zip"
    with pytest.raises(InputError, match="the run colours is not here"):
        write_pack(target, [Bundle.load(bundle)], DatasetPhotos(dataset))
    assert list(target.parent.iterdir()) == []


def test_write_pack_keeps_an_old_file_when_not_forced(
    pack: Path, dataset: Dataset, bundle: Path
) -> None:
    before = pack.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        write_pack(pack, [Bundle.load(bundle)], DatasetPhotos(dataset))
    assert pack.read_bytes() == before
    write_pack(pack, [Bundle.load(bundle)], DatasetPhotos(dataset, image_limit=3), force=True)
    with open_pack(pack) as opened:
        assert len(opened.evaluation.labels) == 3


def test_write_pack_refuses_when_two_bundles_share_a_name(
    tmp_path: Path, dataset: Dataset, run: Run, bundle: Path
) -> None:
    other = make_bundle(tmp_path / "elsewhere" / bundle.name, run)
    with pytest.raises(InputError, match="two bundles are called"):
        write_pack(
            tmp_path / "p.zip", [Bundle.load(bundle), Bundle.load(other)], DatasetPhotos(dataset)
        )


def test_write_pack_refuses_when_the_photos_have_other_classes(
    tmp_path: Path, bundle: Path
) -> None:
    photos = DatasetPhotos(make_dataset(tmp_path / "other", colours=("red", "green", "blue")))
    with pytest.raises(InputError, match="class 0 is 'red'"):
        write_pack(tmp_path / "p.zip", [Bundle.load(bundle)], photos)


def test_open_pack_refuses_when_it_is_no_zip_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "bench.zip"
    path.write_bytes(b"PK but not really")
    assert "no intact zip file" in refusal(path)
    path.write_bytes(b"")
    assert "no intact zip file" in refusal(path)


def test_open_pack_refuses_when_the_file_is_cut_off(pack: Path) -> None:
    pack.write_bytes(pack.read_bytes()[:-1000])
    assert "no intact zip file" in refusal(pack)


def test_open_pack_refuses_when_a_byte_was_changed(pack: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        name = next(name for name in members if name.endswith(".tflite"))
        members[name] = members[name][:-1] + bytes([members[name][-1] ^ 1])

    assert "is not what its pack.json records" in refusal(rewritten(pack, change))


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "exports/../../evil", "C:\\evil", "..\\evil"]
)
def test_open_pack_refuses_when_a_path_leads_out(pack: Path, name: str) -> None:
    message = refusal(rewritten(pack, lambda members: members.update({name: b"evil"})))
    assert "leads out of the pack" in message
    assert not (pack.parent.parent / "evil").exists()


def test_open_pack_refuses_when_a_member_is_a_link(pack: Path) -> None:
    with zipfile.ZipFile(pack, "a") as archive:
        member = zipfile.ZipInfo("exports/link")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, "/etc/passwd")
    assert "no plain file" in refusal(pack)


def test_open_pack_refuses_when_a_member_is_not_listed(pack: Path) -> None:
    changed = rewritten(pack, lambda members: members.update({"exports/extra": b"1"}))
    assert "'exports/extra' is not both in the file and in its pack.json" in refusal(changed)


def test_open_pack_refuses_when_a_member_is_enormous(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MAX_MEMBER_BYTES", 1000)
    assert "more than any file of a pack" in refusal(pack)


def test_open_pack_refuses_when_ten_gigabytes_are_declared(pack: Path) -> None:
    def claim(data: bytes) -> bytes:
        """Write 10 GB into the ZIP64 field of a member that is appended."""
        return data

    with zipfile.ZipFile(pack, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("evaluation/zeros.npy", b"\0" * 1000)
        archive.infolist()[-1].file_size = 10_000_000_000  # what the central directory will say
    assert "10,000,000,000 bytes" in refusal(pack)


def test_open_pack_stops_at_the_recorded_size_when_a_member_is_longer(pack: Path) -> None:
    def lengthen(members: dict[str, bytes]) -> None:
        name = next(name for name in members if name.endswith("labels.txt"))
        members[name] += b"\0" * 5_000_000

    assert "is not what its pack.json records" in refusal(rewritten(pack, lengthen))


def test_open_pack_refuses_when_the_disk_is_too_small(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil._ntuple_diskusage(10**9, 10**9, 1000)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "1,000 are free" in refusal(pack)


def test_open_pack_refuses_when_the_reference_is_of_another_run(
    tmp_path: Path, pack: Path, dataset: Dataset
) -> None:
    other = make_run(tmp_path / "again" / "colours", dataset, wrong=3)

    def exchange(members: dict[str, bytes]) -> None:
        record = json.loads(members[PACK_FILE])
        for name in ("run.json", "reference.npz"):
            members[f"runs/colours/{name}"] = (other.root / name).read_bytes()
            listed = record["files"][f"runs/colours/{name}"]
            listed["sha256"] = storage.sha256_of_file(other.root / name)
            listed["size_bytes"] = (other.root / name).stat().st_size
        members[PACK_FILE] = json.dumps(record).encode()

    message = refusal(rewritten(pack, exchange))
    assert (
        "the reference of colours is not the one that colours.tflite.fp32 was exported" in message
    )


def test_open_pack_refuses_when_the_answers_were_exchanged(pack: Path) -> None:
    def exchange(members: dict[str, bytes]) -> None:
        record = json.loads(members[PACK_FILE])
        data = members["runs/colours/reference.npz"][:-1] + b"x"
        members["runs/colours/reference.npz"] = data
        record["files"]["runs/colours/reference.npz"]["sha256"] = storage.sha256_of_bytes(data)
        members[PACK_FILE] = json.dumps(record).encode()

    assert "reference.npz was changed" in refusal(rewritten(pack, exchange))


@pytest.mark.parametrize("name", ["a:b", "back\\slash"])
def test_write_pack_refuses_when_a_folder_could_not_be_unpacked(
    tmp_path: Path, dataset: Dataset, run: Run, name: str
) -> None:
    odd = Bundle.load(make_bundle(tmp_path / "exports" / name, run))
    with pytest.raises(InputError, match="a pack cannot hold a folder called"):
        write_pack(tmp_path / "p.zip", [odd], DatasetPhotos(dataset))


def test_write_pack_refuses_when_the_name_would_not_be_known_again(
    tmp_path: Path, dataset: Dataset, bundle: Path
) -> None:
    with pytest.raises(InputError, match=r"a pack's name ends in \.zip"):
        write_pack(tmp_path / "bench.tar", [Bundle.load(bundle)], DatasetPhotos(dataset))


def test_open_pack_unpacks_elsewhere_when_its_folder_cannot_be_written(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "is_writable_folder", lambda _: False)
    with open_pack(pack) as opened:
        assert not opened.folder.is_relative_to(pack.parent)
        assert opened.bundles[0].is_dir()
    assert not opened.folder.exists()

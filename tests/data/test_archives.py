from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import pytest

from edgevit.data import archives
from edgevit.errors import InputError


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def archive_of(path: Path, *members: tarfile.TarInfo, content: bytes = b"pixels") -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for info in members:
            if info.isfile():
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if info.isfile() else None)
    return path


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (member("../evil"), "leaves the folder"),
        (member("a/../../evil"), "leaves the folder"),
        (member("/tmp/evil"), "absolute path"),
        (member("a/link", tarfile.SYMTYPE, "../../evil"), "is a link to '../../evil'"),
        (member("a/link", tarfile.SYMTYPE, "/etc/passwd"), "is a link to '/etc/passwd'"),
        (member("a/hard", tarfile.LNKTYPE, "../evil"), "is a link to '../evil'"),
        (member("a/device", tarfile.CHRTYPE), "is a device"),
        (member("a/disk", tarfile.BLKTYPE), "is a device"),
        (member("a/pipe", tarfile.FIFOTYPE), "is a device, a pipe"),
    ],
)
def test_unpack_names_the_member_when_it_is_unsafe(
    tmp_path: Path, info: tarfile.TarInfo, reason: str
) -> None:
    archive = archive_of(tmp_path / "photos.tar", member("a/good"), info)
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    with pytest.raises(InputError, match=reason) as caught:
        archives.unpack(archive, target)
    assert repr(info.name) in caught.value.problem
    assert not list(tmp_path.rglob("evil"))


def test_unpack_writes_nothing_through_a_link_when_a_link_comes_first(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = archive_of(
        tmp_path / "photos.tar",
        member("door", tarfile.SYMTYPE, str(outside)),
        member("door/evil"),
    )
    (tmp_path / "target").mkdir()
    with pytest.raises(InputError, match="is a link"):
        archives.unpack(archive, tmp_path / "target")
    assert not list(outside.iterdir())


def test_unpack_refuses_when_the_content_is_too_large(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "p.tar.gz", member("a/1"), member("a/2"), content=b"0" * 600)
    with pytest.raises(InputError, match="too large at 'a/2': at most 1000 bytes"):
        archives.unpack(archive, tmp_path, max_bytes=1000)


def test_unpack_refuses_when_there_are_too_many_members(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "p.tar", member("a/1"), member("a/2"), member("a/3"))
    with pytest.raises(InputError, match=r"too large at 'a/3'.* in 2 files"):
        archives.unpack(archive, tmp_path, max_members=2)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_unpack_refuses_when_the_archive_is_truncated(tmp_path: Path, suffix: str) -> None:
    content = random.Random(0).randbytes(50_000)
    archive = archive_of(tmp_path / f"p{suffix}", member("a/1"), content=content)
    archive.write_bytes(archive.read_bytes()[:20_000])
    with pytest.raises(InputError, match="is damaged"):
        archives.unpack(archive, tmp_path)


def test_unpack_refuses_when_a_file_is_also_a_folder(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "p.tar", member("a"), member("a/1"))
    with pytest.raises(InputError, match="both as a file and as a folder"):
        archives.unpack(archive, tmp_path)


def test_unpack_gives_plain_permissions_when_members_ask_for_more(tmp_path: Path) -> None:
    info = member("a/1")
    info.mode = 0o4777
    archives.unpack(archive_of(tmp_path / "p.tar", info), tmp_path)
    assert (tmp_path / "a" / "1").read_bytes() == b"pixels"
    assert (tmp_path / "a" / "1").stat().st_mode & 0o7111 == 0

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from edgevit.errors import InputError
from edgevit.models.architecture import PretrainedWeights
from edgevit.training import weights
from tests.training.tinynet import TinyNet


class Published(TinyNet):
    """TinyNet with weights on a host that there is not (RFC 6761 keeps .invalid free)."""

    def __init__(self, cache_path: Path, host: str) -> None:
        super().__init__()
        url = f"https://{host}/tiny.npz"
        self._published = PretrainedWeights("imagenet", url, cache_path)

    def pretrained(self) -> tuple[PretrainedWeights, ...]:
        return (self._published,)


def test_no_file_is_needed_when_weights_are_random() -> None:
    assert weights.resolve(TinyNet(), "random") is None


def test_path_is_taken_when_the_file_exists(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    path.touch()

    assert weights.resolve(TinyNet(), str(path)) == path


def test_cached_file_is_taken_when_downloaded_before(tmp_path: Path) -> None:
    path = tmp_path / "tiny.npz"
    path.touch()

    assert weights.resolve(Published(path, "host.invalid"), "imagenet") == path


def test_valid_names_are_listed_when_it_is_neither_name_nor_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="random, imagenet, or the path"):
        weights.resolve(Published(tmp_path / "x", "host.invalid"), "imagenet22k")


@pytest.mark.parametrize("host", ["host.invalid", "192.0.2.1"])
def test_url_and_way_out_are_named_within_seconds_when_offline(tmp_path: Path, host: str) -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737): packets to it are lost.
    started = time.monotonic()
    with pytest.raises(InputError, match=rf"https://{host}/tiny.npz.*--weights tiny.npz"):
        weights.resolve(Published(tmp_path / "tiny.npz", host), "imagenet")
    assert time.monotonic() - started < 1.5


def test_host_is_reachable_when_something_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert weights.is_reachable("127.0.0.1", server.getsockname()[1])

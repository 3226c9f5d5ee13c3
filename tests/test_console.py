from __future__ import annotations

import os

import pytest

from edgevit import console

CHATTER = b"""INFO: created a delegate
W0000 00:00:1795412949.849934 port.cc:153] oneDNN custom operations are on
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
Applying:   0%|          | 0/220 [00:00<?, ?it/s]\rApplying: 100%| 220/220 [00:00<00:00, 2it/s]
"""


def test_only_chatter_is_hidden_when_all_went_well(capfd: pytest.CaptureFixture[str]) -> None:
    with console.without_native_chatter():
        os.write(2, CHATTER + b"WARNING: something matters\n")
    assert capfd.readouterr().err == "WARNING: something matters\n"


def test_everything_is_shown_when_the_block_failed(capfd: pytest.CaptureFixture[str]) -> None:
    @console.without_native_chatter()
    def fail() -> None:
        os.write(2, b"INFO: the clue\n")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert capfd.readouterr().err == "INFO: the clue\n"


def test_items_pass_when_tracked_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(console.track(iter("abc"), "Reading", 3)) == ["a", "b", "c"]
    assert capfd.readouterr().err.startswith("Reading (3): ")

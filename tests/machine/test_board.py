from __future__ import annotations

import pytest

from edgevit.machine import (
    decode_revision,
    decode_throttled,
)


@pytest.mark.parametrize(
    ("code", "model", "board_revision", "memory_mib", "processor", "manufacturer"),
    [
        (0xA02082, "3B", "1.2", 1024, "BCM2837", "Sony UK"),
        (0xA52082, "3B", "1.2", 1024, "BCM2837", "Stadium"),
        (0x9020E0, "3A+", "1.0", 512, "BCM2837", "Sony UK"),
        (0xC03130, "400", "1.0", 4096, "BCM2711", "Sony UK"),
        (0xD03140, "CM4", "1.0", 8192, "BCM2711", "Sony UK"),
        (0xE04171, "5", "1.1", 16384, "BCM2712", "Sony UK"),
        # Over-volted: the warranty bit is set.
        (0x2A01041, "2B", "1.1", 1024, "BCM2836", "Sony UK"),
    ],
)
def test_decode_revision_reads_the_fields_when_the_code_is_new_style(
    code: int,
    model: str,
    board_revision: str,
    memory_mib: int,
    processor: str,
    manufacturer: str,
) -> None:
    seen = decode_revision(code)
    assert seen.code == f"{code:x}"
    assert (seen.model, seen.board_revision) == (model, board_revision)
    assert seen.memory_bytes == memory_mib << 20
    assert (seen.processor, seen.manufacturer) == (processor, manufacturer)


def test_decode_revision_keeps_only_the_code_when_it_is_old_style() -> None:
    seen = decode_revision(0xE)
    assert seen.code == "000e"
    assert (seen.model, seen.memory_bytes, seen.processor) == (None, None, None)


def test_decode_revision_leaves_fields_out_when_they_are_not_known() -> None:
    seen = decode_revision(0xF_9_F_FF_0 | 1 << 23)
    assert (seen.model, seen.manufacturer, seen.processor) == (None, None, None)


def test_decode_throttled_says_now_and_since_boot_when_both_are_set() -> None:
    assert decode_throttled(0) == ()
    assert decode_throttled(0x50005) == (
        "under-voltage",
        "throttled",
        "under-voltage since boot",
        "throttled since boot",
    )
    assert decode_throttled(0xA0000) == (
        "Arm frequency capped since boot",
        "soft temperature limit since boot",
    )
    assert decode_throttled(1 << 5) == ()

from __future__ import annotations

import pytest

from edgevit.machine.files import format_core_list, parse_core_list


@pytest.mark.parametrize("text", ["0-3,6", "0", "2,4-5"])
def test_core_lists_survive_when_read_and_written(text: str) -> None:
    assert format_core_list(parse_core_list(text)) == text


@pytest.mark.parametrize("text", ["", "x", "0-", "-1", "0-3,y", "²", "0-999999999"])
def test_core_lists_are_empty_when_they_are_garbage(text: str) -> None:
    assert parse_core_list(text) == ()

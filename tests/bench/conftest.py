from __future__ import annotations

import pytest

from edgevit.bench.protocol import Protocol


@pytest.fixture
def tiny() -> Protocol:
    return Protocol("tiny", False, 20, 0.0, 2, 0.0, 0.0, cold_starts=1)

from __future__ import annotations

import math
from typing import Any

import pytest

from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from tests.training.tinynet import settings_for


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"epochs": 0}, "0 epochs"),
        ({"batch_size": 0}, "a batch cannot have 0 images"),
        ({"learning_rate": 0.0}, "the learning rate 0.0 is not a positive"),
        ({"learning_rate": math.nan}, "the learning rate nan"),
        ({"seed": 2**32}, "the seed 4294967296"),
    ],
)
def test_settings_are_refused_when_a_number_is_out_of_range(
    tiny_dataset: Dataset, changed: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        settings_for(tiny_dataset, **changed)

from __future__ import annotations

import numpy as np

from edgevit.pages.tables import Cell, Column, Row, table
from tests.pages.outline import outline_of


def test_sort_keys_are_exact_when_numbers_differ_by_little() -> None:
    values = (0.7763, 0.7812, 0.00001, np.float64(0.25), 3, "x", None)
    rows = [Row([Cell("a", value)]) for value in values]
    page = table([Column("Model")], [rows], "A table", is_sortable=True)
    found = [given.get("data-sort") for tag, given in outline_of(page).seen if tag == "th"]
    # The first one is the heading.
    assert found[1:] == ["0.7763", "0.7812", "1e-05", "0.25", "3", "x", None]

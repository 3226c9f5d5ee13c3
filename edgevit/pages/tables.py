"""Tables whose rows can be sorted, or stacked on a narrow page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevit.pages import words
from edgevit.pages.markup import Html, element


@dataclass(frozen=True)
class Column:
    """A heading, with its unit, and whether numbers stand below it."""

    heading: str
    unit: str = ""
    is_numeric: bool = True


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and what it is sorted by: missing ones come last, up or down."""

    content: str
    sort: str | float | None = None


@dataclass(frozen=True)
class Row:
    """A row of a table, with its anchor and CSS class."""

    cells: Sequence[Cell]
    anchor: str | None = None
    style: str | None = None


def table(
    columns: Sequence[Column],
    groups: Sequence[Sequence[Row]],
    caption: str,
    *,
    is_sortable: bool = False,
    is_stacked: bool = False,
    headings: Sequence[str] = (),
) -> Html:
    """Return a table in a box of its own, which scrolls where the page is too narrow.

    Args:
        columns: From left to right.
        groups: Rows that belong together.
        caption: What the table is, for those who cannot see it.
        is_sortable: Whether a click on a heading sorts.
        is_stacked: Whether the cells of a row stand below each other on a narrow page.
        headings: One above each group; none if empty.
    """
    head = element("thead", element("tr", *map(_heading, columns)))
    bodies = []
    for index, group in enumerate(groups):
        rows = [_row(columns, row) for row in group]
        if headings:
            text = element("th", headings[index], colspan=len(columns), scope="rowgroup")
            rows.insert(0, element("tr", text, class_="group"))
        bodies.append(element("tbody", *rows))
    inner = element(
        "table",
        element("caption", caption),
        head,
        *bodies,
        class_="sortable" if is_sortable else "stacked" if is_stacked else None,
    )
    # Reached by Tab, so that arrow keys scroll it.
    return element("div", inner, class_="scroll", role="region", aria_label=caption, tabindex=0)


def _heading(column: Column) -> Html:
    unit = element("span", column.unit, class_="unit") if column.unit else ""
    text = element("span", column.heading)
    return element("th", text, unit, scope="col", class_="num" if column.is_numeric else None)


def _row(columns: Sequence[Column], row: Row) -> Html:
    cells = [
        element(
            "td" if index else "th",
            cell.content,
            class_="num" if column.is_numeric else None,
            scope=None if index else "row",
            data_sort=_sort_key(cell.sort),
            data_label=", ".join(filter(None, (column.heading, column.unit))) if index else None,
            data_empty=cell.content == words.NOTHING,
        )
        for index, (column, cell) in enumerate(zip(columns, row.cells, strict=True))
    ]
    return element("tr", *cells, id=row.anchor, class_=row.style)


def _sort_key(value: str | float | None) -> str | int | None:
    # Attributes are rounded for drawings, where hundredths of a pixel are enough: not what is
    # sorted by.
    return repr(float(value)) if isinstance(value, float) else value

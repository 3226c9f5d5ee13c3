"use strict";
// Headings of sortable tables become buttons, which a click, Enter and Space press. Without this
// script the page is complete, only unsorted.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const order = new Map([...body.rows].map((row, index) => [row, index]));

  const valueOf = (row, column) => row.cells[column].dataset.sort;

  const compare = (column, isNumeric, direction) => (first, second) => {
    const [a, b] = [valueOf(first, column), valueOf(second, column)];
    const byPlace = order.get(first) - order.get(second);
    if (a === undefined || b === undefined) {
      // What is missing comes last, whichever way.
      return (a === undefined) - (b === undefined) || byPlace;
    }
    const difference = isNumeric
      ? Number(a) - Number(b)
      : a.localeCompare(b, "en", { numeric: true });
    return direction * difference || byPlace;
  };

  const sort = (column) => {
    const heading = headings[column];
    const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of headings) {
      other.removeAttribute("aria-sort");
    }
    heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const isNumeric = heading.classList.contains("num");
    body.append(...[...body.rows].sort(compare(column, isNumeric, direction)));
  };

  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sort(column));
  });
}

// Paper has nothing to click on.
const closed = () => document.querySelectorAll("details:not([open])");
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...closed()];
  opened.forEach((details) => (details.open = true));
});
addEventListener("afterprint", () => {
  opened.forEach((details) => (details.open = false));
});

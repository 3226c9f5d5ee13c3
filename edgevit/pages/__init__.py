"""Web pages in one file: markup, tables, axes of charts, and the document around them."""

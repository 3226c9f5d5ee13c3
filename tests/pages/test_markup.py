from __future__ import annotations

import pytest

from edgevit.pages.markdown import escape
from edgevit.pages.markup import Html, element


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("a\nb", "a b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("- item", r"\- item"),
        ("# heading", r"\# heading"),
        ("vit-b32.tflite.int8", "vit-b32.tflite.int8"),
        ("3.29 %", "3.29 %"),
        ("1. item", r"1\. item"),
        ("2) item", r"2\) item"),
        ("7.", r"7\."),
        ("[x](y) `c`", r"\[x\](y) \`c\`"),
    ],
)
def test_escape_keeps_the_text_when_it_is_markdown(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def test_element_escapes_texts_and_keeps_markup_when_given_both() -> None:
    inner = element("b", "<i>")
    assert inner == "<b>&lt;i&gt;</b>"
    made = element("p", inner, " & ", title='"', hidden=False, open=True, width=1.50, lang=None)
    assert made == '<p title="&quot;" open width="1.5"><b>&lt;i&gt;</b> &amp; </p>'
    assert isinstance(made, Html)

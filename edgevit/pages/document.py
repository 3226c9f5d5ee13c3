"""A page in one file: no network, no fonts, no scripts but its own.

The page forbids by itself what it does not need: its policy names the hashes of its one style sheet
and its one script, so that nothing else is loaded or run, whatever a model or a class is called.
Pictures lie in the page itself, as ``data:`` addresses.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from edgevit.pages.markup import Html, element

_PACKAGE = "edgevit.pages"


@dataclass(frozen=True)
class Section:
    """A part of a page that the navigation leads to.

    Attributes:
        anchor: Its address within the page.
        heading: Of the section, and of its link.
        parts: What stands in it.
    """

    anchor: str
    heading: str
    parts: Sequence[Html]


def build_document(
    title: str,
    kicker: str,
    lead: str,
    sections: Sequence[Section],
    footer: str,
    *,
    style: str = "",
    has_pictures: bool = False,
) -> str:
    """Return a whole page, ``<!doctype html>`` first. The same content gives the same text.

    Args:
        title: The heading; with the kicker, the title of the window.
        kicker: What kind of page this is, above the heading.
        lead: Below the heading.
        sections: At least one.
        footer: How the page came to be.
        style: CSS beside that of every page.
        has_pictures: Whether there are ``data:`` pictures.
    """
    style, script = resource(_PACKAGE, "page.css") + style, resource(_PACKAGE, "page.js")
    policy = _policy(style, script, has_pictures=has_pictures)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{title} – {kicker}"),
        element("style", Html(style)),
    )
    skip = f"Skip to: {sections[0].heading}"
    links = [element("a", section.heading, href=f"#{section.anchor}") for section in sections]
    header = element(
        "header",
        element("p", kicker, class_="kicker"),
        element("h1", title),
        element("p", lead, class_="lead"),
        element("nav", *links, aria_label="Sections"),
    )
    body = element(
        "body",
        element("a", skip, href=f"#{sections[0].anchor}", class_="skip"),
        header,
        element("main", *map(_section, sections)),
        element("footer", element("p", footer)),
        element("script", Html(script)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def resource(package: str, name: str) -> str:
    """Return the text of a file that lies in a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _section(section: Section) -> Html:
    return element("section", element("h2", section.heading), *section.parts, id=section.anchor)


def _policy(style: str, script: str, *, has_pictures: bool) -> str:
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, script)
    ]
    pictures = "img-src data:; " if has_pictures else ""
    return (
        f"default-src 'none'; {pictures}style-src 'sha256-{hashes[0]}'; "
        f"script-src 'sha256-{hashes[1]}'; base-uri 'none'; form-action 'none'"
    )

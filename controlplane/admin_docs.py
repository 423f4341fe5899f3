"""docs/ inside the admin: its pages as HTML, for staff, with nothing fetched from elsewhere."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import get_script_prefix, reverse
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

FOLDER: Final = "docs"
# Pages beside docs/, by their name in the admin.
BESIDE: Final = {"project": "README.md", "changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}
INDEX: Final = "README"
_PARSER: Final = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table")


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it is shown. `sections` are the anchors and titles of its second-level headings."""

    title: str
    body: SafeString
    sections: tuple[tuple[str, str], ...]
    anchors: frozenset[str]


def page_names() -> dict[str, Path]:
    """Every page's file by its name: its path below docs/ without `.md`, or one of BESIDE."""
    root: Path = settings.BASE_DIR
    found = {name: root / file for name, file in BESIDE.items()}
    for file in sorted((root / FOLDER).rglob("*.md")):
        found[str(file.relative_to(root / FOLDER).with_suffix(""))] = file
    return found


def find_page(name: str) -> Page:
    """The page of that name. Raises KeyError."""
    file = page_names()[name]
    return _rendered(name, file, file.stat().st_mtime_ns, get_script_prefix())


def docs_page(request: HttpRequest, context: dict[str, Any], name: str = INDEX) -> HttpResponse:
    """A page of the docs."""
    try:
        page = find_page(name)
    except (KeyError, OSError):
        raise Http404 from None
    more = {"title": page.title, "page": page, "is_index": name == INDEX}
    return TemplateResponse(request, "admin/docs.html", {**context, **more})


def url_of(page: str, anchor: str = "") -> str:
    path = reverse("admin:docs") if page == INDEX else reverse("admin:docs_page", args=[page])
    return f"{path}#{anchor}" if anchor else path


def slug(title: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


# --- From Markdown to HTML -----------------------------------------------------------------------


@lru_cache(maxsize=128)
def _rendered(name: str, file: Path, changed: int, prefix: str) -> Page:
    """Kept until the file changes, for each prefix below which its links lead."""
    tokens = _PARSER.parse(file.read_text())
    headings = list(_headings(tokens))
    for token, title in headings:
        token.attrSet("id", slug(title))
    for token in _walk(tokens):
        if token.type == "link_open":
            _lead(token, name)
        elif token.type == "table_open":
            token.attrSet("class", "cp-table")
    title = next((title for token, title in headings if token.tag == "h1"), name)
    body = _PARSER.renderer.render(tokens, _PARSER.options, {})
    return Page(
        title=title,
        body=mark_safe(body),  # noqa: S308 - made of our own files, with their HTML escaped
        sections=tuple((slug(text), text) for token, text in headings if token.tag == "h2"),
        anchors=frozenset(slug(text) for _, text in headings),
    )


def _headings(tokens: Sequence[Token]) -> Iterator[tuple[Token, str]]:
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            words = tokens[place + 1].children or ()
            yield token, "".join(each.content for each in words if each.type in ("text", "code_inline"))


def _walk(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _walk(token.children or ())


def _lead(token: Token, name: str) -> None:
    """Let a link lead to the page in the admin that it means; one to a file that is no page leads nowhere."""
    target = str(token.attrGet("href") or "")
    if target.startswith(("http://", "https://")):
        token.attrSet("rel", "noopener noreferrer")
        token.attrSet("target", "_blank")
        return
    page = meant_by(name, target)
    token.attrs.pop("href", None)
    if page is not None:
        token.attrSet("href", url_of(page, unescape(urlsplit(target).fragment)))


def meant_by(name: str, target: str) -> str | None:
    """The name of the page that a link on page `name` leads to; None if that is no page."""
    path = unquote(urlsplit(target).path)
    if not path:
        return name
    here = BESIDE.get(name) or f"{FOLDER}/{name}.md"
    file = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
    if path.endswith("/") or not posixpath.splitext(file)[1]:
        file = posixpath.join(file, f"{INDEX}.md")
    for beside, other in BESIDE.items():
        if file == other:
            return beside
    found = file.removeprefix(f"{FOLDER}/").removesuffix(".md")
    return found if file.startswith(f"{FOLDER}/") and file.endswith(".md") and found in page_names() else None

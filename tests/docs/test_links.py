"""Links of pages: each leads to a file, and to a heading that is there; README names every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("benchmarks/notes/*.md")),
]


def anchors_of(page: Path) -> set[str]:
    """The headings as a link names them: in small letters, without marks, `-` for a space."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_of(page: Path) -> list[str]:
    """What the page links to beside addresses of the web and of mail."""
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def is_broken(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    return not target.exists() or bool(anchor and anchor not in anchors_of(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    assert [link for link in links_of(page) if is_broken(page, link)] == []


def test_readme_names_every_page():
    named = {(ROOT / link.partition("#")[0]).resolve() for link in links_of(ROOT / "README.md")}
    beside = set(ROOT.glob("docs/*.md")) | set(ROOT.glob("docs/reference/*.md"))
    assert beside - named == set()


def test_a_link_to_nowhere_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `heading`, of two\n[a](page.md#a-heading-of-two) [b](#other) [c](c.md)")
    assert [link for link in links_of(page) if is_broken(page, link)] == ["#other", "c.md"]

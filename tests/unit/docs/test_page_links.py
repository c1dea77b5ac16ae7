"""Links between the pages of the repository lead to a page, and to a place that it has."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PAGES = sorted(
    str(path.relative_to(REPOSITORY))
    for folder in (".", "docs", "roles/*")
    for path in REPOSITORY.glob(f"{folder}/*.md")
)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


@cache
def places(page: Path) -> frozenset[str]:
    """The anchors of a page: those that GitHub makes of its headings, and those that are written out."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", one) for one in re.findall(r"^#+ (.*)$", text, re.MULTILINE))
    slugs = (re.sub(r"[^\w\- ]", "", one.strip().lower()).replace(" ", "-") for one in headings)
    return frozenset([*slugs, *re.findall(r'<a id="([^"]+)">', text)])


def broken_links(page: Path) -> list[str]:
    found = []
    for target, place in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (place and path.suffix == ".md" and place not in places(path)):
            found.append(f"{target}#{place}" if place else target)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_each_leads_somewhere(page: str) -> None:
    assert broken_links(REPOSITORY / page) == []


def test_a_page_and_a_place_that_are_not_there_are_found(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text(
        "# A `b` heading\n[here](#a-b-heading) [gone](#gone) [no page](b.md) [outside](https://example.org/x#y)\n"
    )
    assert broken_links(page) == ["#gone", "b.md"]

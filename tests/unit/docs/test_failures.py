"""docs/failures.md promises only what a scenario or a test checks, and these exist."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

from tests.faults.catalogue import all_scenarios

PAGE = Path("docs/failures.md")
TEST_FILE = re.compile(r"(tests/[a-z0-9_/]+\.py)(?:::(test_[a-z_*0-9]+))?")
TESTED_BY = "tested by"


def tables(text: str) -> list[list[list[str]]]:
    """The page's tables as rows of cells."""
    found: list[list[list[str]]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        inside = line.startswith("|")
    return found


def is_there(name: str, repository: Path) -> bool:
    """Whether a scenario of this name (a pattern) exists, or a test."""
    match = TEST_FILE.fullmatch(name)
    if match is None:
        return bool(fnmatch.filter([scenario.name for scenario in all_scenarios()], name))
    path, test = repository / match[1], match[2]
    if not path.exists():
        return False
    names = re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.M)
    return test is None or bool(fnmatch.filter(names, test))


def test_what_does_not_exist_is_not_found(repository: Path) -> None:
    assert not is_there("client-dances", repository)
    assert not is_there("tests/unit/agent/test_nothing.py", repository)
    assert not is_there("tests/unit/docs/test_failures.py::test_dancing", repository)
    assert is_there("tests/unit/docs/test_failures.py::test_what_*", repository)


def test_every_row_is_tested(repository: Path) -> None:
    found = tables((repository / PAGE).read_text(encoding="utf-8"))
    assert len(found) >= 2
    for head, _, *rows in found:
        assert head[-1] == TESTED_BY, head
        for row in rows:
            names = re.findall(r"`([^`]+)`", row[-1])
            assert names, f"nothing tests: {row[0]}"
            assert [name for name in names if not is_there(name, repository)] == [], row[0]


def test_every_section_is_tested(repository: Path) -> None:
    _, *sections = (repository / PAGE).read_text(encoding="utf-8").split("\n## ")
    assert len(sections) >= 5
    for section in sections:
        title = section.partition("\n")[0]
        assert f"| {TESTED_BY} |" in section or "\nTested by `" in section, f"nothing tests: {title}"
        _, _, held = section.partition("\nTested by ")
        assert [name for name in re.findall(r"`([^`]+)`", held) if not is_there(name, repository)] == [], title


def test_every_test_that_a_page_names_exists(repository: Path) -> None:
    missing = {
        f"{page.name}: {name}"
        for page in [*(repository / "docs").glob("*.md"), repository / "README.md", repository / "CONTRIBUTING.md"]
        for name in re.findall(r"`(tests/[^` ]+\.py[^` ]*)`", page.read_text(encoding="utf-8"))
        # Those of scenarios/ that docs/extending.md adds are files of its reader.
        if not name.startswith("tests/faults/scenarios/") and not is_there(name, repository)
    }
    assert missing == set()

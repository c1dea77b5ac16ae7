"""The packages that a user's own code in FederatedScope needs: pip requirements, in the file or in one of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..yamlfile.document import Document, read_text
from ..yamlfile.spec_errors import PathPart, SpecError, SpecErrors

_AT: tuple[PathPart, ...] = ("federatedscope", "requirements")
_VERSIONS = r"(==|>=|<=|~=|!=|<|>)\s*[A-Za-z0-9][A-Za-z0-9.*+!_-]*"
_REQUIREMENT = re.compile(
    rf"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\s*(\[[A-Za-z0-9._,\s-]+\])?\s*({_VERSIONS}(\s*,\s*{_VERSIONS})*)?"
)
_FILE_SUFFIX = ".txt"


def read_requirements(items: Sequence[str], document: Document, folder: Path) -> tuple[str, ...]:
    """Return all requirements in the order of the file, each once; everything wrong with them is reported.

    Args:
        items: requirements, and names of files with one requirement a line.
        document: the experiment file.
        folder: where relative paths start.
    """
    found: list[str] = []
    for number, item in enumerate(items):
        name = item.strip()
        if name.endswith(_FILE_SUFFIX) and not name.startswith("-") and "://" not in name:
            found += _read_file(name, (*_AT, number), document, folder)
        elif wrong := _explain(item):
            document.report((*_AT, number), *wrong)
        else:
            found.append(" ".join(item.split()))
    return tuple(dict.fromkeys(found))


def _read_file(name: str, at: Sequence[PathPart], document: Document, folder: Path) -> Iterator[str]:
    try:
        path = folder / Path(name).expanduser()
        text = read_text(path)
    except RuntimeError:
        document.report(at, f"{name}: there is no such user here")
        return
    except SpecErrors as errors:
        for error in errors.errors:
            document.report(at, f"{name}: {error.message}", error.hint)
        return
    begun, before = 0, ""
    for line, content in enumerate(text.splitlines(), 1):
        begun = begun or line
        if content.endswith("\\"):
            before += content[:-1]
            continue
        item = " ".join((before + content).split(" #")[0].split())
        first, begun, before = begun, 0, ""
        if not item or item.startswith("#"):
            continue
        if wrong := _explain(item):
            document.errors.append(SpecError(str(path), first, 1, "", *wrong))
        else:
            yield item


def _explain(item: str) -> tuple[str, str] | None:
    """Say why a text is not a requirement that an image can be given, and what to write; None if it is one."""
    if _REQUIREMENT.fullmatch(item.strip()):
        return None
    hint = "write a name, and versions if they matter, such as einops==0.8.0"
    if item.lstrip().startswith("-"):
        return f'"{item}" is an option of pip, which is not read here', "pip's own configuration has the indexes"
    if " --" in item:
        return f'"{item}" has an option of pip, which is not read here', "leave out what begins with --"
    if ";" in item:
        return f'"{item}" has a condition, and all images are alike', "leave out what comes after the semicolon"
    if "://" in item or "/" in item or item.endswith(".whl"):
        return f'"{item}" is not a package of an index', f"{hint}; pip's `find-links` may name a folder with wheels"
    return f'"{item}" is not a requirement', hint

"""The packages that a user's own code in FederatedScope needs: pip requirements, in the file or in one of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

from ..yamlfile.document import Document, read_text
from ..yamlfile.spec_errors import PathPart, SpecError, SpecErrors

_AT: tuple[PathPart, ...] = ("federatedscope", "requirements")
_VERSIONS = r"(==|>=|<=|~=|!=|<|>)\s*[A-Za-z0-9][A-Za-z0-9.*+!_-]*"
_REQUIREMENT = re.compile(
    rf"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\s*(\[[A-Za-z0-9._,\s-]+\])?\s*({_VERSIONS}(\s*,\s*{_VERSIONS})*)?"
)
_FILE_SUFFIX = ".txt"
_HINT = "write a name, and versions if they matter, such as einops==0.8.0"


@dataclass(frozen=True)
class _Given:
    """A requirement as it is written; ``file``: the name of its own file. ``report`` reports a mistake at its place."""

    text: str
    file: str | None
    report: Callable[[str, str], None]

    def __str__(self) -> str:
        return self.text if self.file is None else f"{self.text} of {self.file}"


def read_requirements(items: Sequence[str], document: Document, folder: Path) -> tuple[str, ...]:
    """Return all requirements in the order of the file, each once; everything wrong with them is reported.

    Args:
        items: requirements, and names of files with one requirement a line.
        document: the experiment file.
        folder: where relative paths start.
    """
    found: list[_Given] = []
    for number, item in enumerate(items):
        name = item.strip()
        if name.endswith(_FILE_SUFFIX) and not name.startswith("-") and "://" not in name:
            found += _read_file(name, (*_AT, number), document, folder)
        elif wrong := _explain(item):
            document.report((*_AT, number), *wrong)
        else:
            found.append(_Given(" ".join(item.split()), None, partial(document.report, (*_AT, number))))
    _check_together(found)
    return tuple(dict.fromkeys(one.text for one in found))


def _check_together(found: Sequence[_Given]) -> None:
    """Report requirements that no version of their package meets, which pip would only tell when an image is built."""
    if not found:
        return
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.utils import canonicalize_name

    earlier: dict[str, list[tuple[_Given, SpecifierSet]]] = {}
    for given in found:
        wanted = Requirement(given.text)
        own, others = wanted.specifier, earlier.setdefault(canonicalize_name(wanted.name), [])
        if own.is_unsatisfiable():
            given.report(f'"{given.text}" allows no version', "leave one of the conditions out")
            continue
        alone = [other for other, versions in others if (versions & own).is_unsatisfiable()]
        together = own
        for _, versions in others:
            together &= versions
        if together.is_unsatisfiable():
            rivals = " and ".join(map(str, alone[:1] or [other for other, _ in others]))
            given.report(f'"{given.text}" contradicts {rivals}: no version fits', "leave one of them out")
            continue
        others.append((given, own))


def contradictions(requirements: Sequence[str], pins: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield requirements that none of their packages' exact versions meets, each with one of those.

    Args:
        requirements: those that :func:`read_requirements` returned.
        pins: exact versions that are installed, of some packages more than one.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    installed: dict[str, list[str]] = {}
    for pin in pins:
        name, _, version = pin.partition("==")
        installed.setdefault(canonicalize_name(name), []).append(version)
    for one in requirements:
        try:
            wanted = Requirement(one)
        except InvalidRequirement:  # of a run folder, which is data of anybody's: pip refuses it
            continue
        versions = installed.get(canonicalize_name(wanted.name), [])
        if versions and not any(wanted.specifier.contains(version, prereleases=True) for version in versions):
            yield one, f"{wanted.name}=={versions[0]}"


def _read_file(name: str, at: Sequence[PathPart], document: Document, folder: Path) -> Iterator[_Given]:
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
        report = partial(_report_line, document, str(path), first)
        if wrong := _explain(item):
            report(*wrong)
        else:
            yield _Given(item, name, report)


def _report_line(document: Document, file: str, line: int, message: str, hint: str) -> None:
    document.errors.append(SpecError(file, line, 1, "", message, hint))


def _as_wheel(item: str) -> str:
    """How to bring a package that no index has: pip finds its wheel in a folder that PIP_FIND_LINKS names."""
    written = item.strip()
    if written.endswith(".whl"):
        path = PurePath(written)
        return f"set PIP_FIND_LINKS to the folder {path.parent}, and write {path.stem.partition('-')[0]}"
    address = written.partition(" @ ")[2] or written
    return f"`pip wheel --no-deps -w wheels {address}`, set PIP_FIND_LINKS to that folder, and write the package's name"


def _explain(item: str) -> tuple[str, str] | None:
    """Say why a text is not a requirement that an image can be given, and what to write; None if it is one."""
    if _REQUIREMENT.fullmatch(item.strip()):
        return _explain_versions(item.strip())
    if item.lstrip().startswith("-"):
        return f'"{item}" is an option of pip, which is not read here', "pip's own configuration has the indexes"
    if " --" in item:
        return f'"{item}" has an option of pip, which is not read here', "leave out what begins with --"
    if ";" in item:
        return f'"{item}" has a condition, and all images are alike', "leave out what comes after the semicolon"
    if "://" in item or "/" in item or item.endswith(".whl"):
        return f'"{item}" is not a package of an index', _as_wheel(item)
    return f'"{item}" is not a requirement', _HINT


def _explain_versions(item: str) -> tuple[str, str] | None:
    """Say that pip would not read the versions; None if it does."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        Requirement(item)
    except InvalidRequirement:
        return f'"{item}" gives versions in a way that pip does not know', _HINT
    return None

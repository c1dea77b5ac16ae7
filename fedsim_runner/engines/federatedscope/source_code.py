"""The Python files of a source, a checkout or a wheel of FederatedScope, read without running anything."""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from .source import PACKAGE, SourceError


class CodeError(SourceError):
    """Code of the source cannot be read; the text names the source."""


def modules(source: Path, *folders: str) -> Iterator[tuple[str, str]]:
    """Name and text of the Python files in some folders of the package; without any, of all its files.

    Args:
        folders: paths below the package, in which ``*`` stands for one name.

    Raises:
        CodeError: the source or a file cannot be read.
    """
    try:
        yield from _texts(source, folders)
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise _unreadable(source, error) from error


def parsed_modules(source: Path, *folders: str) -> Iterator[ast.Module]:
    """The same files as syntax trees.

    Raises:
        CodeError: one cannot be read, or is no Python.
    """
    for name, text in modules(source, *folders):
        try:
            yield ast.parse(text, name)
        except (SyntaxError, ValueError) as error:
            raise _unreadable(source, error) from error


def _unreadable(source: Path, error: Exception) -> CodeError:
    return CodeError(f"{source}: FederatedScope's code cannot be read: {error}")


def _texts(source: Path, folders: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if source.is_dir():
        package = source / PACKAGE
        for pattern in [f"{folder}/*.py" for folder in folders] or ["**/*.py"]:
            for path in sorted(package.glob(pattern)):
                yield str(path), path.read_text(encoding="utf-8")
        return
    with zipfile.ZipFile(source) as archive:
        for name in sorted(archive.namelist()):
            inside = PurePosixPath(name)
            if inside.suffix == ".py" and inside.parts[0] == PACKAGE and _is_in(inside.parent, folders):
                yield name, archive.read(name).decode("utf-8")


def _is_in(parent: PurePosixPath, folders: tuple[str, ...]) -> bool:
    wanted = [f"{PACKAGE}/{folder}" for folder in folders]
    return not wanted or any(
        str(parent).count("/") == one.count("/") and fnmatchcase(str(parent), one) for one in wanted
    )

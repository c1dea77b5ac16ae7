"""A source of FederatedScope as far as it can be read now: nothing is fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .course_facts import Kind
from .source import DEFAULT_SOURCE, Source
from .source_names import has_name
from .wheel import CachedSource


def local_source(source: Source) -> Path | None:
    """The checkout or wheel; None where the source must be fetched first."""
    return source.path if source.kind in ("checkout", "wheel") else CachedSource(source).cached()


def names_added_by(source: Source) -> Callable[[Kind, str, bool], bool]:
    """Return what says whether code of the source may decide about a name of a kind, as :func:`.source_names.has_name`.

    The default source adds none, as upstream's names are known. Of one that cannot be read yet nobody knows.
    """
    path = local_source(source)

    def is_added(kind: Kind, name: str, any_case: bool) -> bool:
        if path is not None:
            return has_name(path, kind, name, any_case=any_case)
        return source.text != DEFAULT_SOURCE

    return is_added

"""What the code of FederatedScope's source has, as far as it can be read without fetching or running it."""

from __future__ import annotations

from pathlib import Path

from .keys import own_texts
from .source import DEFAULT_SOURCE, Source
from .wheel import CachedSource


def local_source(source: Source) -> Path | None:
    """The checkout or wheel; None where the source must be fetched first."""
    return source.path if source.kind in ("checkout", "wheel") else CachedSource(source).cached()


def texts_of(source: Source, folder: str) -> frozenset[str] | None:
    """Texts in the code of one folder of the source, in lower case: among them names that a user has added.

    None of the default source's are needed, as upstream's names are known. None: the source cannot be read yet.

    Raises:
        KeysError: a file cannot be read.
    """
    path = local_source(source)
    if path is not None:
        return own_texts(path, folder)
    return frozenset() if source.text == DEFAULT_SOURCE else None

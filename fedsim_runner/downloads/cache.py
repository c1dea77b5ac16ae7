"""The control node's cache: files that appear whole or not at all, made by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """``~/.cache/fedsim``, or where XDG_CACHE_HOME says."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "fedsim"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the cache folder's lock: a second run waits for the first one's downloads and then finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

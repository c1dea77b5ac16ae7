"""The FederatedScope that `init` writes into an experiment file: one that the user names, or that the YAML lies in."""

from __future__ import annotations

import os
from pathlib import Path

from ..engines.federatedscope.source import Source, parse_source
from ..engines.federatedscope.source_in_use import resolve_source

OPTION = "--source"


def source_to_write(named: str | None, config: Path, folder: Path) -> str | None:
    """Return ``federatedscope.source`` of an experiment file; None: the source in use needs no mention.

    Args:
        named: what the user calls the source; a relative path starts at the current folder.
        config: the configuration, which may lie in a checkout whose keys and names it has.
        folder: where the experiment file will be.

    Raises:
        SettingsError: ``named`` is not a source, or the setting that names the one in use is wrong.
    """
    source = _checkout_around(config) if named is None else parse_source(named, Path.cwd(), OPTION)
    if source is None or (named is None and resolve_source().text == source.text):
        return None
    if source.kind not in ("checkout", "wheel"):
        return source.text
    path = os.path.relpath(source.path, folder)
    # With a slash it is a path; without one it would be the name of a package.
    if "/" in path:
        return path
    return "./" if path == "." else f"./{path}"


def _checkout_around(config: Path) -> Source | None:
    for folder in config.resolve().parents:
        source = Source(str(folder), "checkout", str(config))
        if source.problem() is None:
            return source
    return None

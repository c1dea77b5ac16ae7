"""The names of devices in a device file: ranges where it is written, each in full where it is read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import groupby
from typing import Any

from .name_ranges import fold, unfold


@lru_cache(maxsize=4)
def fold_clients(names: tuple[str, ...]) -> list[str]:
    """Fold names that the files of all lab hosts repeat."""
    return fold(names)


def fold_sites(sites: Mapping[str, str]) -> dict[str, str]:
    """Return the site of each range of devices."""
    return {text: site for site, group in groupby(sites, key=lambda device: sites[device]) for text in fold(group)}


def unfold_names(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file's content with single names in place of ranges, where it has the form of such a file."""
    found = dict(content)
    if _is_texts(content.get("clients")):
        found["clients"] = list(unfold(content["clients"]))
    if isinstance(content.get("timeline"), list):
        found["timeline"] = [
            {**one, "devices": list(unfold(one["devices"]))}
            if isinstance(one, Mapping) and _is_texts(one.get("devices"))
            else one
            for one in content["timeline"]
        ]
    topology = content.get("topology")
    if isinstance(topology, Mapping) and isinstance(topology.get("sites"), Mapping):
        sites = {name: site for text, site in topology["sites"].items() for name in unfold([text])}
        found["topology"] = {**topology, "sites": sites}
    return found


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)

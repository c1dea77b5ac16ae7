"""The links that are measured: the catalogue's, and two of the benchmark's own."""

from __future__ import annotations

from collections.abc import Mapping

from fedsim_runner.catalog.load import load_catalog
from fedsim_runner.contract.link import Link, Links

_OWN = {
    "lossy": Links(Link(20_000_000, 20_000, 0, 0.05), Link(20_000_000, 20_000, 0, 0.05)),
    "satellite": Links(Link(3_000_000, 260_000, 15_000), Link(25_000_000, 260_000, 15_000)),
}


def measured_profiles() -> Mapping[str, Links]:
    """All of them, by name."""
    return {**{name: profile.links for name, profile in load_catalog().profiles.items()}, **_OWN}

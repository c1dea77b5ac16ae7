"""Which link back ends there are, and which of them holds a run's links here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.link import Link

from .. import links
from .need import Need
from .profile import Profile
from .protocol import LinkBackend

AUTO = "auto"
#: A link with everything: what it needs is all that a back end may need.
FULL_LINK = Link(1_000_000, 1000, 100, 0.01)


class UnshapableError(FedsimError):
    """No back end here can hold the wanted links; the text names what is missing and the fix."""

    exit = Exit.LINKS


def names() -> list[str]:
    """Every back end: the folders beside this file, by name."""
    return sorted(module.name for module in pkgutil.iter_modules(links.__path__) if module.ispkg)


def load_all() -> list[type[LinkBackend]]:
    """Every back end, in the order in which ``auto`` tries them."""
    loaded = [importlib.import_module(f"{links.__name__}.{name}.backend").Backend for name in names()]
    return sorted(loaded, key=lambda backend: (backend.preference, backend.name))


def all_needs() -> dict[Need, type[LinkBackend]]:
    """Everything that some back end may need, with the first back end that does."""
    by_piece: dict[str, tuple[Need, type[LinkBackend]]] = {}
    for backend in load_all():
        for need in backend.needs([FULL_LINK]):
            by_piece.setdefault(need.piece, (need, backend))
    return dict(by_piece.values())


def choose(wanted: str, profile: Profile, probed: Mapping[str, Any]) -> str:
    """The back end that holds the links here, from what ``probe`` found.

    Args:
        wanted: its name, or ``auto``.

    Raises:
        UnshapableError: naming the pieces that the wanted back end lacks for these links, and the fix.
    """
    missing: dict[str, Need] = {}
    for backend in load_all():
        if wanted in (AUTO, backend.name):
            lacks = {need.piece: need for need in backend.needs(profile.links) if not probed.get(need.piece)}
            if not lacks:
                return backend.name
            missing |= lacks
    fixes = {str(entry.get("what")): str(entry.get("fix")) for entry in probed.get("missing", ())}
    raise UnshapableError(
        f"kernel {probed.get('kernel', '?')} cannot hold these links (link_backend {wanted}): missing "
        + "; ".join(f"{piece} ({fixes.get(piece, 'no fix known')})" for piece in sorted(missing))
    )

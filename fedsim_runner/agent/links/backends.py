"""The link back ends, and the choice of the one that shapes a run's links here."""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.link import Link, Queue

from .. import links
from .need import Need
from .profile import Profile
from .protocol import LinkBackend

AUTO = "auto"
#: A link with every property: a back end never needs more than this link needs.
FULL_LINK = Link(1_000_000, 1000, 100, 0.01)
#: Links for which a back end may need more than that.
_RARE_LINKS = (
    Link(1_000_000, duplicate=0.01),
    Link(1_000_000, queue=Queue(discipline="codel")),
    Link(1_000_000, queue=Queue(discipline="fq_codel")),
)


class UnshapableError(FedsimError):
    """No back end here can shape the requested links; the text names what is missing and the fix."""

    exit = Exit.LINKS


def names() -> list[str]:
    """The names of all back ends: the folders next to this file that have a ``backend.py``."""
    folders = (module.name for module in pkgutil.iter_modules(links.__path__) if module.ispkg)
    return sorted(name for name in folders if importlib.util.find_spec(_module(name)) is not None)


def load_all() -> list[type[LinkBackend]]:
    """All back ends, in the order in which ``auto`` tries them."""
    loaded = [importlib.import_module(_module(name)).Backend for name in names()]
    return sorted(loaded, key=lambda backend: (backend.preference, backend.name))


def all_needs() -> dict[Need, type[LinkBackend]]:
    """Everything that any back end may need, with the first back end that needs it."""
    by_piece: dict[str, tuple[Need, type[LinkBackend]]] = {}
    for backend in load_all():
        for need in backend.needs([FULL_LINK, *_RARE_LINKS]):
            by_piece.setdefault(need.piece, (need, backend))
    return dict(by_piece.values())


def choose(requested: str, profile: Profile, probed: Mapping[str, Any]) -> str:
    """Choose the back end that shapes the links here, from what ``probe`` found.

    Args:
        requested: its name, or ``auto``.

    Raises:
        UnshapableError: names what the requested back end lacks for these links, and the fix.
    """
    changing = profile.changing.values()
    able = able_backends(requested, profile.links, changing)
    missing: dict[str, Need] = {}
    for backend in able:
        lacks = {need.piece: need for need in backend.needs(profile.links) if not probed.get(need.piece)}
        if not lacks:
            return backend.name
        missing |= lacks
    fixes = {str(entry.get("what")): str(entry.get("fix")) for entry in probed.get("missing", ())}
    raise UnshapableError(
        f"kernel {probed.get('kernel', '?')} cannot shape these links (network.backend: {requested}): missing "
        + "; ".join(f"{piece} ({fixes.get(piece, 'no fix known')})" for piece in sorted(missing))
        + "".join(f"; {one}" for one in refusals(profile.links, changing))
    )


def able_backends(
    requested: str, links: Iterable[Link], changing: Iterable[Collection[Link]] = ()
) -> list[type[LinkBackend]]:
    """The back ends that may be used and that do all of these links, if the kernel has what they need.

    Args:
        requested: a name, or ``auto``.
        links: all those of a lab host.
        changing: of each direction that changes while packets pass, all links that it is.

    Raises:
        UnshapableError: none of them does.
    """
    links, changing = list(links), list(changing)
    allowed = [backend for backend in load_all() if requested in (AUTO, backend.name)]
    able = [backend for backend in allowed if not any(backend.lacks(links, changing))]
    if not able:
        said = "; ".join(one for backend in allowed for one in _refusals(backend, links, changing))
        hint = "ask for less on these links" + ("" if requested == AUTO else f", or another back end than {requested}")
        raise UnshapableError(f"no link back end that may be used does all that the links ask for: {said}", hint=hint)
    return able


def refusals(links: Iterable[Link], changing: Iterable[Collection[Link]] = ()) -> list[str]:
    """What back ends do not do of these links, whatever the kernel has, as sentences."""
    links, changing = list(links), list(changing)
    return [one for backend in load_all() for one in _refusals(backend, links, changing)]


def _module(name: str) -> str:
    return f"{links.__name__}.{name}.backend"


def _refusals(backend: type[LinkBackend], links: Iterable[Link], changing: Iterable[Collection[Link]]) -> Iterator[str]:
    return (f"back end {backend.name} {one}" for one in backend.lacks(links, changing))

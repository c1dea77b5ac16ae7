"""The testbeds that are installed: entry points of the group ``fedsim.testbeds``, each a callable without arguments."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from ..contract.errors import Exit, FedsimError
from .protocol import Testbed

GROUP = "fedsim.testbeds"
DEFAULT = "docker"


def find_testbed(name: str = DEFAULT) -> Testbed:
    """Return the testbed of this name.

    Raises:
        FedsimError: no such testbed is installed.
    """
    found = _entry_points()
    if name not in found:
        raise FedsimError(f"no testbed {name} is installed; there are {', '.join(sorted(found)) or 'none'}", Exit.LAB)
    made: Testbed = found[name].load()()
    return made


def all_testbeds() -> list[Testbed]:
    """Return one testbed of each installed kind."""
    return [find_testbed(name) for name in sorted(_entry_points())]


def _entry_points() -> Mapping[str, EntryPoint]:
    # Of two entry points with the same name, the first on the path counts, as with modules.
    return {entry.name: entry for entry in reversed(list(entry_points(group=GROUP)))}

"""Devices that are none of the run's, connected to its network for a while: links are measured from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...host import programs
from ..link_errors import LinkError
from ..profile import DeviceLink
from ..shaping.shaper import Shaper


class Guests:
    """The guests of a run on this lab host. Its owner holds a lock."""

    def __init__(self) -> None:
        self._shaper: Shaper | None = None

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self._shaper is not None

    def connect(
        self,
        shaper: Shaper,
        guests: Sequence[DeviceLink],
        sites: Mapping[str, str],
        namespaces: Mapping[str, str],
    ) -> None:
        """Connect them beside the run's devices.

        Args:
            shaper: owns the links of these.
            guests: their names and addresses.
            sites: those of guests that are at one.
            namespaces: the path of each one's network namespace.

        Raises:
            LinkError: one could not be connected.
        """
        self._shaper = shaper.with_guests(guests, sites)
        try:
            failed = [result.failed for result in self._shaper.apply(namespaces).values()]
        except (OSError, programs.CommandError) as error:
            failed = [str(error)]
        if reason := next((one for one in failed if one is not None), None):
            raise LinkError(reason)

    def forget(self, names: Iterable[str]) -> None:
        """Release them: their namespaces are about to end."""
        if self._shaper is not None:
            for name in names:
                self._shaper.forget(name)
            self._shaper = None

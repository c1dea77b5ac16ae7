"""Changes of links that are in force, from the moment at which they are prepared until what became of them is known."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from threading import RLock

from ...host import programs
from ...kernel.fan_out import hurry
from ..changes import Changed, wait_until
from ..link_errors import LinkError
from ..profile import Profile
from ..shaping.results import Change, Result
from ..shaping.shaper import Shaper
from .restoring import Restorer
from .shaped_devices import ShapedDevices


@dataclass(frozen=True)
class LiveChange:
    """A change that was prepared.

    Attributes:
        see: waits until it is due, and for whoever makes it. Where that raises a LinkError, the change is over.
        finish: returns what was changed, by device, after ``see``: it looks at what the kernel then has, which takes
            longer than the change.
    """

    see: Callable[[], None] = lambda: None
    finish: Callable[[], dict[str, Result]] = dict

    def complete(self) -> dict[str, Result]:
        """Both."""
        self.see()
        return self.finish()


class LiveChanges:
    """Changes the links of one run.

    Args:
        lock: of the links.
        devices: whose links are in force.
        restorer: which leaves links alone while they change.
    """

    def __init__(self, lock: RLock, devices: ShapedDevices, restorer: Restorer) -> None:
        self._lock = lock
        self._devices = devices
        self._restorer = restorer

    def begin(
        self, shaper: Shaper, profile: Profile, devices: Collection[str] | None, due_s: float, reads_back: bool
    ) -> LiveChange:
        """Prepare to have links be as a profile says; call it with the lock.

        Args:
            shaper: brought them into force.
            profile: how they are to be.
            devices: those whose links alone are others than those of the last profile; None: anything may be.
            due_s: when, on the monotonic clock.
            reads_back: whether to look at what the kernel then has.

        Raises:
            LinkError: the run's network is gone; also from what is returned.
        """
        here = self._devices.where_they_were()
        try:
            change = shaper.begin_change(profile, here, self._devices.is_where_it_was, due_s, reads_back, devices)
        except (OSError, programs.CommandError) as error:
            raise LinkError(str(error)) from error
        self._restorer.begin_change(change.devices)
        seen: list[Changed] = []

        def see() -> None:
            wait_until(due_s)
            with hurry(), self._ending_with_the_network(change):
                seen.extend(change.see())

        def finish() -> dict[str, Result]:
            with self._ending_with_the_network(change):
                found = [one.looked_at() for one in seen]
                with self._lock:
                    results = change.finish(found)
                    results = {**results, **self._apply_again(shaper, results, here)}
                    self._restorer.end_change(change.devices)
            return results

        return LiveChange(see, finish)

    @contextlib.contextmanager
    def _ending_with_the_network(self, change: Change) -> Iterator[None]:
        """Where the run's network is gone, the change is over, too."""
        try:
            yield
        except (OSError, programs.CommandError) as error:
            with self._lock:
                self._restorer.end_change(change.devices)
            raise LinkError(str(error)) from error

    def _apply_again(self, shaper: Shaper, results: Mapping[str, Result], here: Mapping[str, str]) -> dict[str, Result]:
        """Bring links into force that could not be changed in place, of devices that are still there."""
        failed = [name for name, result in results.items() if result.failed is not None]
        left = {name: here[name] for name in failed if self._devices.is_where_it_was(name, here[name])}
        return shaper.apply(left) if left else {}

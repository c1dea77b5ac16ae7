"""Participants that entries of a timeline kill or start anew: who is down, whose end is no loss, and who is back.

A client that is killed with a duration, or started anew, is down until it has joined again: it counts as offline for
the server, which goes on without it, and its end is no loss. One that is killed for good has crashed: what that
means is up to ``course.on_client_failure``. A client that was lost does not come back: its server has given it up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable

from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.contract.timeline import Action, TimelineEntry

from .devices import Devices
from .triggers import Course

#: What the Engine does, which takes a while.
SLOW: tuple[Action, ...] = ("kill", "restart")
_NOT_JOINED = ("starting", "loading", "ready")


class Interruptions:
    """Interrupts participants.

    Args:
        devices: acts on devices' containers.
        lost: returns the clients that were given up.

    Attributes:
        down: devices that were killed, or are started anew, and have not joined again.
    """

    def __init__(self, devices: Devices, lost: Callable[[], Collection[str]]) -> None:
        self._devices = devices
        self._lost = lost
        self.down: set[str] = set()
        self._ending: set[str] = set()  # whose next end is expected
        self._back: set[str] = set()  # of those that are down: started again
        self._failed: dict[str, str] = {}  # devices that could not be started again, with the reason
        self._killed: dict[int, set[str]] = {}  # by number of the entry, those that it has killed and may start anew

    def resume(self, down: Iterable[str]) -> None:
        """Take over from an earlier agent, which may have started them again."""
        self.down = set(down)
        self._ending, self._back = set(self.down), set(self.down)

    def begin(
        self, action: Action, entry: TimelineEntry, ends: bool, names: Iterable[str], problems: list[str]
    ) -> list[str]:
        """Have participants do nothing more that are to be killed, and note whose end is no loss.

        Args:
            action: one of :data:`SLOW`.
            entry: the one that says so.
            ends: whether its duration is over: those that it has killed, and nothing else has started since, start.
            names: the devices.
            problems: takes the reasons why it cannot be done to some.

        Returns:
            Those to which it can be done.
        """
        given_up = self._lost()
        killed = self._killed.get(entry.number) if ends else None  # None also if an earlier agent has killed them
        asked: dict[str, bool] = {}
        for name in names:
            if killed is not None and name not in killed:
                continue
            if action == "restart" and name in given_up:
                problems.append(f"{name} has been lost, and its server takes no lost client back")
                continue
            if action == "kill" and (name in self.down - self._back or not self._devices.runs(name)):
                problems.append(f"{name} is not running")
                continue
            if comes_back := action == "restart" or entry.duration_s is not None:
                self.down.add(name)
                self._back.discard(name)
            asked[name] = comes_back
        failed = self._devices.freeze(asked, True)
        # Where that fails, it does not run, or the Engine ends it as soon as it can.
        self._ending |= {name for name, comes_back in asked.items() if comes_back and name not in failed}
        if action == "kill":
            self._killed[entry.number] = set(asked)
        return list(asked)

    def carry_out(self, action: Action, name: str, found: list[str], problems: list[str]) -> None:
        """Have the Engine do it to a device; ``found`` and ``problems`` take what came of it."""
        begun = time.monotonic()
        try:
            said = self._devices.kill(name) if action == "kill" else self._devices.restart(name)
        except FedsimError as error:
            problems.append(str(error))
            if name in self.down:
                self.down.discard(name)
                self._failed[name] = str(error)
                self._is_started(name)
        else:
            found.append(f"{name}: {said}, which took {time.monotonic() - begun:.2g} s")

    def takes_end(self, device: str) -> bool:
        """Whether this end of a device's container, each is asked for once, is one that an entry has made."""
        expected = device in self._ending
        self._ending.discard(device)
        return expected

    def on_started(self, device: str) -> bool:
        """Take note that a device's container has started; return whether an entry has had it started."""
        if device in self.down:
            self._back.add(device)
            self._is_started(device)
        return device in self.down

    def _is_started(self, device: str) -> None:
        for killed in self._killed.values():
            killed.discard(device)

    def joined_again(self, course: Course) -> set[str]:
        """Those that are down and have joined again, as far as is known."""
        return {name for name in self.down & self._back if course.states.get(name) not in _NOT_JOINED}

    def take_back(self, names: Collection[str]) -> None:
        """These are no longer down."""
        self.down.difference_update(names)
        self._back.difference_update(names)

    def failed(self) -> dict[str, str]:
        """Devices that could not be started again, each once, with the reason."""
        failed, self._failed = self._failed, {}
        return failed

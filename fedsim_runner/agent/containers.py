"""The run's device containers as last seen: the Engine's events, and what it answers when it is asked.

The Engine may take seconds to answer, or not answer at all. So it is asked by threads that hold no lock, and an answer
changes only what no event has been about since it was asked for: each event leads to a question of its own. A
container about which the Engine does not answer is unknown. That is neither missing nor ended; it is asked again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from threading import RLock
from typing import Any

from ..contract.names import LABEL_DEVICE, LABEL_RUN
from .host.background import Background
from .host.docker_api import Docker, DockerError, RefusedError
from .host.fleet import Container, Fleet, Listing

_KILLED = 137  # the exit code to assume of a container that was removed before the Engine reported one
_ASKERS = 4
RESYNC_S = 30.0
ASK_AGAIN_S = 2.0
_END_S = 20.0  # an end is certain, so its details are not waited for any longer
_TRIES = 3
_PAUSE_S = 0.3  # between two listings, for questions under way


@dataclass(frozen=True)
class Reactions:
    """What the owner does about changes; all but ``devices`` are called with its lock held.

    Attributes:
        devices: returns the names of the devices that count; called each time they are needed.
        on_started: called with a container when its process is first seen.
        on_stopped: called at once with a container whose process has ended.
        on_exit: called after that, when its exit code is known, with the end of its output.
        on_known: called when no container's state is unknown any longer.
    """

    devices: Callable[[], Collection[str]]
    on_started: Callable[[Container], None]
    on_stopped: Callable[[Container], None]
    on_exit: Callable[[Container, list[str]], None]
    on_known: Callable[[], None]


class Containers:
    """The device containers of one run.

    Args:
        docker: the Engine.
        run: the run's id.
        lock: the owner's. It is taken here to apply an answer; :meth:`refresh` must be called without it, and all
            else with it.
        reactions: what the owner does about changes.

    Attributes:
        by_device: the containers as last seen.
    """

    def __init__(self, docker: Docker, run: str, lock: RLock, reactions: Reactions) -> None:
        self._docker = docker
        self._run = run
        self._fleet = Fleet(docker, run)
        self._lock = lock
        self._reactions = reactions
        self._background = Background("ask the Engine", _ASKERS)
        self._events: Counter[str] = Counter()  # by device, to tell answers that are older than an event
        self._unknown: dict[str, str] = {}  # ids, by device, of containers that are asked for or gave no answer
        self._asking: set[str] = set()  # devices that are being asked for
        self._ends: set[tuple[str, float]] = set()  # containers and starts whose end is being looked up
        self._closed = self._listing = self._has_listed = False
        self._next_listing = self._next_asking = 0.0
        self.by_device: dict[str, Container] = {}

    def running_pids(self) -> dict[str, int]:
        """Process ids of the running containers, by device."""
        return {name: container.pid for name, container in self.by_device.items() if container.pid}

    @property
    def unknown(self) -> Collection[str]:
        """Devices whose container has changed in a way that the Engine has not reported yet."""
        return self._unknown.keys()

    # -- asking for all -----------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Bring ``by_device`` up to date, asking up to three times. Call it without the lock.

        Raises:
            DockerError: the Engine does not answer, or not about all containers; what it does not answer is unchanged.
        """
        for left in reversed(range(_TRIES)):
            try:
                unknown = self._list()
            except DockerError:
                if not left:
                    raise
            else:
                if not unknown:
                    return
            if left:
                time.sleep(_PAUSE_S)
        names = ", ".join(sorted(unknown))
        raise DockerError(f"the Docker Engine does not say in what state these devices are: {names}")

    def refresh_later(self) -> None:
        """Bring ``by_device`` up to date, without waiting for the Engine."""
        if self._listing:
            return
        self._listing = True
        self._next_listing = time.monotonic() + RESYNC_S

        def list_all() -> None:
            try:
                self._list()
            except DockerError:
                with self._lock:
                    self._next_listing = time.monotonic() + ASK_AGAIN_S
            finally:
                self._listing = False

        self._background.submit(list_all)

    def tick(self) -> None:
        """Ask for all now and then, and sooner for those that are unknown."""
        now = time.monotonic()
        if now >= self._next_listing:
            self.refresh_later()
        if self._unknown and now >= self._next_asking:
            self._next_asking = now + ASK_AGAIN_S
            for device in list(self._unknown):
                self._ask(device)

    def _list(self) -> Collection[str]:
        with self._lock:
            known, events = dict(self.by_device), self._events.copy()
        listing = self._fleet.list_containers(known)
        with self._lock:
            return self._apply(listing, events)

    def _apply(self, listing: Listing, events: Mapping[str, int]) -> Collection[str]:
        """Apply the answers that no event has overtaken; return the devices that are still unknown."""
        if self._closed:
            return ()
        devices = [name for name in self._reactions.devices() if self._events[name] == events.get(name, 0)]
        for name in devices:
            if name in listing.found:
                self._observe(listing.found[name])
            elif name in listing.gone:
                self._forget(name)
            elif name in listing.unknown:
                self._unknown[name] = listing.unknown[name]
                continue
            self._settle(name)
        self._has_listed = True
        return set(self._unknown)

    # -- asking for one -----------------------------------------------------------------------------------------------

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Take one event of the Engine: the end of a known container at once, all else once the Engine has answered."""
        actor = event.get("Actor") or {}
        attributes = actor.get("Attributes") or {}
        identity = str(actor.get("ID"))
        device = attributes.get(LABEL_DEVICE, "")
        if attributes.get(LABEL_RUN) != self._run or device not in self._reactions.devices():
            return
        known = self.by_device.get(device)
        moment = float(event.get("timeNano") or 0) / 1e9
        is_end = event.get("Action") == "die"
        if is_end and known is not None and known.id == identity and known.pid:
            if moment and moment < known.started_at:
                return  # of an earlier process of the container, whose end has been noticed since
            self._events[device] += 1
            code = str(attributes.get("exitCode", ""))
            self._stop(known, int(code) if code.isdigit() else None, False)
            return
        self._events[device] += 1
        self._unknown[device] = identity
        self._ask(device)

    def _ask(self, device: str) -> None:
        """Ask the Engine for an unknown container; if it does not answer, the device stays unknown."""
        if device in self._asking:
            return
        self._asking.add(device)

        def ask() -> None:
            while self._ask_once(device):
                pass  # something has happened to it meanwhile

        self._background.submit(ask)

    def _ask_once(self, device: str) -> bool:
        """Return whether to ask again at once."""
        with self._lock:
            events, identity = self._events[device], self._unknown.get(device)
        try:
            container = None if identity is None else self._fleet.inspect(identity)
            answered = identity is not None
        except DockerError:
            answered = False
        with self._lock:
            if answered and not self._closed and self._events[device] != events:
                return True
            self._asking.discard(device)
            if answered and not self._closed:
                if container is not None:
                    self._observe(container)
                elif device in self.by_device and self.by_device[device].id == identity:
                    self._forget(device)
                self._settle(device)
        return False

    def _settle(self, device: str) -> None:
        if self._unknown.pop(device, None) is not None and not self._unknown:
            self._reactions.on_known()

    # -- what was learned ---------------------------------------------------------------------------------------------

    def _observe(self, container: Container) -> None:
        before = self.by_device.get(container.device)
        if before == container:
            return
        restarted = before is None or (before.id, before.started_at) != (container.id, container.started_at)
        if before is not None and before.pid and (restarted or before.pid != container.pid):
            self._stop(before, None if restarted else container.exit_code, container.oom_killed and not restarted)
        self.by_device[container.device] = container
        if container.pid:
            if before is None or before.pid != container.pid:
                self._reactions.on_started(container)
        elif restarted and container.exit_code is not None and self._has_listed:
            # It started and ended without being seen to run. What had ended before the first list is an earlier story.
            self._reactions.on_stopped(container)
            self._look_up_end(container)

    def _forget(self, device: str) -> None:
        container = self.by_device.get(device)
        if container is not None and container.pid:
            self._stop(container, _KILLED, False)

    def _stop(self, container: Container, exit_code: int | None, oom_killed: bool) -> None:
        after = replace(container, pid=0, paused=False, exit_code=exit_code, oom_killed=oom_killed)
        self.by_device[container.device] = after
        self._reactions.on_stopped(after)
        self._look_up_end(after)

    def close(self) -> None:
        """Ask no more, and call no reaction."""
        self._closed = True
        self._background.close()

    def forget_others(self, devices: Collection[str]) -> None:
        """Forget the containers of devices that are no longer of the run."""
        for name in self.by_device.keys() - set(devices):
            del self.by_device[name]
            self._unknown.pop(name, None)

    # -- ends ---------------------------------------------------------------------------------------------------------

    def report_ends(self) -> None:
        """Have ``on_exit`` called, also once more, for each container that has ended."""
        for container in list(self.by_device.values()):
            if not container.pid and container.exit_code is not None:
                self._look_up_end(container)

    def _look_up_end(self, container: Container) -> None:
        """Find out what an event does not say about an end, which is certain, and report it."""
        start = container.id, container.started_at
        if start in self._ends:
            return
        self._ends.add(start)

        def look_up() -> None:
            ended, lines = container, ["(the Docker Engine does not give its output)"]
            deadline = time.monotonic() + _END_S
            for attempt in range(_TRIES):
                if attempt:
                    if time.monotonic() >= deadline:
                        break
                    time.sleep(ASK_AGAIN_S)
                try:
                    now = self._fleet.inspect(container.id)
                    lines = self._fleet.last_lines(container.id) if now is not None else []
                except DockerError:
                    continue
                ended = _complete(container, now)
                break
            with self._lock:
                self._ends.discard(start)
                if self._closed:
                    return
                if ended.exit_code is None:
                    ended = replace(ended, exit_code=_KILLED)
                if self.by_device.get(container.device) == container:
                    self.by_device[container.device] = ended
                self._reactions.on_exit(ended, lines)

        self._background.submit(look_up)

    def send(self, names: Collection[str], signal: str) -> None:
        """Send a signal to the running ones among these devices, without waiting for the Engine."""
        for identity in [self.by_device[name].id for name in names if name in self.running_pids()]:
            self._background.submit(partial(self._kill, identity, signal))

    def _kill(self, identity: str, signal: str) -> None:
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(ASK_AGAIN_S)
            try:
                self._docker.kill(identity, signal)
            except RefusedError:
                return  # it has already ended
            except DockerError:
                continue
            return


def _complete(ended: Container, now: Container | None) -> Container:
    """Add what the Engine says about the end, unless the container runs again."""
    if now is None or now.pid or now.started_at != ended.started_at:
        return ended
    code = now.exit_code if ended.exit_code is None else ended.exit_code
    return replace(ended, exit_code=code, oom_killed=now.oom_killed)

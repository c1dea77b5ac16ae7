"""What the packet process is asked to do and asked for: links and queues set, changed when that is due, and shown.

``{"op": "set", "seed": n, "ups": {address: link}, "ways_us": {address: n}, "sites": {address: site},
"edges": [[site, site, link]], "hops": false, "groups": {address: group}, "devices": {name: {"address", "netns", "down",
"maxlen", "gso", "site", "guest"}}}``: ``ways_us`` are microseconds from other lab hosts to here, a device of null is
released, and without ``ups``, ``sites`` or ``groups`` these stay as they are. The address ``guest`` is at the device's
site, too. A packet whose sender is of another group than its receiver is dropped, and any of or to the group
``offline``.
``{"op": "change", "number": n, "at": t, "ups": {...}, "devices": {name: {"down", "maxlen", "gso", "site", "guest"}}}``:
of what is in force, these alone; ``groups``, where given, all of them. It is carried out at this time of the monotonic
clock, which all processes share, and is not answered. A change may have several such parts (due_changes.py).
``{"op": "changed", "number": n}``: what has become of a change; what of it still waits is carried out first.
``{"op": "state"}``, ``{"op": "count"}`` (from now on), ``{"op": "counts"}`` and ``{"op": "changes"}`` (counting.py).
Links are those of contract/link.py.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedsim_runner.contract.link import Link

from ...kernel import netns
from ...processes import scheduling
from . import nfqueue
from .counting import Counting
from .device_queue import Queue
from .direction import Direction, direction_with
from .due_changes import DueChanges, keys_of
from .holdings import Holdings
from .lateness import Lateness
from .queue_rule import QUEUE_NUMBER


class Orders:
    """Carries out commands.

    Args:
        held: what they set and change.
        priority: how this process is scheduled (processes/scheduling.py).
    """

    def __init__(self, held: Holdings, priority: str) -> None:
        self._held = held
        self._priority = priority
        self._due = DueChanges()
        self._counting = Counting()
        self._seed: object = 0

    @property
    def next_s(self) -> float | None:
        """When the next change is due, on the monotonic clock; None: none waits."""
        return self._due.next_s

    def change_what_is_due(self, now_s: float) -> None:
        """Carry out one part of a change, if one is due."""
        if part := self._due.take(now_s):
            self._change(part)

    def look_at_rates(self, now_s: float) -> None:
        """Compare what has passed with the rates."""
        self._counting.look_at_rates(self._held.directions, now_s)

    def obey(self, command: dict[str, Any]) -> dict[str, Any] | None:
        """Carry out one command and return the answer; None: it has none."""
        if command["op"] == "change":
            ups = {address: Link.from_dict(link) for address, link in command["ups"].items()}
            self._due.hold({**command, "ups": ups})
            return None
        if command["op"] == "changed":
            return self._changed(command["number"])
        return self._obey(command)

    def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        failed: dict[str, str] = {}
        if command["op"] == "count":
            self._held.lateness = Lateness()
            self._counting.start_again(self._held.directions, time.monotonic())
        if command["op"] in ("count", "counts"):
            return self._counting.totals(self._held.directions)
        if command["op"] == "changes":
            return self._counting.changes(self._held.directions, time.monotonic())
        if command["op"] == "set":
            self._due.note(keys_of(command))
            if "ups" in command:
                self._set_ups(command)
            if "sites" in command:
                self._held.edges.set(command["sites"], command["edges"], command["hops"], self._seed)
            self._set_groups(command)
            for name, settings in command["devices"].items():
                try:
                    self._set_device(name, settings)
                except OSError as error:
                    failed[name] = str(error)
        return {
            "failed": failed,
            "lateness": {**self._held.lateness.as_dict(), "scheduling": scheduling.present(self._priority)},
            "held": len(self._held.heap),
            "ups": {socket.inet_ntoa(source): up.link.as_dict() for source, up in self._held.ups.items()},
            **self._held.edges.as_lists(),
            "groups": self._groups_by_address(),
            "ways_us": {socket.inet_ntoa(source): round(way_s * 1e6) for source, way_s in self._held.ways_s.items()},
            "devices": {
                name: {
                    **queue.described(),
                    "down": queue.down.link.as_dict(),
                    "namespace": list(queue.namespace),
                    "received": queue.received,
                    "dropped": queue.dropped,
                }
                for name, queue in self._held.queues.items()
            },
        }

    def _changed(self, number: int) -> dict[str, Any]:
        """What has become of a change, all of which has been carried out after that."""
        while part := self._due.take_of(number):
            self._change(part)
        outcome = self._due.pop(number)
        return {
            "late_s": outcome.late_s,
            "failed": outcome.failed,
            "ups": {address: link.as_dict() for address, link in outcome.ups.items()},
            "devices": {name: {**one, "down": one["down"].as_dict()} for name, one in outcome.devices.items()},
            "groups": self._groups_by_address() if outcome.groups else None,
        }

    def _change(self, command: dict[str, Any]) -> None:
        """Give directions other values, in place; note those that they then have."""
        self._set_groups(command)
        outcome = self._due.outcome(command["number"])
        moved: dict[int, tuple[Direction, Direction]] = {}  # what each direction has become
        now = time.monotonic()

        def changed(before: Direction | None, link: Link, seed: str) -> Direction:
            after = direction_with(before, link, seed, now)
            if before is not None and after is not before:
                before.tally.rate.look(now, before.tally.bytes, before.link.rate_bps)  # until now, it was this rate
                moved[id(before)] = before, after
            return after

        for address, link in command["ups"].items():
            source = socket.inet_aton(address)
            self._held.ups[source] = changed(self._held.ups.get(source), link, f"{self._seed}/{address}/up")
            outcome.ups[address] = self._held.ups[source].link
        for name, settings in command["devices"].items():
            queue = self._held.queues.get(name)
            if queue is None:
                outcome.failed[name] = "the packet process has no queue of it"
                continue
            maxlen, gso = int(settings["maxlen"]), bool(settings["gso"])
            if (queue.maxlen, queue.gso) != (maxlen, gso):
                try:
                    nfqueue.retune(queue.channel, QUEUE_NUMBER, maxlen, gso)
                except OSError as error:
                    outcome.failed[name] = str(error)
                    continue
                queue.maxlen, queue.gso = maxlen, gso
            link = Link.from_dict(settings["down"])
            queue.down = self._held.downs[name] = changed(queue.down, link, f"{self._seed}/{name}/down")
            outcome.devices[name] = queue.described()
        self._held.move(moved, now)
        outcome.groups |= "groups" in command
        outcome.late_s = max(outcome.late_s, time.monotonic() - command["at"])

    def _set_groups(self, command: Mapping[str, Any]) -> None:
        if "groups" in command:
            self._held.groups = {socket.inet_aton(address): group for address, group in command["groups"].items()}

    def _groups_by_address(self) -> dict[str, str]:
        return {socket.inet_ntoa(address): group for address, group in self._held.groups.items()}

    def _set_ups(self, command: dict[str, Any]) -> None:
        self._seed = command["seed"]
        self._held.ways_s = {socket.inet_aton(address): way / 1e6 for address, way in command["ways_us"].items()}
        before, self._held.ups = self._held.ups, {}
        for address, listed in command["ups"].items():
            source = socket.inet_aton(address)
            self._held.ups[source] = direction_with(
                before.get(source), Link.from_dict(listed), f"{self._seed}/{address}/up"
            )

    def _set_device(self, name: str, settings: dict[str, Any] | None) -> None:
        queue = self._held.queues.get(name)
        if settings is None:
            if queue is not None:
                self._held.close(queue)
            return
        status = Path(settings["netns"]).stat()
        namespace = (status.st_dev, status.st_ino)
        maxlen, gso = int(settings["maxlen"]), bool(settings["gso"])
        kept = queue is not None and (queue.namespace, queue.maxlen, queue.gso) == (namespace, maxlen, gso)
        known = self._held.downs.get(name)
        link = Link.from_dict(settings["down"])
        down = direction_with(queue.down if queue and kept else None, link, f"{self._seed}/{name}/down")
        if known is not None:
            down.tally = known.tally
        if queue is not None:
            if kept:
                queue.down = self._held.downs[name] = down
                self._place(queue, settings)
                return
            self._held.close(queue)
        with netns.inside(settings["netns"]):
            channel = nfqueue.open_queue(QUEUE_NUMBER, maxlen, gso)
        self._held.downs[name] = down
        queue = Queue(name, socket.inet_aton(settings["address"]), namespace, channel, down, maxlen, gso, None)
        self._place(queue, settings)
        self._held.open(queue)

    def _place(self, queue: Queue, settings: Mapping[str, Any]) -> None:
        # A device keeps its queue with another address, if others of the experiment were added before it.
        if queue.guest not in (None, settings["guest"]):
            self._held.edges.remove_guest(socket.inet_aton(queue.guest))
        queue.address = socket.inet_aton(settings["address"])
        queue.site, queue.guest = settings["site"], settings["guest"]
        if queue.guest is not None and queue.site is not None:
            self._held.edges.add_guest(socket.inet_aton(queue.guest), queue.site)

"""The userspace back end's packet process: all of every link, for the packets in all devices' queues.

A packet arrives in its receiver's queue as soon as it is sent, or, from another lab host, after a time that is known.
From when it was sent (by the kernel's stamp, so it does not matter when this process gets to it) it takes the sender's
uplink, the edge between their sites if these differ (crossings.py), then the receiver's downlink (direction.py), and it
is released when it is due, or dropped.

The process is separate from supervision, whose work therefore never delays a packet. It has one timer heap for all
devices and one wait for queues and timers, and sends verdicts due at the same time together. When its parent ends, its
standard input closes and it ends too; then no queue has a listener and the kernel drops what arrives (fail closed).

It takes JSON lines on its standard input, and answers each with one on standard output. Changes come on a channel of
their own, whose descriptor is its argument: who makes them waits for nobody who asks for something else. Links are
those of contract/link.py.

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
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import heapq
import math
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.queue_size import FRAME_BYTES

from .. import netns
from . import nfqueue, scheduling
from .arrivals import OFFLINE
from .commands import Commands
from .counting import Counting, Held
from .crossings import Edges
from .device_queue import Queue
from .direction import Direction, direction_with
from .due_changes import DueChanges, keys_of
from .lateness import SLIGHT_S, Lateness
from .queue_rule import QUEUE_NUMBER

_PR_SET_TIMERSLACK = 29
_TIMER_SLACK_NS = 1000
_BATCH = 64  # packets taken from one queue before those due are released and the others get their turn
_VERDICTS_AT_ONCE = 1000
_LONGEST_WAIT_S = 60.0
#: What arrives or is due within this time is handled together: to wake up for each packet costs more than the packet.
_PAUSE_S = 0.0001
#: A stamp that is older is that of another clock: somebody has set the lab host's.
_OLDEST_S = 5.0
#: What reaches the downlink so soon need not wait for the timer.
_AT_ONCE_S = 0.0001
#: Two clocks that are read within this time are read together: nothing else ran in between.
_TOGETHER_S = 0.00002
_ETHERNET_BYTES = 14
#: How often what has passed is compared with the rates.
_LOOK_S = 0.5
# Of a TCP stream cut into frames: payload, and headers with Ethernet's, of each.
_SEGMENT_BYTES, _HEADER_BYTES = 1448, 66


_Entry = tuple[float, int, Queue, int, int, Direction | None, Direction | None, float]


class Packets:
    """The queues of all devices on a lab host.

    Args:
        commands: the channels on which they come; those of the first one that has some are carried out before others.
        priority: how this process is scheduled (scheduling.py).
    """

    def __init__(self, commands: Iterable[Commands] = (), priority: str = scheduling.NICE) -> None:
        self._commands = {one.reads: one for one in commands}
        self._priority = priority
        self._due = DueChanges()
        self._poll = select.epoll()
        for descriptor in self._commands:
            self._poll.register(descriptor, select.EPOLLIN)
        parser = nfqueue.Parser()
        self._parse, self._hop = parser.parse, parser.hop
        self._queues: dict[str, Queue] = {}
        self._by_descriptor: dict[int, Queue] = {}
        # When what is due, a number that keeps those due at once in order, where, which packet, its size if it is to
        # enter a direction then (0: it leaves the downlink), the edge that it is to enter (None: the downlink), and the
        # direction that holds it until then (None: a sender's outside the run), whose bottleneck it leaves when.
        self._heap: list[_Entry] = []
        self._count = 0
        self._seed: object = 0
        self._ups: dict[bytes, Direction] = {}
        self._groups: dict[bytes, str] = {}
        self._ways_s: dict[bytes, float] = {}  # of packets from other lab hosts
        self._edges = Edges()
        self._offset_s = time.monotonic() - time.time()
        self._lateness = Lateness()
        self._counting = Counting()
        # Of all downlinks so far, by device: a container that has ended counts, and one that is restarted goes on.
        self._downs: dict[str, Direction] = {}
        self._next_look_s = 0.0
        self._rest = scheduling.Rest(scheduling.least_rest() if priority == scheduling.REAL_TIME else 0.0)

    def run(self) -> None:
        """Handle packets and commands until a channel of commands ends."""
        descriptor = self._poll.fileno()
        while True:
            before = time.monotonic()
            time.sleep(_PAUSE_S)
            # epoll itself waits in milliseconds; select on it in microseconds.
            wait = self._wait_s()
            arrived = select.select([descriptor], [], [], wait)[0]
            self._rest.waited(time.monotonic() - before)
            self._release()
            for ready, _ in self._poll.poll(0) if arrived else ():
                if ready in self._commands:
                    if not self._commands[ready].read():
                        return
                elif queue := self._by_descriptor.get(ready):
                    self._receive(queue)
                    self._release()
            # One command, and one part of a change, before packets are looked after again.
            if commands := next(filter(None, self._commands.values()), None):
                answer = self.obey(commands.take())
                if answer is not None:
                    commands.answer(answer)
            if part := self._due.take(time.monotonic()):
                self._change(part)
            if before >= self._next_look_s:
                self._next_look_s = before + _LOOK_S
                self._counting.look_at_rates(self._held(), time.monotonic())

    def _wait_s(self) -> float:
        """Seconds until something is to be done if nothing arrives."""
        if any(self._commands.values()):
            return 0.0
        due = [self._heap[0][0]] if self._heap else []
        if self._due.next_s is not None:
            due.append(self._due.next_s)
        return max(0.0, min(due) - time.monotonic()) if due else _LONGEST_WAIT_S

    def _receive(self, queue: Queue) -> None:
        receive, parse, ups, down, heap = queue.channel.recv, self._parse, self._ups, queue.down, self._heap
        # What is at no site is reached from everywhere.
        sites = self._edges.sites if queue.site is not None else {}
        ways_s, groups, own = self._ways_s, self._groups, self._groups.get(queue.address)
        here, into, hops = queue.site or "", self._edges.into.get(queue.site or "", {}), self._edges.hops
        now = self._look_at_the_clocks()
        for _ in range(_BATCH):
            try:
                message = receive(4096)
            except OSError:
                break  # it is empty, or the namespace is ending, which Docker will report
            packet = parse(message)
            if packet is None:
                continue
            queue.received += 1
            identity, source, length, stamp = packet
            if hops:
                source = self._hop(message) or source
            if groups and (own == OFFLINE or groups.get(source) != own):
                queue.refused.append(identity)
                continue
            at = stamp + self._offset_s
            if at > now:  # it has arrived meanwhile
                now = self._look_at_the_clocks()
                at = min(now, stamp + self._offset_s)
            if at < now - _OLDEST_S:
                at = now
            arrived = at
            if ways_s:
                at -= ways_s.get(source, 0.0)
            size = length + _ETHERNET_BYTES
            if size > FRAME_BYTES:
                size += (math.ceil(length / _SEGMENT_BYTES) - 1) * _HEADER_BYTES
            up = ups.get(source)  # of a sender outside the run: none
            due = at if up is None else up.departure_s(at, size)
            edge, holder = None, up
            if sites and (there := sites.get(source, here)) != here:
                edge = into.get(there)
                if edge is None:
                    due = None  # there is no way
                elif due is not None and due <= now + _AT_ONCE_S and not (heap and heap[0][0] <= due):
                    due, edge, holder = edge.departure_s(due, size), None, edge
            # Nothing overtakes what is to leave before it, but waits for the timer.
            if due is not None and edge is None and due <= now + _AT_ONCE_S and not (heap and heap[0][0] <= due):
                due, holder = down.departure_s(due, size), down
                size = 0
                if due is not None and due < arrived:  # the way was longer than all of the delay
                    due = arrived
            if due is None:
                queue.refused.append(identity)
            elif due <= now and not size and not (heap and heap[0][0] <= due):
                queue.accepted.append(identity)
                if now - due > SLIGHT_S:
                    self._lateness.add_late(now - due)
            else:
                self._count += 1
                left_s = due if holder is None else holder.left_s
                heapq.heappush(heap, (due, self._count, queue, identity, size, edge, holder, left_s))
        self._send(queue)

    def _look_at_the_clocks(self) -> float:
        """The time on this process's clock, and by how much that of the kernel's stamps differs."""
        before, stamps, now = time.monotonic(), time.time(), time.monotonic()
        if now - before < _TOGETHER_S:
            self._offset_s = now - stamps
        return now

    def _release(self) -> None:
        now = time.monotonic()
        rest = self._rest.due_s(now)
        if rest:
            time.sleep(rest)
            now = time.monotonic()
        heap = self._heap
        touched: dict[int, Queue] = {}
        while heap and heap[0][0] <= now:
            due, _, queue, identity, size, edge, _, _ = heap[0]
            if size:
                holder = edge or queue.down
                leaves = holder.departure_s(due, size)
                if leaves is not None:
                    self._count += 1
                    left = 0 if edge is None else size
                    heapq.heapreplace(heap, (leaves, self._count, queue, identity, left, None, holder, holder.left_s))
                    continue
                queue.refused.append(identity)
            else:
                queue.accepted.append(identity)
                if now - due > SLIGHT_S:
                    self._lateness.add_late(now - due)
            heapq.heappop(heap)
            touched[id(queue)] = queue
        for queue in touched.values():
            self._send(queue)

    def _send(self, queue: Queue) -> None:
        """Tell the kernel what was decided about a queue's packets."""
        queue.dropped += len(queue.refused)
        self._lateness.packets += len(queue.accepted)
        for identities, decision in ((queue.refused, nfqueue.DROP), (queue.accepted, nfqueue.ACCEPT)):
            for start in range(0, len(identities), _VERDICTS_AT_ONCE):
                part = identities[start : start + _VERDICTS_AT_ONCE]
                data = b"".join([nfqueue.verdict(QUEUE_NUMBER, identity, decision) for identity in part])
                # A queue closed by a container's end takes its packets with it.
                with contextlib.suppress(OSError):
                    queue.channel.send(data)
            identities.clear()

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
            self._lateness = Lateness()
            self._counting.start_again(self._held(), time.monotonic())
        if command["op"] in ("count", "counts"):
            return self._counting.totals(self._held())
        if command["op"] == "changes":
            return self._counting.changes(self._held(), time.monotonic())
        if command["op"] == "set":
            self._due.note(keys_of(command))
            if "ups" in command:
                self._set_ups(command)
            if "sites" in command:
                self._edges.set(command["sites"], command["edges"], command["hops"], self._seed)
            self._set_groups(command)
            for name, settings in command["devices"].items():
                try:
                    self._set_device(name, settings)
                except OSError as error:
                    failed[name] = str(error)
        return {
            "failed": failed,
            "lateness": {**self._lateness.as_dict(), "scheduling": scheduling.present(self._priority)},
            "held": len(self._heap),
            "ups": {socket.inet_ntoa(source): up.link.as_dict() for source, up in self._ups.items()},
            **self._edges.as_lists(),
            "groups": self._groups_by_address(),
            "ways_us": {socket.inet_ntoa(source): round(way_s * 1e6) for source, way_s in self._ways_s.items()},
            "devices": {
                name: {
                    **queue.described(),
                    "down": queue.down.link.as_dict(),
                    "namespace": list(queue.namespace),
                    "received": queue.received,
                    "dropped": queue.dropped,
                }
                for name, queue in self._queues.items()
            },
        }

    def _held(self) -> Held:
        return Held(self._ups, self._downs, self._edges.shaped)

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
            self._ups[source] = changed(self._ups.get(source), link, f"{self._seed}/{address}/up")
            outcome.ups[address] = self._ups[source].link
        for name, settings in command["devices"].items():
            queue = self._queues.get(name)
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
            queue.down = self._downs[name] = changed(queue.down, link, f"{self._seed}/{name}/down")
            outcome.devices[name] = queue.described()
        self._move(moved, now)
        outcome.groups |= "groups" in command
        outcome.late_s = max(outcome.late_s, time.monotonic() - command["at"])

    def _set_groups(self, command: Mapping[str, Any]) -> None:
        if "groups" in command:
            self._groups = {socket.inet_aton(address): group for address, group in command["groups"].items()}

    def _groups_by_address(self) -> dict[str, str]:
        return {socket.inet_ntoa(address): group for address, group in self._groups.items()}

    def _move(self, moved: Mapping[int, tuple[Direction, Direction]], now_s: float) -> None:
        """Have what is under way in directions that have changed leave as their new rates say."""
        last: dict[int, float] = {}
        for place, entry in enumerate(self._heap):
            due, count, queue, identity, size, edge, holder, left_s = entry
            if holder is None or id(holder) not in moved:
                continue
            before, after = moved[id(holder)]
            sooner_s = before.moved_s(left_s, now_s, after)
            due += sooner_s - left_s
            last[id(holder)] = max(due, last.get(id(holder), 0.0))
            self._heap[place] = (due, count, queue, identity, size, edge, after, sooner_s)
        for number, due in last.items():
            moved[number][1].last_leaves_at(due)
        if last:
            heapq.heapify(self._heap)

    def _set_ups(self, command: dict[str, Any]) -> None:
        self._seed = command["seed"]
        self._ways_s = {socket.inet_aton(address): way / 1e6 for address, way in command["ways_us"].items()}
        before, self._ups = self._ups, {}
        for address, listed in command["ups"].items():
            source = socket.inet_aton(address)
            self._ups[source] = direction_with(before.get(source), Link.from_dict(listed), f"{self._seed}/{address}/up")

    def _set_device(self, name: str, settings: dict[str, Any] | None) -> None:
        queue = self._queues.get(name)
        if settings is None:
            if queue is not None:
                self._close(queue)
            return
        status = Path(settings["netns"]).stat()
        namespace = (status.st_dev, status.st_ino)
        maxlen, gso = int(settings["maxlen"]), bool(settings["gso"])
        kept = queue is not None and (queue.namespace, queue.maxlen, queue.gso) == (namespace, maxlen, gso)
        known = self._downs.get(name)
        link = Link.from_dict(settings["down"])
        down = direction_with(queue.down if queue and kept else None, link, f"{self._seed}/{name}/down")
        if known is not None:
            down.tally = known.tally
        if queue is not None:
            if kept:
                queue.down = self._downs[name] = down
                self._place(queue, settings)
                return
            self._close(queue)
        with netns.inside(settings["netns"]):
            channel = nfqueue.open_queue(QUEUE_NUMBER, maxlen, gso)
        self._downs[name] = down
        queue = Queue(name, socket.inet_aton(settings["address"]), namespace, channel, down, maxlen, gso, None)
        self._place(queue, settings)
        self._queues[name] = self._by_descriptor[channel.fileno()] = queue
        self._poll.register(channel, select.EPOLLIN)

    def _place(self, queue: Queue, settings: Mapping[str, Any]) -> None:
        # A device keeps its queue with another address, if others of the experiment were added before it.
        if queue.guest not in (None, settings["guest"]):
            self._edges.remove_guest(socket.inet_aton(queue.guest))
        queue.address = socket.inet_aton(settings["address"])
        queue.site, queue.guest = settings["site"], settings["guest"]
        if queue.guest is not None and queue.site is not None:
            self._edges.add_guest(socket.inet_aton(queue.guest), queue.site)

    def _close(self, queue: Queue) -> None:
        if queue.guest is not None:
            self._edges.remove_guest(socket.inet_aton(queue.guest))
        self._poll.unregister(queue.channel)
        del self._by_descriptor[queue.channel.fileno()]
        del self._queues[queue.device]
        queue.channel.close()
        self._heap[:] = [entry for entry in self._heap if entry[2] is not queue]
        heapq.heapify(self._heap)


def main() -> int:
    """Run the process: commands on standard input, answers on standard output."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK_NS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.collect()
    gc.disable()  # nothing here creates cycles, and a collection would delay packets
    changes = int(sys.argv[1])
    commands = Commands(changes, changes), Commands(sys.stdin.fileno(), sys.stdout.fileno())
    with nfqueue.ask_for_stamps():
        Packets(commands, scheduling.gain_priority()).run()
    return 0

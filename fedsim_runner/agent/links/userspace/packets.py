"""The userspace back end's packet process: all of every link, for the packets in all devices' queues.

A packet arrives in its receiver's queue as soon as it is sent, or, from another lab host, after a time that is known.
From when it was sent (by the kernel's stamp, so it does not matter when this process gets to it) it takes the sender's
uplink, the edge between their sites if these differ (crossings.py), then the receiver's downlink (direction.py), and it
is released when it is due, or dropped.

The process is separate from supervision, whose work therefore never delays a packet. It has one timer heap for all
devices and one wait for queues and timers, and sends verdicts due at the same time together. When its parent ends, its
standard input closes and it ends too; then no queue has a listener and the kernel drops what arrives (fail closed).

It takes commands (orders.py) as JSON lines on its standard input, and answers each with one on standard output. Changes
come on a channel of their own, whose descriptor is its argument: who makes them waits for nobody who asks for something
else.
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
import sys
import time
from collections.abc import Iterable

from fedsim_runner.contract.queue_size import FRAME_BYTES

from ...processes import scheduling
from ...processes.commands import Commands
from . import nfqueue
from .arrivals import OFFLINE
from .device_queue import Queue
from .holdings import Holdings
from .lateness import SLIGHT_S
from .orders import Orders
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


class Packets:
    """The queues of all devices on a lab host.

    Args:
        commands: the channels on which they come; those of the first one that has some are carried out before others.
        priority: how this process is scheduled (processes/scheduling.py).
    """

    def __init__(self, commands: Iterable[Commands] = (), priority: str = scheduling.NICE) -> None:
        self._commands = {one.reads: one for one in commands}
        self._held = Holdings()
        for descriptor in self._commands:
            self._held.poll.register(descriptor, select.EPOLLIN)
        self._orders = Orders(self._held, priority)
        parser = nfqueue.Parser()
        self._parse, self._hop = parser.parse, parser.hop
        self._offset_s = time.monotonic() - time.time()
        self._next_look_s = 0.0
        self._rest = scheduling.Rest(scheduling.least_rest() if priority == scheduling.REAL_TIME else 0.0)

    def run(self) -> None:
        """Handle packets and commands until a channel of commands ends."""
        poll, held, orders = self._held.poll, self._held, self._orders
        descriptor = poll.fileno()
        while True:
            before = time.monotonic()
            time.sleep(_PAUSE_S)
            # epoll itself waits in milliseconds; select on it in microseconds.
            wait = self._wait_s()
            arrived = select.select([descriptor], [], [], wait)[0]
            self._rest.waited(time.monotonic() - before)
            self._release()
            for ready, _ in poll.poll(0) if arrived else ():
                if ready in self._commands:
                    if not self._commands[ready].read():
                        return
                elif queue := held.by_descriptor.get(ready):
                    self._receive(queue)
                    self._release()
            # One command, and one part of a change, before packets are looked after again.
            if commands := next(filter(None, self._commands.values()), None):
                answer = orders.obey(commands.take())
                if answer is not None:
                    commands.answer(answer)
            orders.change_what_is_due(time.monotonic())
            if before >= self._next_look_s:
                self._next_look_s = before + _LOOK_S
                orders.look_at_rates(time.monotonic())

    def _wait_s(self) -> float:
        """Seconds until something is to be done if nothing arrives."""
        if any(self._commands.values()):
            return 0.0
        heap, next_s = self._held.heap, self._orders.next_s
        due = [heap[0][0]] if heap else []
        if next_s is not None:
            due.append(next_s)
        return max(0.0, min(due) - time.monotonic()) if due else _LONGEST_WAIT_S

    def _receive(self, queue: Queue) -> None:
        held = self._held
        receive, parse, ups, down, heap = queue.channel.recv, self._parse, held.ups, queue.down, held.heap
        # What is at no site is reached from everywhere.
        sites = held.edges.sites if queue.site is not None else {}
        ways_s, groups, own = held.ways_s, held.groups, held.groups.get(queue.address)
        here, into, hops = queue.site or "", held.edges.into.get(queue.site or "", {}), held.edges.hops
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
                    held.lateness.add_late(now - due)
            else:
                held.count += 1
                left_s = due if holder is None else holder.left_s
                heapq.heappush(heap, (due, held.count, queue, identity, size, edge, holder, left_s))
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
        held, heap = self._held, self._held.heap
        touched: dict[int, Queue] = {}
        while heap and heap[0][0] <= now:
            due, _, queue, identity, size, edge, _, _ = heap[0]
            if size:
                holder = edge or queue.down
                leaves = holder.departure_s(due, size)
                if leaves is not None:
                    held.count += 1
                    left = 0 if edge is None else size
                    heapq.heapreplace(heap, (leaves, held.count, queue, identity, left, None, holder, holder.left_s))
                    continue
                queue.refused.append(identity)
            else:
                queue.accepted.append(identity)
                if now - due > SLIGHT_S:
                    held.lateness.add_late(now - due)
            heapq.heappop(heap)
            touched[id(queue)] = queue
        for queue in touched.values():
            self._send(queue)

    def _send(self, queue: Queue) -> None:
        """Tell the kernel what was decided about a queue's packets."""
        queue.dropped += len(queue.refused)
        self._held.lateness.packets += len(queue.accepted)
        for identities, decision in ((queue.refused, nfqueue.DROP), (queue.accepted, nfqueue.ACCEPT)):
            for start in range(0, len(identities), _VERDICTS_AT_ONCE):
                part = identities[start : start + _VERDICTS_AT_ONCE]
                data = b"".join([nfqueue.verdict(QUEUE_NUMBER, identity, decision) for identity in part])
                # A queue closed by a container's end takes its packets with it.
                with contextlib.suppress(OSError):
                    queue.channel.send(data)
            identities.clear()


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

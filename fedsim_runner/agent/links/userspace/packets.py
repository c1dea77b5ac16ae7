"""The userspace back end's packet process: it delays packets in all devices' queues, and drops some for loss.

It is separate from supervision, whose work therefore never delays a packet. It has one timer heap for all devices and
one wait for queues and timers, and sends verdicts due at the same time together. When its parent ends, its standard
input closes and it ends too; then no queue has a listener and the kernel drops what arrives (fail closed).

It takes JSON lines on its standard input, and answers each with one on standard output:
``{"op": "set", "seed": n, "ups": {address: [delay_us, jitter_us, loss]}, "devices": {name: {"netns", "down", "maxlen",
"gso"}}}`` and ``{"op": "state"}``. Without ``seed`` and ``ups`` the senders stay; a device of null is released.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import heapq
import json
import os
import random
import resource
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import netns
from . import nfqueue
from .queue_rule import QUEUE_NUMBER

_PR_SET_TIMERSLACK = 29
_TIMER_SLACK_NS = 1000
_BATCH = 256  # packets taken from one queue before the others get their turn
_VERDICTS_AT_ONCE = 1000
_LONGEST_WAIT_S = 60.0


@dataclass
class _Path:
    """Delay, jitter and loss of packets from one sender to one device."""

    delay_s: float
    jitters_s: tuple[float, ...]
    loss: float
    random: random.Random
    last_due: float = 0.0


@dataclass
class _Queue:
    device: str
    namespace: tuple[int, int]
    channel: socket.socket
    down: tuple[int, int, float]
    maxlen: int
    gso: bool
    paths: dict[bytes, _Path] = field(default_factory=dict)
    received: int = 0
    dropped: int = 0


class Packets:
    """The queues of all devices on a lab host."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._pending = b""
        self._poll = select.epoll()
        self._poll.register(commands, select.EPOLLIN)
        self._queues: dict[str, _Queue] = {}
        self._by_descriptor: dict[int, _Queue] = {}
        self._heap: list[tuple[float, int, _Queue, int]] = []
        self._count = 0
        self._seed: object = 0
        self._ups: dict[bytes, tuple[int, int, float]] = {}
        self._latest_s = 0.0

    def run(self) -> None:
        """Handle packets and commands until standard input ends."""
        descriptor = self._poll.fileno()
        while True:
            # epoll itself waits in milliseconds; select on it in microseconds.
            wait = _LONGEST_WAIT_S
            if self._heap:
                wait = max(0.0, self._heap[0][0] - time.monotonic())
            arrived = select.select([descriptor], [], [], wait)[0]
            self._release()
            for ready, _ in self._poll.poll(0) if arrived else ():
                if ready == self._commands:
                    if not self._take_commands():
                        return
                elif queue := self._by_descriptor.get(ready):
                    self._receive(queue)

    def _receive(self, queue: _Queue) -> None:
        refused: list[int] = []
        undelayed: list[int] = []
        receive, paths, heap = queue.channel.recv, queue.paths, self._heap
        for _ in range(_BATCH):
            try:
                message = receive(4096)
            except BlockingIOError:
                break
            except OSError:
                break  # the namespace is ending, which Docker will report
            parsed = nfqueue.parse_packet(message)
            if parsed is None:
                continue
            queue.received += 1
            identity, source = parsed
            path = paths.get(source) or self._path(queue, source)
            if path.loss and path.random.random() < path.loss:
                refused.append(identity)
                continue
            now = time.monotonic()
            due = now + path.delay_s
            for jitter in path.jitters_s:
                due += path.random.uniform(-jitter, jitter)
            due = max(due, path.last_due)  # packets of one path stay in order
            path.last_due = due
            if due <= now:
                undelayed.append(identity)
            else:
                self._count += 1
                heapq.heappush(heap, (due, self._count, queue, identity))
        queue.dropped += len(refused)
        if refused:
            self._send(queue, refused, nfqueue.DROP)
        if undelayed:
            self._send(queue, undelayed, nfqueue.ACCEPT)

    def _release(self) -> None:
        now = time.monotonic()
        heap = self._heap
        if not heap or heap[0][0] > now:
            return
        self._latest_s = max(self._latest_s, now - heap[0][0])
        due: dict[int, tuple[_Queue, list[int]]] = {}
        while heap and heap[0][0] <= now:
            _, _, queue, identity = heapq.heappop(heap)
            entry = due.get(id(queue))
            if entry is None:
                due[id(queue)] = (queue, [identity])
            else:
                entry[1].append(identity)
        for queue, identities in due.values():
            self._send(queue, identities, nfqueue.ACCEPT)

    def _send(self, queue: _Queue, identities: list[int], decision: int) -> None:
        for start in range(0, len(identities), _VERDICTS_AT_ONCE):
            part = identities[start : start + _VERDICTS_AT_ONCE]
            data = b"".join([nfqueue.verdict(QUEUE_NUMBER, identity, decision) for identity in part])
            # A queue closed by a container's end takes its packets with it.
            with contextlib.suppress(OSError):
                queue.channel.send(data)

    def _path(self, queue: _Queue, source: bytes) -> _Path:
        """The sender's uplink and the receiver's downlink combined; for a sender outside the run, only the downlink."""
        up = self._ups.get(source, (0, 0, 0.0))
        down = queue.down
        path = _Path(
            (up[0] + down[0]) / 1e6,
            tuple(jitter / 1e6 for jitter in (up[1], down[1]) if jitter),
            1 - (1 - up[2]) * (1 - down[2]),
            random.Random(f"{self._seed}/{queue.device}/{source.hex()}"),
        )
        queue.paths[source] = path
        return path

    def _take_commands(self) -> bool:
        data = os.read(self._commands, 1 << 20)
        if not data:
            return False
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            answer = json.dumps(self.obey(json.loads(line))).encode() + b"\n"
            while answer:
                answer = answer[os.write(self._answers, answer) :]
        return True

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command and return the answer."""
        failed: dict[str, str] = {}
        if command["op"] == "set":
            if "ups" in command:
                self._set_ups(command)
            for name, settings in command["devices"].items():
                try:
                    self._set_device(name, settings)
                except OSError as error:
                    failed[name] = str(error)
        latest, self._latest_s = self._latest_s, 0.0
        return {
            "failed": failed,
            "latest_us": round(latest * 1e6),
            "held": len(self._heap),
            "ups": {socket.inet_ntoa(source): list(up) for source, up in self._ups.items()},
            "devices": {
                name: {
                    "namespace": list(queue.namespace),
                    "down": list(queue.down),
                    "maxlen": queue.maxlen,
                    "gso": queue.gso,
                    "received": queue.received,
                    "dropped": queue.dropped,
                }
                for name, queue in self._queues.items()
            },
        }

    def _set_ups(self, command: dict[str, Any]) -> None:
        ups = {socket.inet_aton(address): (up[0], up[1], up[2]) for address, up in command["ups"].items()}
        if ups != self._ups or command["seed"] != self._seed:
            self._ups, self._seed = ups, command["seed"]
            for queue in self._queues.values():
                queue.paths.clear()

    def _set_device(self, name: str, settings: dict[str, Any] | None) -> None:
        queue = self._queues.get(name)
        if settings is None:
            if queue is not None:
                self._close(queue)
            return
        status = Path(settings["netns"]).stat()
        namespace = (status.st_dev, status.st_ino)
        down = (settings["down"][0], settings["down"][1], settings["down"][2])
        maxlen, gso = int(settings["maxlen"]), bool(settings["gso"])
        if queue is not None and (queue.namespace, queue.maxlen, queue.gso) == (namespace, maxlen, gso):
            if queue.down != down:
                queue.down = down
                queue.paths.clear()
            return
        if queue is not None:
            self._close(queue)
        with netns.inside(settings["netns"]):
            channel = nfqueue.open_queue(QUEUE_NUMBER, maxlen, gso)
        queue = _Queue(name, namespace, channel, down, maxlen, gso)
        self._queues[name] = self._by_descriptor[channel.fileno()] = queue
        self._poll.register(channel, select.EPOLLIN)

    def _close(self, queue: _Queue) -> None:
        self._poll.unregister(queue.channel)
        del self._by_descriptor[queue.channel.fileno()]
        del self._queues[queue.device]
        queue.channel.close()
        self._heap = [entry for entry in self._heap if entry[2] is not queue]
        heapq.heapify(self._heap)


def main() -> int:
    """Run the process: commands on standard input, answers on standard output."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK_NS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # without CAP_SYS_NICE packets are only late under load
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.collect()
    gc.disable()  # nothing here creates cycles, and a collection would delay packets
    Packets(sys.stdin.fileno(), sys.stdout.fileno()).run()
    return 0

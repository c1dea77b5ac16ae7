"""Making links true: read what the kernel has, compare, replace, read back; many devices at once.

Each device costs a few short programs, run by threads that stand in its network namespace; the host's side of all
veth pairs is read once and changed by one ``tc -batch``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..host import programs
from . import netns
from . import plan as links
from .plan import INTERFACE, Backend, DeviceLink, Qdisc

_WORKERS = 4
_ANSWER_TIMEOUT_S = 30.0


@dataclass
class Result:
    """What became of one device's link."""

    changed: bool = False
    failed: str | None = None
    diff: list[dict[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {"changed": self.changed, "failed": self.failed, "diff": self.diff}


@dataclass
class _Side:
    """What the kernel has in a device's namespace, and which host interface is its other end."""

    up: Qdisc | None
    queue: bool
    offload: bool
    peer: int


class PacketProcess:
    """The userspace back end's process, and the pipe to it."""

    def __init__(self) -> None:
        package = __package__ or "agent"
        root = str(Path(__file__).resolve().parents[package.count(".") + 1])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        self._process = subprocess.Popen(
            [sys.executable, "-m", package, "packets"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Send one command and wait for its answer.

        Raises:
            OSError: the process has ended.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise OSError("the packet process has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End it: its queues have no listener then, and what they get is dropped."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_ANSWER_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Shaper:
    """Owns the links of one run on one lab host."""

    def __init__(
        self,
        devices: Iterable[DeviceLink],
        peers: Iterable[DeviceLink],
        backend: Backend,
        iptables: str | None,
        seed: int,
    ) -> None:
        self._iptables = iptables
        self._seed = seed
        self.packets: PacketProcess | None = None
        self.want(devices, peers, backend)

    def want(self, devices: Iterable[DeviceLink], peers: Iterable[DeviceLink], backend: Backend) -> None:
        """Links to hold from the next ``apply`` on; ``peers`` are the run's devices on other lab hosts."""
        self._links = {link.device: link for link in devices}
        self._peers = list(peers)
        self.backend: Backend = backend
        self._shapes = links.shapes(self._links.values(), self._peers, backend)

    def apply(self, namespaces: Mapping[str, str], *, check: bool = False) -> dict[str, Result]:
        """Bring the links of the named devices to what is wanted.

        Args:
            namespaces: path of each device's network namespace.
            check: compare only.
        """
        names = [name for name in namespaces if name in self._shapes]
        results = {name: Result() for name in names}
        with ThreadPoolExecutor(min(_WORKERS, max(1, len(names))), "shape") as pool:
            sides = dict(
                zip(names, pool.map(lambda name: self._read(namespaces[name], results[name]), names), strict=True)
            )
            arrivals = self._arrivals(namespaces)
            host = self._read_host(sides, results)
            for name in names:
                side = sides[name]
                if side is not None:
                    self._compare(name, side, host.get(name, ("", None))[1], arrivals, results[name])
            if check:
                return results
            touched = [name for name in names if results[name].diff and results[name].failed is None]
            if not touched:
                return results
            # The listener first: a rule without one drops, and a rule is only trusted with its delays behind it.
            self._set_arrivals(touched, namespaces, results)
            list(pool.map(lambda name: self._change(name, namespaces[name], sides[name], results[name]), touched))
            self._change_host(touched, host, results)
            self._read_back(touched, namespaces, results, pool)
        return results

    def forget(self, device: str) -> None:
        """The device's container has ended: let go of its namespace. Whatever still arrives there is dropped."""
        if self.packets is not None:
            command = {"op": "set", "seed": self._seed, "ups": self._ups(), "devices": {device: None}}
            with contextlib.suppress(OSError):  # an ended packet process holds nothing
                self.packets.ask(command)

    def stop(self) -> None:
        """End the packet process."""
        if self.packets is not None:
            self.packets.stop()

    def state(self) -> dict[str, Any] | None:
        """Counters of the packet process, if there is one."""
        return self.packets.ask({"op": "state"}) if self.packets is not None else None

    def _read(self, namespace: str, result: Result) -> _Side | None:
        try:
            with netns.inside(namespace):
                return self._read_side()
        except (OSError, LookupError, programs.CommandError) as error:
            result.failed = str(error)
            return None

    def _read_side(self) -> _Side:
        up = links.parse_qdiscs([{**entry, "dev": INTERFACE} for entry in programs.read_qdiscs(INTERFACE)]).get(
            INTERFACE
        )
        queue = False
        if self._iptables is not None:
            queue = links.has_queue_rule(programs.run([self._iptables, "-w", "5", "-t", "mangle", "-S", "PREROUTING"]))
        return _Side(up, queue, netns.segmentation_offload(INTERFACE), netns.peer_index(INTERFACE))

    def _read_host(
        self, sides: Mapping[str, _Side | None], results: Mapping[str, Result]
    ) -> dict[str, tuple[str, Qdisc | None]]:
        """By device: the host's interface of its veth pair and the qdisc there."""
        active = links.parse_qdiscs(programs.read_qdiscs())
        host: dict[str, tuple[str, Qdisc | None]] = {}
        for name, side in sides.items():
            if side is None:
                continue
            try:
                interface = socket.if_indextoname(side.peer)
            except OSError:
                results[name].failed = f"the other end of its veth pair (interface {side.peer}) is not on this host"
            else:
                host[name] = (interface, active.get(interface))
        return host

    def _compare(self, name: str, side: _Side, down: Qdisc | None, arrivals: Mapping[str, Any], result: Result) -> None:
        wanted = self._shapes[name]
        if not links.same_qdisc(wanted.up, side.up):
            result.diff.append(_difference("up", side.up, wanted.up))
        if not links.same_qdisc(wanted.down, down):
            result.diff.append(_difference("down", down, wanted.down))
        if wanted.per_packet and side.offload and self.backend == "netem":
            result.diff.append(_difference("segmentation offload", "on", "off"))
        if wanted.queue != side.queue:
            result.diff.append(_difference("queue rule", _present(side.queue), _present(wanted.queue)))
        before, after = arrivals.get(name), self._wanted_arrival(name)
        if before != after:
            result.diff.append(_difference("arrivals", before, after))
        result.changed = bool(result.diff)

    def _change(self, name: str, namespace: str, side: _Side | None, result: Result) -> None:
        items = {entry["item"] for entry in result.diff}
        wanted = self._shapes[name]
        try:
            with netns.inside(namespace):
                if "up" in items:
                    programs.run(["tc", *links.qdisc_arguments(INTERFACE, wanted.up)])
                if "segmentation offload" in items:
                    netns.set_segmentation_offload(INTERFACE, False)
                if "queue rule" in items and self._iptables is not None:
                    programs.run([self._iptables, *links.queue_rule_arguments(wanted.queue)])
        except (OSError, programs.CommandError) as error:
            result.failed = str(error)

    def _change_host(
        self, names: Iterable[str], host: Mapping[str, tuple[str, Qdisc | None]], results: Mapping[str, Result]
    ) -> None:
        commands = {
            name: links.qdisc_arguments(host[name][0], self._shapes[name].down)
            for name in names
            if name in host and any(entry["item"] == "down" for entry in results[name].diff)
        }
        if not commands:
            return
        try:
            programs.run(["tc", "-batch", "-"], stdin="".join(" ".join(line) + "\n" for line in commands.values()))
        except programs.CommandError:
            # A batch stops at its first error without saying whose it was: once more, one by one.
            for name, line in commands.items():
                try:
                    programs.run(["tc", *line])
                except programs.CommandError as error:
                    results[name].failed = str(error)

    def _read_back(
        self, names: list[str], namespaces: Mapping[str, str], results: dict[str, Result], pool: ThreadPoolExecutor
    ) -> None:
        names = [name for name in names if results[name].failed is None]
        sides = dict(zip(names, pool.map(lambda name: self._read(namespaces[name], results[name]), names), strict=True))
        host = self._read_host(sides, results)
        arrivals = self._arrivals(namespaces)
        for name in names:
            side = sides[name]
            if side is None or results[name].failed is not None:
                continue
            check = Result()
            self._compare(name, side, host[name][1], arrivals, check)
            if check.diff:
                what = "; ".join(f"{entry['item']} is {entry['before']}, not {entry['after']}" for entry in check.diff)
                results[name].failed = f"the kernel did not keep what was set: {what}"

    def _ups(self) -> dict[str, list[float]]:
        everyone = [*self._links.values(), *self._peers]
        return {link.address: [link.up.delay_us, link.up.jitter_us, link.up.loss] for link in everyone}

    def _arrival(self, down: Any, maxlen: int, gso: bool, ups: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(json.dumps(sorted(ups.items())).encode()).hexdigest()[:8]
        return (
            f"delay {down[0]} us jitter {down[1]} us loss {down[2]:.6g} queue {maxlen} packets"
            f"{'' if gso else ' per packet'}, senders {digest}"
        )

    def _wanted_arrival(self, name: str) -> str | None:
        shape = self._shapes[name]
        if not shape.queue:
            return None
        down = self._links[name].down
        return self._arrival(
            (down.delay_us, down.jitter_us, down.loss), shape.queue_packets, not shape.per_packet, self._ups()
        )

    def _arrivals(self, namespaces: Mapping[str, str]) -> dict[str, str]:
        """What the packet process does for each device whose present namespace it listens in."""
        if self.packets is None:
            return {}
        try:
            answer = self.packets.ask({"op": "state"})
        except OSError:
            return {}
        listening: dict[str, str] = {}
        for name, state in answer["devices"].items():
            try:
                status = Path(namespaces[name]).stat()
            except (KeyError, OSError):
                continue  # not asked for, or its container has ended
            if state["namespace"] == [status.st_dev, status.st_ino]:
                listening[name] = self._arrival(state["down"], state["maxlen"], state["gso"], answer["ups"])
        return listening

    def _set_arrivals(self, names: Iterable[str], namespaces: Mapping[str, str], results: Mapping[str, Result]) -> None:
        if self.packets is None:
            if not any(self._shapes[name].queue for name in names):
                return
            self.packets = PacketProcess()
        command: dict[str, Any] = {"op": "set", "seed": self._seed, "ups": self._ups(), "devices": {}}
        for name in names:
            shape, down = self._shapes[name], self._links[name].down
            command["devices"][name] = {
                "netns": namespaces[name],
                "down": [down.delay_us, down.jitter_us, down.loss],
                "maxlen": shape.queue_packets,
                "gso": not shape.per_packet,
            }
            if not shape.queue:
                command["devices"][name] = None
        try:
            failed = self.packets.ask(command)["failed"]
        except OSError as error:
            failed = {name: str(error) for name in names}
        for name, message in failed.items():
            results[name].failed = message


def _present(value: bool) -> str:
    return "present" if value else "absent"


def _difference(item: str, before: object, after: object) -> dict[str, str]:
    return {"item": item, "before": str(before or "none"), "after": str(after or "none")}

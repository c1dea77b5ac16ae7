"""A fake kernel in place of programs, netns, rtnetlink and kernel_qdiscs: what is set in it, it also shows.

A namespace is known by the last part of its path, or by the process's number in it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.changing import changer
from fedsim_runner.agent.host import programs
from fedsim_runner.agent.kernel import bridging, kernel_qdiscs, netlink, netns, qdisc_changes, rtnetlink
from fedsim_runner.agent.links.netem import kernel_form, qdisc
from fedsim_runner.agent.links.network import routing
from fedsim_runner.agent.links.network.ways import Ways
from fedsim_runner.agent.links.userspace import rule_set

from . import fake_tc
from .changes_here import ChangesHere

HOST = "host"
NETWORK = "network"  # the run's namespace


@dataclass
class Link:
    """An interface; ``peer`` is the other end of a veth pair, as (namespace, name)."""

    index: int
    peer: tuple[str, str] | None = None
    mac: str = ""
    up: bool = False
    bridge: str | None = None
    addresses: list[str] = field(default_factory=list)
    neighbours: dict[str, str] = field(default_factory=dict)
    segments: int = 65_535
    mtu: int = 1500
    ways: Ways | None = None


def _namespace(path: str | Path) -> str:
    parts = Path(path).parts
    return parts[2] if parts[:2] == ("/", "proc") else parts[-1]


@dataclass(frozen=True)
class Change:
    """In the place of a request for an interface that is not yet known: a call."""

    call: Callable[..., None]
    arguments: tuple[Any, ...]

    def at(self, index: int) -> Callable[[], None]:
        return partial(self.call, index, *self.arguments)


class FakeKernel:
    """Keeps interfaces, qdiscs and rules.

    Attributes:
        log: every command of ``tc`` and ``iptables`` that changed something, as (namespace, arguments).
        links: interfaces by namespace and name.
        passed: packets that have passed each qdisc.
    """

    def __init__(self, lacks: Sequence[str] = ()) -> None:
        self.lacks = tuple(lacks)  # no program may be called with these words
        self.forgets = False  # accepts every qdisc and keeps none
        self.log: list[tuple[str, str]] = []
        self.qdiscs: dict[tuple[str, str], dict[str, Any]] = {}
        self.rules: dict[str, list[str]] = {}
        self.rule_changes: Counter[str] = Counter()
        self.passed = 0
        self.listed: list[str] = []  # namespaces in which a program was called to show qdiscs or rules
        self.links: dict[tuple[str, str], Link] = {}
        self._channels: dict[int, str] = {}  # to which namespace, by the descriptor
        self._here = threading.local()
        self._lock = threading.Lock()

    @property
    def here(self) -> str:
        return getattr(self._here, "namespace", HOST)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
        """Replace the real kernel in all callers."""
        monkeypatch.setattr(programs, "run", self.run)
        monkeypatch.setattr(netns, "inside", self.inside)
        monkeypatch.setattr(netns, "scratch", lambda: self.inside("scratch"))
        for call in (
            self.find_interface,
            self.delete_interface,
            self.set_mac,
            self.set_up,
            self.addresses,
            self.add_address,
            self.delete_address,
            self.permanent_neighbours,
            self.set_neighbours,
            self.set_segments,
            self.set_mtu,
            self.set_bridge,
            self.ports,
        ):
            monkeypatch.setattr(rtnetlink, call.__name__, call)
        for make in (self.read_ends, self.add_bridge, self.add_pair, self.connect):
            monkeypatch.setattr(bridging, make.__name__, make)
        for look in (self.raw_qdiscs, self.all_raw_qdiscs, self.policed_s, self.policed_by, self.qdisc_counters):
            monkeypatch.setattr(kernel_qdiscs, look.__name__, look)
        # A request is a call of this object.
        monkeypatch.setattr(qdisc_changes, "qdisc_change", lambda *arguments: Change(self.change_qdisc, arguments))
        monkeypatch.setattr(kernel_form, "policer_change", lambda *arguments: Change(self.change_policer, arguments))
        monkeypatch.setattr(qdisc, "_forms", qdisc._forms.__wrapped__)  # else they would be kept
        monkeypatch.setattr(rtnetlink, "bridge_form", lambda bridge: Change(self.set_bridge, (bridge,)))
        monkeypatch.setattr(rtnetlink, "up_forms", lambda: [Change(self.set_up, ())])
        monkeypatch.setattr(netlink, "ask_all", self.ask_all)
        monkeypatch.setattr(changer, "ChangingProcess", ChangesHere)
        monkeypatch.setattr(qdisc_changes, "show", lambda channel: channel)
        monkeypatch.setattr(qdisc_changes, "options_of", self.options_of)
        for ways_call in (self.read_ways, self.set_ways):
            monkeypatch.setattr(routing, ways_call.__name__, ways_call)
        monkeypatch.setattr(rule_set, "read_rule_set", self._read_rule_set)
        monkeypatch.setattr(netlink, "open_channel", self._open_channel)
        monkeypatch.setattr(rtnetlink, "find_index", self._find_index)
        monkeypatch.setattr(rtnetlink, "indexes", self._indexes)
        monkeypatch.setattr(kernel_qdiscs, "change_root_qdisc", lambda *arguments: None)
        return self

    @contextlib.contextmanager
    def inside(self, path: str | Path) -> Iterator[None]:
        name = _namespace(path)
        if not Path(path).exists() and name != "scratch":
            raise FileNotFoundError(f"no namespace {name}")
        before, self._here.namespace = self.here, name
        try:
            yield
        finally:
            self._here.namespace = before

    def run(self, arguments: Sequence[str], *, stdin: str | None = None) -> str:
        words = list(arguments)
        named = {*words, *(stdin or "").split()}
        if refused := [word for word in self.lacks if word in named]:
            raise programs.CommandError(f"{' '.join(words)}: this kernel has no {refused[0]}")
        with self._lock:
            if words[:2] == ["tc", "-batch"]:
                for line in (stdin or "").splitlines():
                    self._tc(line.split())
                return ""
            if words[0] == "tc":
                return self._tc(words[1:])
            if words[0].startswith("iptables"):
                return self._iptables(words)
            if words[0] == "ip":
                for line in (stdin or "").splitlines():
                    self._ip(line.split())
                return ""
            if words[0] == "modprobe":
                return ""
        raise programs.CommandError(f"{words[0]}: not found")

    # -- interfaces ---------------------------------------------------------------------------------------------------

    def find_interface(self, name: str) -> rtnetlink.Interface | None:
        link = self.links.get((self.here, name))
        if link is None:
            return None
        peer = self.links[link.peer].index if link.peer is not None else None
        return rtnetlink.Interface(link.index, link.mac, link.up, peer, link.segments, link.mtu)

    def delete_interface(self, index: int) -> None:
        self._delete(next(where for where, link in self.links.items() if link.index == index))

    def set_mac(self, index: int, mac: str) -> None:
        self._link(index).mac = mac

    def set_up(self, index: int) -> None:
        self._link(index).up = True

    def addresses(self, index: int) -> list[str]:
        return list(self._link(index).addresses)

    def add_address(self, index: int, address: str) -> None:
        self._link(index).addresses.append(address)

    def delete_address(self, index: int, address: str) -> None:
        self._link(index).addresses.remove(address)

    def permanent_neighbours(self, index: int) -> dict[str, str]:
        return dict(self._link(index).neighbours)

    def set_neighbours(self, index: int, wanted: Mapping[str, str]) -> None:
        self._link(index).neighbours = dict(wanted)

    def read_ways(self, index: int) -> Ways | None:
        return self._link(index).ways

    def set_ways(self, index: int, interface: str, wanted: Ways | None) -> None:
        self._link(index).ways = wanted

    def set_mtu(self, index: int, mtu: int) -> None:
        self._link(index).mtu = mtu

    def set_segments(self, index: int, most: int) -> None:
        where, name = next(key for key, link in self.links.items() if link.index == index)
        self.log.append((where, f"packets of at most {most} frames from {name}"))
        self.links[where, name].segments = most

    def set_bridge(self, index: int, bridge: int | None) -> None:
        name = None if bridge is None else next(n for (_, n), link in self.links.items() if link.index == bridge)
        self._link(index).bridge = name
        self.log.append((self.here, f"{self._name(index)} to {name}"))

    # Changes in place come without a program, in the kernel's own form.

    def change_qdisc(self, index: int, handle: int, parent: int, kind: str, options: bytes) -> None:
        entry = self._entry(index, parent)
        assert entry["kind"] == kind and handle >> 16 in (0, int(entry["handle"].rstrip(":"), 16)), (entry, handle)
        words, new = fake_tc.from_kernel_form(kind, options)
        self.log.append((self.here, f"change {self._name(index)} {entry['handle']} {kind} {' '.join(words)}"))
        if not self.forgets:
            entry["options"] = new

    def ask_all(self, requests: Sequence[Callable[[], None]], channel: socket.socket) -> dict[int, OSError]:
        refused = {}
        with self._at(channel):
            for place, request in enumerate(requests):
                try:
                    request()
                except KeyError as error:
                    refused[place] = OSError(errno.ENOENT, f"no {error}")
        return refused

    @contextlib.contextmanager
    def _at(self, channel: socket.socket) -> Iterator[None]:
        """In a channel's namespace."""
        before, self._here.namespace = self.here, self.namespace_of(channel)
        try:
            yield
        finally:
            self._here.namespace = before

    def options_of(self, channel: socket.socket, index: int, parent: int, kind: str) -> bytes:
        with self._at(channel):
            entry = self._entry(index, parent)
        assert entry["kind"] == kind
        return fake_tc.to_kernel_form(kind, entry["options"])

    def change_policer(self, index: int, rate_bps: int, burst_bytes: int, longest_bytes: int) -> None:
        (entry,) = (one for one in self.qdiscs[self.here, self._name(index)]["below"].values() if "filter" in one)
        assert self._policer_number(entry["filter"]) == index
        room = ["rate", f"{rate_bps}bit", "burst", f"{burst_bytes}b", "mtu", f"{longest_bytes}"]
        entry["filter"] = ["index", str(index), *room]
        self.log.append((self.here, f"change {self._name(index)} policer {' '.join(room)}"))

    def policed_by(self, index: int, handle: int, channel: socket.socket) -> float | None:
        with self._at(channel):
            return self.policed_s(self._name(index), f"{handle >> 16:x}:")

    def _name(self, index: int) -> str:
        return next(name for (where, name), link in self.links.items() if link.index == index and where == self.here)

    def _entry(self, index: int, parent: int) -> dict[str, Any]:
        found = self.qdiscs[self.here, self._name(index)]
        if parent == kernel_qdiscs.ROOT:
            entry: dict[str, Any] = found["root"]
        else:
            entry = found["below"][f"{parent >> 16:x}:{parent & 0xFFFF:x}"]
        return entry

    def raw_qdiscs(self, index: int, moved_delays: bool = False) -> tuple[bytes, ...]:
        where = next(where for where, link in self.links.items() if link.index == index)
        found = self.qdiscs.get(where)
        return () if found is None else (json.dumps(found).encode(),)

    def all_raw_qdiscs(self, moved_delays: bool = False) -> dict[int, tuple[bytes, ...]]:
        indexes = [link.index for (where, _), link in self.links.items() if where == self.here]
        return {index: self.raw_qdiscs(index) for index in indexes}

    def policed_s(self, interface: str, handle: str) -> float | None:
        words = self._qdisc(interface, handle).get("filter")
        if words is None:
            return None
        rate, burst = (fake_tc.number(words[words.index(word) + 1]) for word in ("rate", "burst"))
        return burst * 8 / rate

    def qdisc_counters(self, channel: socket.socket | None = None) -> dict[int, dict[int, kernel_qdiscs.QdiscCounters]]:
        """As many packets of 1000 bytes as ``passed`` says have left each interface with a qdisc."""
        counters = kernel_qdiscs.QdiscCounters(1000 * self.passed, self.passed, 0, 0)
        here = self.namespace_of(channel)
        return {
            link.index: {kernel_qdiscs.ROOT: counters}
            for where, link in self.links.items()
            if where[0] == here and where in self.qdiscs
        }

    def namespace_of(self, channel: socket.socket | None) -> str:
        return self.here if channel is None else self._channels[channel.fileno()]

    def _open_channel(self) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._channels[channel.fileno()] = self.here
        return channel

    def _find_index(self, name: str, channel: socket.socket) -> int:
        link = self.links.get((self.namespace_of(channel), name))
        if link is None:
            raise OSError(errno.ENODEV, "there is none")
        return link.index

    def _indexes(self, channel: socket.socket) -> dict[str, int]:
        here = self.namespace_of(channel)
        return {name: link.index for (where, name), link in self.links.items() if where == here}

    def ports(self) -> dict[str, tuple[int, bool, int | None]]:
        found = {name: link for (where, name), link in self.links.items() if where == self.here}
        return {
            name: (link.index, link.up, None if link.bridge is None else found[link.bridge].index)
            for name, link in found.items()
        }

    def end_namespace(self, name: str) -> None:
        """Remove all interfaces of a namespace, as the kernel does when its last process has ended."""
        for where in [where for where in self.links if where[0] == name]:
            self._delete(where)

    def _link(self, index: int) -> Link:
        return next(link for link in self.links.values() if link.index == index)

    def _delete(self, where: tuple[str, str]) -> None:
        link = self.links.pop(where, None)
        self.qdiscs.pop(where, None)
        if link is not None and link.peer is not None:
            self._delete(link.peer)

    def _ip(self, words: list[str]) -> None:
        assert words[0] == "link", words
        options = dict(zip(words[2::2], words[3::2], strict=False))
        if words[1] == "del":
            self._delete((self.here, words[3]))
        elif words[1] == "add":
            rest = words[words.index("peer") + 1 :]
            peer = dict(zip(rest[::2], rest[1::2], strict=True))
            self._add(words[3], (_namespace(peer["netns"]), peer["name"]), peer["address"])
        else:
            link = self.links[self.here, options["dev"]]
            link.up = link.up or words[-1] == "up"
            link.bridge = None if "nomaster" in words else options.get("master", link.bridge)

    def _add(self, name: str, peer: tuple[str, str] | None = None, mac: str = "") -> int:
        """Make an interface, or a veth pair; return its number."""
        assert (self.here, name) not in self.links, f"{name} exists"
        index = len(self.log) + 100 + 2 * len(self.links)
        self.links[self.here, name] = Link(index, peer)
        if peer is not None:
            assert peer not in self.links, f"{peer} exists"
            self.links[peer] = Link(index + 1, (self.here, name), mac)
        return index

    def read_ends(self) -> dict[str, bridging.End]:
        found = {}
        for (where, name), link in self.links.items():
            if where == self.here:
                index = None if link.peer is None else self.links[link.peer].index
                far = link.peer[1] if link.peer is not None and link.peer[0] == where else None
                found[name] = bridging.End(link.index, None if far else index, link.up, link.bridge, far)
        return found

    def add_bridge(self, name: str) -> int:
        if "bridge" in self.lacks:
            raise OSError(errno.EOPNOTSUPP, "this kernel has no bridge")
        return self._add(name)

    def add_pair(self, near: str, far: str) -> None:
        self._add(near, (self.here, far))

    def connect(self, end: str, bridge: str, isolated: bool) -> None:
        link = self.links[self.here, end]
        link.bridge, link.up = bridge, True

    # -- qdiscs and rules ---------------------------------------------------------------------------------------------

    def _tc(self, words: list[str]) -> str:
        if "show" in words:
            self.listed.append(self.here)
            interface = words[words.index("dev") + 1] if "dev" in words else None
            return json.dumps(
                [
                    {**entry, "dev": dev}
                    for (where, dev), found in self.qdiscs.items()
                    if where == self.here and interface in (None, dev)
                    for entry in ({**found["root"], "root": True}, *found["below"].values())
                ]
            )
        self.log.append((self.here, " ".join(["tc", *words])))
        action, interface, rest = words[1], words[3], words[4:]
        if words[0] == "actions":
            numbers = [self._policer_number(entry["filter"]) for entry in self._policed()]
            assert self._policer_number(words) in numbers or self.forgets
        elif words[0] == "filter":
            if not self.forgets:
                self._qdisc(interface, rest[1])["filter"] = rest
        elif action == "del":
            self.qdiscs.pop((self.here, interface), None)
        elif not self.forgets:
            self._replace(self.here, interface, rest)
        return ""

    @staticmethod
    def _policer_number(words: Sequence[str]) -> int:
        return int(words[words.index("index") + 1])

    def _policed(self) -> Iterator[dict[str, Any]]:
        """The qdiscs of this namespace that have a filter."""
        for (where, _), found in self.qdiscs.items():
            every = (found["root"], *found["below"].values())
            yield from (one for one in every if where == self.here and "filter" in one)

    def _qdisc(self, interface: str, handle: str) -> dict[str, Any]:
        found = self.qdiscs[self.here, interface]
        return next(entry for entry in (found["root"], *found["below"].values()) if entry["handle"] == handle)

    def _replace(self, here: str, interface: str, rest: list[str]) -> None:
        """Change a qdisc in place, or put a new one there, which has nothing below it."""
        parent = rest.pop(0)
        if parent == "parent":
            parent = rest.pop(0)
        handle = None
        if rest[0] == "handle":
            _, handle, *rest = rest
        kind, *options = rest
        new = {"kind": kind, "options": fake_tc.options(kind, options)}
        if parent == "root":
            before = self.qdiscs.get((here, interface))
            stays = before is not None and before["root"]["kind"] == kind
            if before is None or not stays or handle not in (None, before["root"]["handle"]):
                before = {"root": {"handle": handle or "8001:"}, "below": {}}
            self.qdiscs[here, interface] = {"root": {**before["root"], **new}, "below": before["below"]}
            return
        self.qdiscs[here, interface]["below"][parent] = {"parent": parent, "handle": handle, **new}

    def _iptables(self, words: list[str]) -> str:
        rules = self.rules.setdefault(self.here, [])
        if "-S" in words:
            self.listed.append(self.here)
            return "".join(f"-A {rule}\n" for rule in rules)
        self.log.append((self.here, " ".join(words)))
        self.rule_changes[self.here] += 1
        action = "-A" if "-A" in words else "-D"
        rule = " ".join(words[words.index(action) + 1 :])
        if action == "-A":
            rules.append(rule)
        else:
            rules.remove(rule)
        return ""

    def _read_rule_set(self) -> rule_set.RuleSet:
        return rule_set.RuleSet((0, zlib.crc32(self.here.encode())), 1 + self.rule_changes[self.here])

"""The userspace back end: a separate process of the agent does to packets what links do.

A device's incoming packets pass through a queue; that process has each take its sender's uplink and the receiver's
downlink (direction.py). The packets of a link stay in order. Without the process nothing passes (fail closed).
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from fedsim_runner.agent.host import programs
from fedsim_runner.contract.link import Link

from ...kernel.fan_out import in_each
from ...kernel.root_qdisc import Qdisc
from ..changes import Changed, Changes, Failures, Finish, Settings, Turn
from ..need import Need
from ..network.run_namespace import RunNamespace
from ..network.veth import DOWN, UP
from ..profile import Profile
from ..protocol import LinkBackend
from ..tally import Passed, Tally
from .arrivals import PACKETS_PER_S, Arrivals, Group, Senders, Uplink, Uplinks
from .crossings import Crossings
from .departures import DEPARTURES, NAME, Departures
from .needs import NFQUEUE, TBF
from .overruns import Overruns
from .packet_process import PacketProcess
from .process_commands import all_senders, between, settings_of
from .qdisc import Tbf
from .queue_rules import ABSENT, PRESENT, QueueRules
from .sent_changes import Sent

RULE, ARRIVALS = "queue rule", "arrivals"
UPLINK, GROUP = "uplink", "reached by"
PEERS = "senders elsewhere"  # the uplinks of devices on other lab hosts


class Backend(LinkBackend):
    """An NFQUEUE rule in a device's namespace, the process behind that rule, and tbf on the device's own interface."""

    name: ClassVar[str] = "userspace"
    preference: ClassVar[int] = 20
    qdiscs: ClassVar[tuple[type[Qdisc], ...]] = (Tbf,)
    packets_per_s: ClassVar[int | None] = PACKETS_PER_S
    reschedules: ClassVar[bool] = True
    keeps_apart: ClassVar[bool] = True
    knows_senders: ClassVar[bool] = True

    def __init__(self, probed: Mapping[str, Any]) -> None:
        self._iptables: str | None = probed.get("iptables")
        self._rules = QueueRules(self._iptables)
        self._process: PacketProcess | None = None
        self._changes = 0
        self._counted = itertools.count(1)
        self._orders = 0  # commands that change the process's state, which nothing else does
        self._answer: tuple[int, dict[str, Any]] | None = None  # the state, and after how many of them
        self._senders: dict[str, str] = {}  # names of all devices by address
        self._edges: dict[tuple[str, str], tuple[str, str]] = {}  # what each direction of an edge is called
        self._here: dict[str, str] = {}  # addresses of this lab host's by name
        self._overruns = Overruns()
        self._network = RunNamespace()
        self._upward: dict[str, Any] = {}  # the uplinks of all devices, as the process takes them

    def use_network(self, network: RunNamespace) -> None:
        self._network = network

    @staticmethod
    def needs(links: Iterable[Link]) -> list[Need]:
        links = list(links)
        rates = [TBF] if any(link.rate_bps for link in links) else []
        return rates + ([NFQUEUE] if any(link.is_shaped for link in links) else [])

    @staticmethod
    def lacks(links: Iterable[Link], changing: Iterable[Collection[Link]] = ()) -> Iterator[str]:
        links = list(links)
        if any(link.duplicate for link in links):
            yield "duplicates no packets"
        if any(link.corrupt for link in links):
            yield "corrupts no packets"
        if any(link.discipline != "fifo" for link in links):
            yield "has no queue discipline but fifo"

    def plan(self, profile: Profile) -> dict[str, Settings]:
        self._senders |= {device.address: device.device for device in profile.all_devices}
        self._edges |= {} if profile.topology is None else profile.topology.names()
        self._here |= {device.device: device.address for device in profile.devices}
        senders, uplinks, crossings = (
            Senders.of(profile),
            Uplinks(profile.all_devices, profile.later),
            Crossings.of(profile),
        )
        departures = {DEPARTURES: Departures.of(uplinks)} if profile.departs else {}
        into: dict[str | None, list[Link]] = {}
        for (_, site), link in profile.edges.items():
            into.setdefault(site, []).append(link)
        always = profile.may_change or profile.drops_between
        passing = {
            one.device
            for one in profile.devices
            if always or one.down.is_shaped or uplinks.are_beside(one.address) or profile.site(one.device) is not None
        }
        listens = bool(passing) or profile.departs
        peers = senders.without([one.address for one in profile.devices])
        planned: dict[str, Settings] = {}
        for device in profile.devices:
            name, at = device.device, profile.site(device.device)
            arrivals = Arrivals.of(device, uplinks, senders, at, into.get(at, ()), crossings)
            if name in profile.guest_sites:
                arrivals = replace(arrivals, guest=device.address)
            planned[name] = {
                UP: Tbf.for_link(device.up, profile.may_change, profile.fastest_up_bps.get(name, 0)),
                DOWN: None,
                RULE: PRESENT if name in passing else ABSENT,
                ARRIVALS: arrivals if name in passing else None,
                UPLINK: Uplink.of(device.up, senders) if listens else None,
                GROUP: Group(senders.groups.get(device.address, ""), senders) if listens else None,
                PEERS: peers if listens else None,
                **departures,
            }
        self._upward = {**all_senders(senders), **between(crossings)}
        return planned

    def read(self, namespaces: Mapping[str, str]) -> tuple[dict[str, Settings], Failures]:
        rules, failed = in_each(namespaces, self._rules.read)
        state = self._read_state()
        departures = None if state is None else self._read_departures(state)
        listening = {} if state is None else _arrivals(state, namespaces)
        found: dict[str, Settings] = {
            name: {RULE: rule, ARRIVALS: listening.get(name), DEPARTURES: departures} for name, rule in rules.items()
        }
        if state is None or not state["devices"]:
            return {name: {**one, UPLINK: None, GROUP: None, PEERS: None} for name, one in found.items()}, failed
        senders = Senders.parse(state)
        peers = senders.without(self._here.values())
        for name, one in found.items():
            address = self._here.get(name, "")
            group = Group(senders.groups.get(address, ""), senders)
            up = Link.from_dict(senders.ups[address]) if address in senders.ups else Link()
            found[name] = {**one, UPLINK: Uplink.of(up, senders), GROUP: group, PEERS: peers}
        return found, failed

    def apply(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        # The listener first: a rule without one drops packets, and only with it do delays apply.
        failed = self._set_arrivals(changes, namespaces)

        def change(name: str) -> None:
            if RULE in changes[name]:
                self._rules.set(changes[name][RULE])

        _, also_failed = in_each({name: namespaces[name] for name in changes}, change)
        return {**failed, **also_failed, **self._set_departures(changes)}

    def change(self, changes: Mapping[str, Changes], namespaces: Mapping[str, str], due_s: float, turn: Turn) -> Finish:
        pairs = [pair for change in changes.values() for pair in change.values()]
        if (
            self._process is None
            or any({RULE, DEPARTURES} & change.keys() for change in changes.values())
            or any(None in p for p in pairs)
        ):
            return super().change(changes, namespaces, due_s, turn)
        sent = Sent.of(changes, self._here)
        self._changes += 1
        number = self._changes
        try:
            self._process.change(sent.commands({"op": "change", "number": number, "at": due_s}))
        except OSError as error:
            ended = Changed({}, dict.fromkeys(changes, str(error)))
            return lambda: ended
        return lambda: self._changed(number, changes, sent)

    def _changed(self, number: int, changes: Mapping[str, Changes], sent: Sent) -> Changed:
        assert self._process is not None
        try:
            answer = self._process.see_change(number)
        except OSError as error:
            return Changed({}, dict.fromkeys(changes, str(error)))
        finally:
            self._orders = next(self._counted)
        found = {name: sent.found(name, self._here[name], change, answer) for name, change in changes.items()}
        return Changed(found, answer["failed"], answer["late_s"])

    def trace(self) -> object:
        return self._rules.trace()

    def forget(self, device: str) -> None:
        self._rules.forget(device)
        if self._process is not None:
            with contextlib.suppress(OSError):  # the packet process has ended and holds nothing
                self._order({"op": "set", "devices": {device: None}})

    def failure(self) -> str | None:
        reason = None if self._process is None else self._process.failure()
        return None if reason is None else f"{reason}: traffic no longer reaches this lab host's devices"

    def count(self, namespaces: Mapping[str, str], afresh: bool) -> dict[tuple[str, str], Tally]:
        if self._process is None:
            return {}
        answer = self._process.ask({"op": "count" if afresh else "counts"})
        found = {(name, UP): Tally.parse(answer["ups"][address]) for name, address in self._uplinks(answer["ups"])}
        found |= {(name, DOWN): Tally.parse(counters) for name, counters in answer["downs"].items() if name != NAME}
        found |= {self._edges[first, second]: Tally.parse(counters) for first, second, counters in answer["edges"]}
        self._overruns.read(namespaces, afresh)
        for name, dropped in self._overruns.dropped.items():
            if (tally := found.get((name, DOWN))) is not None:
                tally.dropped = dropped
        return found

    def look(self, namespaces: Mapping[str, str]) -> dict[tuple[str, str], Passed]:
        if self._process is None:
            return {}
        answer = self._process.ask({"op": "changes"})
        found = {(name, UP): Passed(*answer["ups"][address]) for name, address in self._uplinks(answer["ups"])}
        found |= {(name, DOWN): Passed(*passed) for name, passed in answer["downs"].items() if name != NAME}
        return found | {self._edges[first, second]: Passed(*passed) for first, second, passed in answer["edges"]}

    def _order(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Have the packet process change its state; whoever reads it meanwhile has read what no longer counts."""
        assert self._process is not None
        try:
            return self._process.ask(command)
        finally:
            self._orders = next(self._counted)

    def _uplinks(self, ups: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(name, address) for address, name in self._senders.items() if address in ups]

    def counters(self) -> dict[str, Any]:
        return self._process.ask({"op": "state"}) if self._process is not None else {}

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def _read_state(self) -> dict[str, Any] | None:
        """The packet process's state; None if there is none."""
        if self._process is None:
            return None
        known, orders = self._answer, self._orders
        if known is None or known[0] != orders:  # an answer about hundreds of devices delays their packets
            try:
                known = self._answer = orders, self._process.ask({"op": "state"})
            except OSError:
                return None
        return known[1]

    def _read_departures(self, state: Mapping[str, Any]) -> Departures | None:
        if self._iptables is None or not self._network.filters:
            return None
        return Departures.read(self._network, self._iptables, state["devices"])

    def _set_departures(self, changes: Mapping[str, Settings]) -> Failures:
        wanted = next(
            (one for change in changes.values() if isinstance(one := change.get(DEPARTURES), Departures)), None
        )
        if wanted is None or self._iptables is None:
            return {}
        if self._process is None:
            self._process = PacketProcess()
        try:
            failed = wanted.set(self._network, self._iptables, self._process, self._upward)
        except (OSError, programs.CommandError) as error:
            failed = {NAME: str(error)}
        finally:
            self._orders = next(self._counted)
        return dict.fromkeys(changes, f"what leaves for other lab hosts: {failed[NAME]}") if failed else {}

    def _set_arrivals(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        devices: dict[str, dict[str, Any] | None] = {}
        command: dict[str, Any] = {"op": "set", "devices": devices}
        for name, change in changes.items():
            for item, value in change.items():
                if item in (UPLINK, GROUP, PEERS):
                    senders = value.senders if isinstance(value, Uplink | Group) else value
                    command |= all_senders(senders if isinstance(senders, Senders) else Senders({}))
                elif isinstance(value, Arrivals):
                    command |= {**all_senders(value.senders), **between(value.crossings)}
                    devices[name] = {"netns": namespaces[name], **settings_of(value)}
                elif item == ARRIVALS:
                    devices[name] = None
        if len(command) + len(devices) == 2 or (self._process is None and not any(devices.values())):
            return {}
        if self._process is None:
            self._process = PacketProcess()
        try:
            failed: Failures = self._order(command)["failed"]
        except OSError as error:
            return dict.fromkeys(changes, str(error))
        return failed


def _arrivals(state: Mapping[str, Any], namespaces: Mapping[str, str]) -> dict[str, Arrivals]:
    """The packet process's settings for each device in whose present namespace it listens."""
    crossings = Crossings(state["sites"], state["edges"], state["hops"])
    senders = Senders.parse(state)
    listening: dict[str, Arrivals] = {}
    for name, one in state["devices"].items():
        try:
            status = Path(namespaces[name]).stat()
        except (KeyError, OSError):
            continue  # not requested, or its container has ended
        if one["namespace"] == [status.st_dev, status.st_ino]:
            listening[name] = Arrivals.parse(one, senders, crossings)
    return listening

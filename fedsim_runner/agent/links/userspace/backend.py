"""The userspace back end: a separate process of the agent does to packets what links do.

A device's incoming packets pass through a queue; that process has each take its sender's uplink and the receiver's
downlink (direction.py). The packets of a link stay in order. Without the process nothing passes (fail closed).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from fedsim_runner.agent.host import programs
from fedsim_runner.contract.link import Link

from ..fan_out import in_each
from ..need import Need
from ..profile import Profile
from ..protocol import Changes, Failures, LinkBackend, Settings
from ..root_qdisc import Qdisc
from ..run_namespace import RunNamespace
from ..tally import Passed, Tally
from ..veth import DOWN, UP
from . import rule_set
from .arrivals import PACKETS_PER_S, Arrivals, Senders, Uplinks, describe
from .crossings import Crossings
from .departures import DEPARTURES, NAME, Departures
from .needs import NFQUEUE, TBF
from .overruns import Overruns
from .packet_process import PacketProcess
from .qdisc import Tbf
from .queue_rule import IPTABLES_NFT, has_queue_rule, list_rules_arguments, queue_rule_arguments

RULE, ARRIVALS = "queue rule", "arrivals"
UPLINK = "uplink"  # what it was changed to, for people
PRESENT, ABSENT = "present", "absent"
#: The packet process changes so many directions before it looks after packets again, in less than a millisecond.
CHANGES_AT_ONCE = 16


class Backend(LinkBackend):
    """An NFQUEUE rule in a device's namespace, the process behind that rule, and tbf on the device's own interface."""

    name: ClassVar[str] = "userspace"
    preference: ClassVar[int] = 20
    qdiscs: ClassVar[tuple[type[Qdisc], ...]] = (Tbf,)
    packets_per_s: ClassVar[int | None] = PACKETS_PER_S
    reschedules: ClassVar[bool] = True

    def __init__(self, probed: Mapping[str, Any]) -> None:
        self._iptables: str | None = probed.get("iptables")
        self._process: PacketProcess | None = None
        self._orders = 0  # commands that change the process's state, which nothing else does
        self._answer: tuple[int, dict[str, Any]] | None = None  # the state, and after how many of them
        self._senders: dict[str, str] = {}  # names of all devices by address
        self._edges: dict[tuple[str, str], tuple[str, str]] = {}  # what each direction of an edge is called
        self._overruns = Overruns()
        self._shown: dict[str, tuple[rule_set.RuleSet, str]] = {}
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
    def lacks(links: Iterable[Link], may_change: bool = False) -> Iterator[str]:
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
        senders, uplinks, crossings = Senders.of(profile), Uplinks(profile.all_devices), Crossings.of(profile)
        departures = {DEPARTURES: Departures.of(uplinks)} if profile.departs else {}
        into: dict[str | None, list[Link]] = {}
        for (_, site), link in profile.edges.items():
            into.setdefault(site, []).append(link)
        planned: dict[str, Settings] = {}
        for device in profile.devices:
            at = profile.site(device.device)
            passes = profile.may_change or device.down.is_shaped or uplinks.are_beside(device.address)
            passes = passes or at is not None
            arrivals = Arrivals.of(device, uplinks, senders, at, into.get(at, ()), crossings) if passes else None
            if arrivals is not None and device.device in profile.guest_sites:
                arrivals = replace(arrivals, guest=device.address)
            planned[device.device] = {
                UP: Tbf.for_link(device.up, profile.may_change),
                DOWN: None,
                RULE: PRESENT if passes else ABSENT,
                ARRIVALS: arrivals,
                **departures,
            }
        self._upward = _senders(senders, crossings)
        return planned

    def read(self, namespaces: Mapping[str, str]) -> tuple[dict[str, Settings], Failures]:
        rules, failed = in_each(namespaces, self._read_rule)
        arrivals = self._read_arrivals(namespaces)
        departures = self._read_departures()
        return {
            name: {RULE: rule, ARRIVALS: arrivals.get(name), DEPARTURES: departures} for name, rule in rules.items()
        }, failed

    def apply(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        # The listener first: a rule without one drops packets, and only with it do delays apply.
        failed = self._set_arrivals(changes, namespaces)

        def change(name: str) -> None:
            if RULE in changes[name] and self._iptables is not None:
                programs.run([self._iptables, *queue_rule_arguments(changes[name][RULE] == PRESENT)])

        _, also_failed = in_each({name: namespaces[name] for name in changes}, change)
        return {**failed, **also_failed, **self._set_departures(changes)}

    def change(
        self, changes: Mapping[str, Changes], namespaces: Mapping[str, str]
    ) -> tuple[dict[str, Settings], Failures]:
        if self._process is None or any({RULE, DEPARTURES} & change.keys() for change in changes.values()):
            return super().change(changes, namespaces)
        ups: dict[str, Any] = {}
        downs: dict[str, Arrivals] = {}
        for name, change in changes.items():
            before, after = change[ARRIVALS]
            assert isinstance(before, Arrivals) and isinstance(after, Arrivals)
            if not ups:  # the same for all
                ups = after.senders.changed_from(before.senders)
            if replace(before, senders=after.senders) != after:
                downs[name] = after
        answer: dict[str, dict[str, Any]] = {"ups": {}, "devices": {}, "failed": {}}
        try:
            for part in _change_commands(ups, {name: _settings(after) for name, after in downs.items()}):
                for key, values in self._order(part).items():
                    answer[key] |= values
        except OSError as error:
            return {}, dict.fromkeys(changes, str(error))
        found: dict[str, dict[str, object]] = {
            name: {ARRIVALS: change[ARRIVALS][1]} for name, change in changes.items()
        }
        for name, state in answer["devices"].items():
            found[name][ARRIVALS] = Arrivals.parse(state, downs[name].senders, downs[name].crossings)
        for address, values in answer["ups"].items():
            if self._senders.get(address) in found:
                found[self._senders[address]][UPLINK] = describe(Link.from_dict(values))
        return dict(found), answer["failed"]

    def trace(self) -> object:
        return None if self._iptables is None else rule_set.trace(self._iptables)

    def forget(self, device: str) -> None:
        self._shown.pop(device, None)
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
            self._orders += 1

    def _uplinks(self, ups: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(name, address) for address, name in self._senders.items() if address in ups]

    def counters(self) -> dict[str, Any]:
        return self._process.ask({"op": "state"}) if self._process is not None else {}

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def _read_rule(self, name: str) -> str:
        if self._iptables is None:
            return ABSENT
        # The older interface to the kernel does not count its changes.
        found = rule_set.read_rule_set() if self._iptables == IPTABLES_NFT else None
        if found is None:
            return self._list_rule()
        if found.untouched:
            return ABSENT
        shown = self._shown.get(name)
        if shown is None or shown[0] != found:
            shown = self._shown[name] = found, self._list_rule()
        return shown[1]

    def _list_rule(self) -> str:
        assert self._iptables is not None
        return PRESENT if has_queue_rule(programs.run([self._iptables, *list_rules_arguments()])) else ABSENT

    def _read_arrivals(self, namespaces: Mapping[str, str]) -> dict[str, Arrivals]:
        """The packet process's settings for each device in whose present namespace it listens."""
        if self._process is None:
            return {}
        known, orders = self._answer, self._orders
        if known is None or known[0] != orders:  # an answer about hundreds of devices delays their packets
            try:
                known = self._answer = orders, self._process.ask({"op": "state"})
            except OSError:
                return {}
        answer = known[1]
        crossings = Crossings(answer["sites"], answer["edges"], answer["hops"])
        senders = Senders.parse(answer["ups"])
        listening: dict[str, Arrivals] = {}
        for name, state in answer["devices"].items():
            try:
                status = Path(namespaces[name]).stat()
            except (KeyError, OSError):
                continue  # not requested, or its container has ended
            if state["namespace"] == [status.st_dev, status.st_ino]:
                listening[name] = Arrivals.parse(state, senders, crossings)
        return listening

    def _read_departures(self) -> Departures | None:
        if self._iptables is None or self._answer is None or not self._network.filters:
            return None
        return Departures.read(self._network, self._iptables, self._answer["devices"])

    def _set_departures(self, changes: Mapping[str, Settings]) -> Failures:
        wanted = next(
            (one for change in changes.values() if isinstance(one := change.get(DEPARTURES), Departures)), None
        )
        if wanted is None or self._iptables is None:
            return {}
        if self._process is None:
            self._process = PacketProcess()
        self._answer = None
        try:
            failed = wanted.set(self._network, self._iptables, self._process, self._upward)
        except (OSError, programs.CommandError) as error:
            failed = {NAME: str(error)}
        return dict.fromkeys(changes, f"what leaves for other lab hosts: {failed[NAME]}") if failed else {}

    def _set_arrivals(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        devices: dict[str, dict[str, Any] | None] = {}
        command: dict[str, Any] = {"op": "set", "devices": devices}
        for name, change in changes.items():
            arrivals = change.get(ARRIVALS)
            if isinstance(arrivals, Arrivals):
                command |= _senders(arrivals.senders, arrivals.crossings)
                devices[name] = {"netns": namespaces[name], **_settings(arrivals)}
            elif ARRIVALS in change:
                devices[name] = None
        if not devices or (self._process is None and not any(devices.values())):
            return {}
        if self._process is None:
            self._process = PacketProcess()
        try:
            failed: Failures = self._order(command)["failed"]
        except OSError as error:
            return dict.fromkeys(devices, str(error))
        return failed


def _change_commands(ups: Mapping[str, Any], devices: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Commands to change these directions, each so short that the packets of others go on being in time."""
    every = [("ups", *item) for item in ups.items()] + [("devices", *item) for item in devices.items()]
    for start in range(0, len(every), CHANGES_AT_ONCE):
        command: dict[str, Any] = {"op": "change", "ups": {}, "devices": {}}
        for kind, name, values in every[start : start + CHANGES_AT_ONCE]:
            command[kind][name] = values
        yield command


def _senders(senders: Senders, crossings: Crossings) -> dict[str, Any]:
    """The part of a command that names uplinks and what lies between sites."""
    between = {"sites": crossings.sites, "edges": crossings.edges, "hops": crossings.hops}
    return {"seed": senders.seed, "ups": senders.ups, **between}


def _settings(arrivals: Arrivals) -> dict[str, Any]:
    """The settings of one device as the packet process takes them."""
    return {
        "down": arrivals.down.as_dict(),
        "maxlen": arrivals.queue_packets,
        "gso": not arrivals.single_packets,
        "site": arrivals.site,
        "guest": arrivals.guest,
    }

"""Joining the lab hosts of a run, on one of them: what it offers, what it makes, what it finds in between."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedsim_runner.contract import events
from fedsim_runner.contract.atomic import replace as replace_file
from fedsim_runner.contract.lab_network import (
    PORT,
    VXLAN_BYTES,
    LabNetworkError,
    Offer,
    Settled,
    candidates,
)
from fedsim_runner.contract.typed_json import FormError, dump, load

from ..host import programs
from ..host.network_container import NetworkContainer
from ..kernel import netns
from ..links import backends
from ..links.joined import Joined
from ..links.link_errors import NoNetworkError
from ..links.network.run_namespace import RunNamespace
from ..links.network.wiring import mac_address, vxlan_name
from ..links.profile import Profile
from ..links.run_links import RunLinks
from ..run_settings import RunSettings
from . import delays, wireguard
from .guard import Guard
from .members import PREFIX, Members
from .path_mtu import UnreachableError, path_mtus
from .vxlan import BRIDGE, Tunnel, Vxlan, frees, read_device


class LabNetwork:
    """Joins this lab host to the others of its run. Thread-safe, with a lock of its own.

    Args:
        run: the run's id.
        container: holds the run's network.
        links: those of the run's devices here.
        memory: file with what a restarted agent has to know.
        record: writes an event to the journal.
        underlay: path of the lab host's own network namespace; None: that of this process.

    Attributes:
        unguarded: that others than lab hosts can send to the run's devices here, as a sentence; None: they cannot.
        delays_off: whose delays to others are not as asked because of what is real between lab hosts, as sentences.
    """

    def __init__(
        self,
        run: str,
        container: NetworkContainer,
        links: RunLinks,
        memory: Path,
        record: Callable[[events.Event], None],
        underlay: str | None = None,
    ) -> None:
        self._run = run
        self._container = container
        self._links = links
        self._memory = memory
        self._record = record
        self._underlay = underlay or netns.of_process(os.getpid())
        self._lock = threading.Lock()
        self._network = RunNamespace()
        self._guard: Guard | None = None
        self._guarded: tuple[object, ...] | None = None
        self._settled: tuple[Settled, int] | None = None
        self.unguarded: str | None = None
        self.delays_off: list[str] = []
        self._one_way_us: Mapping[str, int] | None = None  # by lab host; None: to be measured

    def offer(self, settings: RunSettings, port: int = PORT) -> Offer:
        """What this lab host offers the others.

        Raises:
            LabNetworkError: the run has no other lab hosts, or one cannot be reached at all.
            NoNetworkError: no container holds the run's network.
        """
        members = _members(settings)
        here = members.here.name
        with self._lock:
            self._use_network()
            try:
                mtu = min(path_mtus([one.address for one in members.others]).values())
                if members.encrypt:
                    # VXLAN is then in the run's own namespace, where no id is anybody else's.
                    ids, key = candidates(self._run), wireguard.prepare(here, self._network, port + 1, self._underlay)
                else:
                    ids, key = self._free_ids(port, members), None
            except UnreachableError as error:
                raise LabNetworkError(f"lab host {here}: {error.strerror}") from error
            except programs.CommandError as error:
                raise _refused(members, error) from error
        backend = self._links.choice(settings)
        offer = Offer(lab_host=here, ids=tuple(ids), mtu=mtu, backend=backend)
        return offer if key is None else replace(offer, public_key=key.public_key, key_port=key.port)

    def join(self, settings: RunSettings, settled: Settled, port: int, check: bool) -> list[str]:
        """Join the others; return what differed before.

        Args:
            settings: from the device file.
            settled: what all lab hosts of the run use.
            port: UDP port of all of them.
            check: compare only.

        Raises:
            LabNetworkError: the kernel refuses it; the text has its reason.
            NoNetworkError: no container holds the run's network.
        """
        members = _members(settings)
        _check_sites(settings, settled)
        with self._lock:
            self._use_network()
            vxlan = self._vxlan(members, settled, port)
            differing = vxlan.differences()
            if check:
                return differing
            if settled.keys:
                self._encrypt(members, settled)
            if differing:
                try:
                    vxlan.join()
                except programs.CommandError as error:
                    raise _refused(members, error) from error
                self._one_way_us = None
            unguarded = None if settled.keys else self._guard_port(members, settled, port)
            joined = events.LabNetworkJoined(
                vxlan_id=settled.vxlan_id,
                port=port,
                mtu=settled.mtu,
                others=tuple(one.name for one in members.others),
                unguarded=unguarded,
                encrypted=bool(settled.keys),
                lab_host=members.here.name,
            )
            self.unguarded = joined.note
            if differing or self._settled != (settled, port):
                self._record(joined)
            self._settled = settled, port
            self._take_over(members, vxlan)
            self._remember()
            return differing

    def measure(self, settings: RunSettings) -> None:
        """Measure what is between this lab host and those that its devices talk to, unless that is known.

        Raises:
            LabNetworkError: a lab host does not answer, or the lab hosts were not joined.
        """
        members = settings.members
        if members is None:
            return
        with self._lock:
            if self._settled is None:
                raise LabNetworkError(
                    f"lab host {members.here.name} has not joined the other lab hosts of run {self._run}",
                    hint="repeat the links stage for all lab hosts of the run",
                )
            settled, port = self._settled
            self._use_network()
            if self._one_way_us is None:
                ports = {name: holder.port for name, holder in settled.keys.items()}
                ports = ports or {one.name: port for one in members.others}
                with self._network.inside():
                    reached = delays.measure(members.partners, members.own, settled.mtu, ports, delays.REACHED_S)
                self._one_way_us = {one.lab_host: one.one_way_us for one in reached}
                joined = self._take_over(members, self._vxlan(members, settled, port))
                for one in reached:
                    self._record(events.LabHostReached(peer=one.lab_host, one_way_us=one.one_way_us))
                self._compare(joined, self._links.deviation.of(settings.links), members.here.name)
                self._remember()

    def resume(self, settings: RunSettings) -> None:
        """Take over what an earlier agent has made."""
        members = settings.members
        try:
            found = json.loads(self._memory.read_text())
            settled, port = load(Settled, found["settled"]), int(found["port"])
            one_way_us = found["one_way_us"]
        except (OSError, ValueError, KeyError, TypeError, FormError):
            return
        if members is None or self._container.namespace is None:
            return
        with self._lock, contextlib.suppress(NoNetworkError):
            self._use_network()
            self._settled, self._one_way_us = (settled, port), one_way_us
            if not settled.keys:
                self._guard_port(members, settled, port)
            self._take_over(members, self._vxlan(members, settled, port))

    def close(self) -> None:
        """Release what belongs to the agent; the network goes on."""
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    def _use_network(self) -> None:
        namespace = self._container.namespace if self._container.failure() is None else None
        if namespace is None:
            raise NoNetworkError(
                f"container {self._container.name}, which holds the run's network, is not running",
                hint="the network stage starts it (`up` again)",
            )
        self._network.path = namespace.path

    def _free_ids(self, port: int, members: Members) -> list[int]:
        """The run's candidates that nobody else uses here; the one that it uses itself is the first."""
        wanted = candidates(self._run)
        found = read_device(vxlan_name(BRIDGE), self._network)
        own = [] if found is None or found["UDP port"] != port else [found["VXLAN id"]]
        others = [one for one in wanted if one not in own]
        return [one for one in own if one in wanted] + frees(others, port, members.here.address, self._network)

    def _vxlan(self, members: Members, settled: Settled, port: int) -> Vxlan:
        tunnel = Tunnel(
            self._run,
            settled.vxlan_id,
            port,
            settled.mtu,
            members.outer[members.here.name],
            members.own[members.here.name],
            members.behind,
            {address: mac for mac, address in members.peers.items()},
            {members.own[one.name]: mac_address(members.own[one.name]) for one in members.others},
            members.only_edges,
        )
        if settled.keys:
            assert self._network.path is not None
            return Vxlan(self._network, tunnel, self._network.path)
        return Vxlan(self._network, tunnel, self._underlay)

    def _encrypt(self, members: Members, settled: Settled) -> None:
        """Have the tunnel lead to all other lab hosts."""
        peers = [wireguard.Peer(settled.keys[one.name], one.address, members.outer[one.name]) for one in members.others]
        own = f"{members.outer[members.here.name]}/{PREFIX}"
        try:
            wireguard.connect(self._network, own, settled.mtu + VXLAN_BYTES, peers)
        except OSError as error:
            raise LabNetworkError(f"lab host {members.here.name} cannot set up WireGuard: {error.strerror}") from error

    def _guard_port(self, members: Members, settled: Settled, port: int) -> str | None:
        """Let only the run's lab hosts send to its ids; return the reason if this kernel cannot."""
        wanted = (port, settled.vxlan_id, tuple(one.address for one in members.others))
        if self._guard is not None and self._guarded == wanted:
            return None
        self.close()
        try:
            self._guard = Guard(f"fedsim-{self._run}", port, settled.vxlan_id, wanted[2])
        except OSError as error:
            return str(error.strerror or error)
        self._guarded = wanted
        return None

    def _take_over(self, members: Members, vxlan: Vxlan) -> Joined:
        assert self._settled is not None
        by_name = self._settled[0].backends
        here = members.here.name
        is_mixed, backend = len(set(by_name.values())) > 1, by_name.get(here)
        measured = self._one_way_us or {}
        joined = Joined(
            mtu=vxlan.tunnel.mtu,
            ways_us={name: measured[carrier] for name, carrier in members.carried_by.items() if carrier in measured},
            to_server_us=None if here == members.server else measured.get(members.server, 0),
            is_mixed=is_mixed,
            by_sender=not is_mixed and any(one.knows_senders for one in backends.load_all() if one.name == backend),
        )
        self._links.join(joined, lambda bridges: vxlan.connect(one for one in bridges if one != BRIDGE))
        return joined

    def _compare(self, joined: Joined, profile: Profile, here: str) -> None:
        """Note the devices of which the delay is not as asked, because of what is real between lab hosts."""
        found: list[events.LinksTooLong | events.ClientsTooClose] = []
        if longer := joined.longer(profile):
            found.append(events.LinksTooLong(tuple(longer), max(longer.values()), lab_host=here))
        if shorter := joined.shorter(profile):
            found.append(events.ClientsTooClose(tuple(shorter), joined.to_server_us, lab_host=here))
        for event in found:
            self._record(event)
        self.delays_off = [event.note for event in found]

    def _remember(self) -> None:
        assert self._settled is not None
        settled, port = self._settled
        content: dict[str, Any] = {"settled": dump(settled), "port": port, "one_way_us": self._one_way_us}
        replace_file(self._memory, json.dumps(content) + "\n")


def _members(settings: RunSettings) -> Members:
    if settings.members is None:
        raise LabNetworkError(f"the run has no other lab hosts than {settings.lab_host}")
    return settings.members


def _check_sites(settings: RunSettings, settled: Settled) -> None:
    """Refuse edges between lab hosts with different back ends: each would have a packet take its edge."""
    found = {name: backend or "nothing" for name, backend in settled.backends.items()}
    if settings.links.topology is not None and len(set(found.values())) > 1:
        raise LabNetworkError(
            f"links are held by {'; '.join(f'{backend} on {name}' for name, backend in sorted(found.items()))}, and "
            "regions or a topology need the same back end on all lab hosts",
            hint="name one that all have as `network.backend`, or place all devices on lab hosts that are alike",
        )


def _refused(members: Members, error: programs.CommandError) -> LabNetworkError:
    """The kernel refuses to make a VXLAN device: most often it has none, or the address is not that of the lab host."""
    return LabNetworkError(
        f"lab host {members.here.name} cannot create a VXLAN device: {error.said}",
        hint=f"it needs kernel module vxlan (`modprobe vxlan`), and {members.here.address} has to be its own address",
    )

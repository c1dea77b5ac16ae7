"""Measuring the links of a run on this lab host: which ones, with what left out meanwhile, and what is recorded."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from fedsim_runner.contract.agent_calls import MeasuredAnswer
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.events import Event, LinkMeasured, LinksMeasured
from fedsim_runner.contract.lab_network import MTU
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import OUT, UNDETERMINED, WITHIN
from fedsim_runner.contract.queue_size import FRAME_BYTES

from ..host.network_container import namespace_number
from ..host.samples import Sampler
from ..kernel import netns
from ..links.network.wiring import mac_address
from ..links.profile import DeviceLink
from ..links.run_links import RunLinks
from ..run_settings import RunSettings
from .findings import describe_links
from .guests import Guest, edge_targets, edges_into, plan_guests
from .meter import Findings, Meter
from .prober import End
from .schedule import Schedule, directions, make_schedule

#: With `network.verify: sample`, devices besides the server, and edges.
SAMPLED = 10
#: Of more edges, so many are measured: each of their sites needs an end of its own.
MOST_EDGES = 100


class NotNowError(FedsimError):
    """Links cannot be measured now; the text says why."""

    exit = Exit.LINKS


@dataclass(frozen=True)
class _State:
    """What a measurement was of; it says nothing of another link, or of a container that was restarted since."""

    namespace: tuple[int, int] | None
    up: Link
    down: Link
    backend: str | None


class LinkCheck:
    """Measures links and remembers what they were. One measurement at a time.

    Args:
        lock: the agent's; it is not held while packets are on their way.
        links: the links in force.
        sampler: leaves out what is sent.
        record: writes an event to the journal.
        measure: sends and receives; tests replace it.
    """

    def __init__(
        self,
        lock: threading.RLock,
        links: RunLinks,
        sampler: Sampler,
        record: Callable[[Event], None],
        measure: Callable[[Mapping[str, End], Sequence[Guest], Schedule, RunLinks], Findings] | None = None,
    ) -> None:
        self._lock = lock
        self._links = links
        self._sampler = sampler
        self._record = record
        self._measure = measure or self._send
        self._known: dict[str, tuple[_State, list[LinkMeasured]]] = {}
        self.is_under_way = False

    def measure(
        self, settings: RunSettings, running: Mapping[str, int], again: bool, names: Collection[str] | None
    ) -> MeasuredAnswer:
        """Measure links and edges in force, but not again those that have been and were not out, unless asked to.

        Args:
            settings: of the run.
            running: process ids of the running devices.
            again: also measure those that have been measured since they were last changed.
            names: only these devices, and no edge; None: all.

        Raises:
            NotNowError: another measurement is under way.
        """
        with self._lock:
            if self.is_under_way:
                raise NotNowError("the links are already being measured")
            chosen = [
                one for one in settings.links.devices if one.device in running and one.device in self._links.shaped
            ]
            chosen = [one for one in chosen if names is None or one.device in names]
            if settings.verify == "sample" and not again:
                chosen = _sample(chosen, settings)
            states = {one.device: self._state(one, running[one.device]) for one in chosen}
            if names is None and chosen:
                states |= self._choose_edges(settings, again)
            wanted = {name: state for name, state in states.items() if again or not self._is_known(name, state)}
            self.is_under_way = bool(wanted)
        try:
            reason = self._measure_these(wanted, settings, running) if wanted else None
        finally:
            with self._lock:
                self.is_under_way = False
        with self._lock:
            found = [event for name in states for event in self._known.get(name, (None, []))[1]]
        links = [event.as_dict() for event in found]
        return {"links": links, "reason": reason, "time_factor": settings.time_scale.factor}

    def _choose_edges(self, settings: RunSettings, again: bool) -> dict[str, _State]:
        """The edges to measure, by name: all of them, or the same ones in every repetition."""
        edges = edges_into(settings.links)
        most = SAMPLED if settings.verify == "sample" and not again else MOST_EDGES
        picked = random.Random(settings.links.seed).sample(list(edges), min(most, len(edges)))
        return {
            name: _State(None, links.up, links.down, self._links.backend)
            for name, links in edges.items()
            if name in picked
        }

    def _is_known(self, name: str, state: _State) -> bool:
        """Whether the link was measured and was not out, of which other work on the lab host may be the reason."""
        measured, events = self._known.get(name, (None, []))
        return measured == state and all(event.verdict != OUT for event in events)

    def _measure_these(
        self,
        wanted: Mapping[str, _State],
        settings: RunSettings,
        running: Mapping[str, int],
    ) -> str | None:
        """Measure these devices' links, and these edges; return the reason if that was not possible."""
        profile = settings.links
        devices = [one for one in profile.devices if one.device in wanted]
        names = [one.device for one in devices]
        begun = time.monotonic()
        for name in wanted:
            self._known.pop(name, None)
        try:
            if self._links.unshaped is not None:
                raise NotNowError(f"no link is in force: {self._links.unshaped}")
            targets = directions((one.device, one.up, one.down) for one in devices) + edge_targets(profile, wanted)
            guests = plan_guests(profile, targets)
            if guests is None:
                raise NotNowError("the run's network has no address left for what measures its links")
            schedule = make_schedule(targets, profile.seed, FRAME_BYTES - MTU + profile.mtu)
            ends = {
                one.device: End(netns.of_process(running[one.device]), one.address, mac_address(one.address))
                for one in devices
            }
            with ExitStack() as stack:
                with self._lock:
                    self._sampler.leave_out(names)
                stack.callback(self._count_again, names)
                found = self._measure(ends, guests, schedule, self._links)
        except (FedsimError, OSError) as error:
            with self._lock:
                self._record(LinksMeasured(seconds=round(time.monotonic() - begun, 1), reason=str(error)))
            return str(error)
        events = describe_links(schedule, found, settings.time_scale)
        with self._lock:
            for event in events:
                self._record(event)
                if event.device is not None:
                    self._known.setdefault(event.device, (wanted[event.device], []))[1].append(event)
            within, out, undetermined = (
                sum(event.verdict == verdict for event in events) for verdict in (WITHIN, OUT, UNDETERMINED)
            )
            seconds = round(time.monotonic() - begun, 1)
            self._record(LinksMeasured(within=within, out=out, undetermined=undetermined, seconds=seconds))
        return None

    def _send(self, ends: Mapping[str, End], guests: Sequence[Guest], schedule: Schedule, links: RunLinks) -> Findings:
        process = Meter([one.name for one in guests])
        try:
            devices = [DeviceLink(one.name, one.address, Link(), Link()) for one in guests]
            sites = {one.name: one.site for one in guests if one.site is not None}
            with self._lock:
                links.connect_guests(devices, sites, process.namespaces)
            more = {
                one.name: End(process.namespaces[one.name], one.address, mac_address(one.address), is_guest=True)
                for one in guests
            }
            return process.measure({**ends, **more}, schedule)
        finally:
            with self._lock:
                links.forget_guests(one.name for one in guests)
            process.end()

    def _count_again(self, names: Collection[str]) -> None:
        with self._lock:
            self._sampler.count_again(names)

    def _state(self, one: DeviceLink, pid: int) -> _State:
        return _State(namespace_number(netns.of_process(pid)), one.up, one.down, self._links.backend)


def _sample(devices: Sequence[DeviceLink], settings: RunSettings) -> list[DeviceLink]:
    """The server, and some of the others: the same ones in every repetition."""
    others = [one for one in devices if one.device != settings.links.server]
    picked = random.Random(settings.links.seed).sample(others, min(SAMPLED, len(others)))
    kept = {one.device for one in picked} | {settings.links.server}
    return [one for one in devices if one.device in kept]

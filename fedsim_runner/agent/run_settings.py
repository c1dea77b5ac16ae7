"""The agent's view of the run's device file."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..contract import device_file
from ..contract.device_file import DeviceFileError, Lab, Role, Verify
from ..contract.link import Link, Links
from ..contract.link_variation import WAYS, Track, Variation, links_of, varying_values
from ..contract.queue_size import UNLIMITED_BPS
from ..contract.reference_windows import StepTime
from ..contract.routes import routes_to_server
from ..contract.slow_links import answer_s, slowest
from ..contract.time_scale import REAL_TIME, TimeScale
from ..contract.timeline import TimelineEntry, all_links, directions_that_change
from ..contract.work_steps import waits_idle
from .lab_network.members import Members, members_of
from .links import backends
from .links.profile import DeviceLink, Profile


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """One lab host's part of a run. A device missing from ``cpus`` has no CPU limit, and the link of one missing from
    ``variations`` does not vary by itself.

    ``members``: None: the run has one lab host.
    ``lab``: the lab hosts whose agents talk to each other; None: the run has one. ``elsewhere``: the devices on other
    lab hosts, and which those are. ``everyone``: the roles of all participants of the run, the server first.
    ``timing_s``: so long before the gate opens, devices time their reference steps. ``step_times``: what a step should
    take on the devices whose limits are corrected by that; ``corrected_together``: those corrected by one factor.
    ``answers_s``: by client, seconds after which it or the server answers at the latest, with links as the gate opens.
    ``busy_waiters``: the devices that use the processor while they wait.
    ``answer_s``: seconds after which the slowest client, or the server to it, answers at the latest, as links allow.
    ``time_scale``: how device time and wall time are related; all other values are of wall time.
    """

    lab_host: str
    link_backend: str
    congestion_control: str
    allow_unshaped: bool
    verify: Verify
    timeout_s: float
    silence_timeout_s: float
    go_on: bool
    min_clients: int
    total_rounds: int
    roles: Mapping[str, Role]
    cpus: Mapping[str, float]
    memory_bytes: Mapping[str, int | None]
    disk_bytes: Mapping[str, int]
    start_cpu_s: Mapping[str, float]
    links: Profile
    answer_s: int = 0
    timeline: tuple[TimelineEntry, ...] = ()
    variations: Mapping[str, Variation] = field(default_factory=dict)
    tracks: Mapping[str, Track] = field(default_factory=dict)
    members: Members | None = None
    lab: Lab | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    everyone: Mapping[str, Role] = field(default_factory=dict)
    time_scale: TimeScale = REAL_TIME
    timing_s: float = 0.0
    step_times: Mapping[str, StepTime] = field(default_factory=dict)
    corrected_together: frozenset[str] = frozenset()
    answers_s: Mapping[str, int] = field(default_factory=dict)
    busy_waiters: frozenset[str] = frozenset()

    @property
    def lab_silence_s(self) -> float:
        """Seconds of the lab's own clock without a sign of life after which a lab host is lost."""
        return self.time_scale.to_device(self.silence_timeout_s)

    def varying_values(self) -> dict[tuple[str, str], frozenset[str]]:
        """Which of ``rate`` and ``loss`` a direction does not keep, by device and ``up`` or ``down``."""
        return {
            (name, way): varying_values(one, way, self.tracks) for name, one in self.variations.items() for way in WAYS
        }


def read_run_settings(path: Path) -> RunSettings:
    """Read the settings from the device file.

    Raises:
        DeviceFileError: it is missing, has another version or form, or names an unknown link back end.
    """
    found = device_file.read_device_file(path)
    known = [backends.AUTO, *backends.names()]
    if found.link_backend not in known:
        raise DeviceFileError(f"link_backend: {found.link_backend!r} is not one of {', '.join(known)}")
    planned = {device.name: device.link for device in found.devices}
    planned |= {peer.device: peer.link for peer in found.peers.values()}
    variations = {device.name: device.variation for device in found.devices if device.variation is not None}
    variations |= {peer.device: peer.variation for peer in found.peers.values() if peer.variation is not None}
    possible = {
        name: [
            changed
            for one in links_of(link, variations.get(name), found.tracks)
            for changed in all_links(name, one, found.timeline)
        ]
        for name, link in planned.items()
    }
    answers = {name: slowest(links) for name, links in possible.items()}
    server = found.course.server
    routes = routes_to_server(server, answers, found.topology) if server in answers else {}
    routes_now = routes_to_server(server, planned, found.topology) if server in planned else {}
    links = [_link(device.name, device.address, device.link) for device in found.devices]
    peers = [_link(peer.device, address, peer.link) for address, peer in found.peers.items()]
    step_times = {
        device.name: StepTime(seconds, device.cpus * seconds)
        for device in found.devices
        if device.cpus is not None and device.compute is not None and device.compute.corrects
        for seconds in [device.compute.seconds / found.cpu_factor]
    }
    return RunSettings(
        lab_host=found.lab_host,
        link_backend=found.link_backend,
        congestion_control=found.congestion_control,
        allow_unshaped=found.allow_unshaped,
        verify=found.verify,
        timeout_s=found.course.timeout_s,
        silence_timeout_s=found.course.silence_timeout_s,
        go_on=found.course.on_client_failure == "continue",
        min_clients=found.course.min_clients,
        total_rounds=found.course.total_rounds,
        roles={device.name: device.role for device in found.devices},
        cpus={device.name: device.cpus for device in found.devices if device.cpus is not None},
        memory_bytes={device.name: device.memory_bytes for device in found.devices},
        disk_bytes={device.name: device.disk_bytes for device in found.devices},
        start_cpu_s={device.name: device.start_cpu_s for device in found.devices},
        links=Profile(
            devices=links,
            peers=peers,
            seed=found.seed,
            server=server,
            prefix=ipaddress.IPv4Network(found.network.subnet).prefixlen,
            may_part=any(entry.action in ("offline", "partition") for entry in found.timeline),
            later=_later_links(planned, possible),
            topology=found.topology,
            clients_talk=found.course.clients_talk,
            fastest_up_bps=_fastest_up(possible),
            changing=directions_that_change(possible),
        ),
        answer_s=max((answer_s(route, found.time_scale) for route in routes.values()), default=0),
        timeline=found.timeline,
        variations=variations,
        tracks=found.tracks,
        members=members_of(found),
        lab=found.lab,
        elsewhere={peer.device: peer.lab_host for peer in found.peers.values()},
        everyone={server: "server", **dict.fromkeys(found.clients, "client")},
        time_scale=found.time_scale,
        timing_s=found.timing_s,
        step_times=step_times,
        corrected_together=frozenset(
            device.name
            for device in found.devices
            if device.name in step_times and device.compute is not None and device.compute.together
        ),
        answers_s={name: answer_s(route, found.time_scale) for name, route in routes_now.items()},
        busy_waiters=frozenset(
            device.name for device in found.devices if not waits_idle(device.engine, found.federatedscope.patches_off)
        ),
    )


def _later_links(planned: Mapping[str, Links], possible: Mapping[str, Iterable[Links]]) -> tuple[Link, ...]:
    """What else links may be than planned, each once.

    Where several changes are in force together, a link has properties of these.
    """
    changed = [links for name, link in planned.items() for links in possible[name] if links != link]
    return tuple(dict.fromkeys(link for links in changed for link in (links.up, links.down)))


def _fastest_up(possible: Mapping[str, Iterable[Links]]) -> dict[str, int]:
    """The highest rate that the uplink of each device has, of those whose uplinks differ during the course."""
    rates = {name: {one.up.rate_bps or UNLIMITED_BPS for one in links} for name, links in possible.items()}
    return {name: max(some) for name, some in rates.items() if len(some) > 1}


def _link(name: str, address: str, link: Links) -> DeviceLink:
    return DeviceLink(name, address, link.up, link.down)

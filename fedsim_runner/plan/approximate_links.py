"""What link back ends do not do of an experiment's links, or hold only roughly. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ..agent.links import backends
from ..contract.link import Link
from ..contract.time_scale import REAL_TIME, TimeScale
from ..contract.timeline import all_links, directions_that_change
from ..spec.experiment import Device, Experiment
from ..spec.traces.means import links_during
from .model import PlacedDevice, group_by_host
from .placement_error import PlacementError


@dataclass(frozen=True)
class LinksDuring:
    """The links of some devices, such as those of a lab host.

    Attributes:
        now: as they are when the gate opens, with those between devices.
        changing: of each direction that changes during the course, all links that it is.
    """

    now: list[Link]
    changing: list[Collection[Link]]

    @property
    def ever(self) -> list[Link]:
        """All links that there are during the course."""
        return [*self.now, *sorted({link for one in self.changing for link in one} - set(self.now), key=repr)]


def describe_refusals(experiment: Experiment, placed: Sequence[PlacedDevice]) -> Iterator[str]:
    """Yield a note for each lab host where not every back end does all links, and says which do.

    Raises:
        PlacementError: none that may be used does.
    """
    for host, links in _links_by_host(experiment, placed).items():
        if experiment.allow_unshaped:
            continue
        try:
            able = backends.able_backends(experiment.link_backend, links.ever, links.changing)
        except backends.UnshapableError as error:
            raise PlacementError(error.message, hint=error.hint) from None
        said = backends.refusals(links.ever, links.changing)
        if experiment.link_backend == backends.AUTO and said:
            names = " or ".join(backend.name for backend in able)
            yield f"lab host {host}: links need back end {names}: {'; '.join(said)}"


def describe_approximations(
    experiment: Experiment, placed: Sequence[PlacedDevice], scale: TimeScale = REAL_TIME
) -> Iterator[str]:
    """Yield a note for each lab host and each thing there that a back end which may be used does not hold exactly.

    Args:
        experiment: in wall time.
        placed: likewise.
        scale: of the notes' values, which are the devices'.
    """
    by_host = _links_by_host(experiment, placed)
    for backend in backends.load_all():
        if experiment.link_backend not in (backends.AUTO, backend.name):
            continue
        where = "" if experiment.link_backend == backend.name else ", used where its kernel has it,"
        for host, links in by_host.items():
            if any(backend.lacks(links.ever, links.changing)):
                continue
            for what in backend.approximates(links.now, scale):
                yield f"lab host {host}: back end {backend.name}{where} {what}"


def describe_edges(experiment: Experiment, placed: Sequence[PlacedDevice]) -> Iterator[str]:
    """Yield notes on what lies between devices of several lab hosts, each of which has it for its own devices."""
    hosts = {item.lab_host for item in placed}
    edges = [] if experiment.topology is None else experiment.topology.edges
    if len(hosts) < 2 or not edges:
        return
    limited = [edge for edge in edges if edge.there.rate_bps or edge.back.rate_bps]
    if limited:
        yield (
            f"each of the {len(hosts)} lab hosts holds the rate of an edge ({limited[0].first} to {limited[0].second}) "
            "for its own devices alone: together more may pass"
        )
    if experiment.link_backend == backends.AUTO:
        yield (
            f"the {len(hosts)} lab hosts need the same link back end, as edges are between them: where their kernels "
            "differ, `up` refuses that and `network.backend` has to name one that all have"
        )


def _links_by_host(experiment: Experiment, placed: Sequence[PlacedDevice]) -> dict[str, LinksDuring]:
    """The links of each lab host's devices, and those between devices."""
    return {
        host: links_of(experiment, [item.device for item in here], between=True)
        for host, here in sorted(group_by_host(placed).items())
    }


def links_of(experiment: Experiment, devices: Sequence[Device], *, between: bool) -> LinksDuring:
    """The links of these devices during the course. ``between``: with those between all devices."""
    possible = {
        device.name: [
            changed
            for links in links_during(device.network, experiment.tracks)
            for changed in all_links(device.name, links, experiment.timeline)
        ]
        for device in devices
    }
    edges = {} if experiment.topology is None or not between else experiment.topology.directions()
    now = [link for device in devices for link in (device.network.up, device.network.down)]
    return LinksDuring([*now, *edges.values()], list(directions_that_change(possible).values()))

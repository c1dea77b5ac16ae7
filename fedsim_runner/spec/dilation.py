"""What no lab host holds of an experiment in dilated time: at a small factor rates are low and delays long. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..contract import units
from ..contract.cpu_limit import LEAST_CPUS
from ..contract.link import Link
from ..contract.routes import routes_to_server
from ..contract.slow_links import CONNECTS_WITHIN_S, round_trip_s, slowest
from ..contract.timeline import LEAST_RATE_BPS, all_links
from ..yamlfile.document import Document
from .experiment import Device, Experiment
from .traces.means import links_during

#: The highest rate of an experiment file, in bit/s.
MOST_RATE_BPS = 100_000_000_000
NAMED = 3


@dataclass(frozen=True)
class Beyond:
    """Something that is not held at a factor.

    Attributes:
        what: as a sentence without its end.
        least: the least factor at which it is; None: a smaller one is needed.
        most: the largest factor at which it is; None: a larger one is needed.
    """

    what: str
    least: float | None = None
    most: float | None = None

    @property
    def hint(self) -> str:
        """The factor that it takes."""
        return f"a factor of at least {self.least:.3g}" if self.least is not None else f"a factor up to {self.most:.3g}"


def check_time(experiment: Experiment, document: Document) -> None:
    """Report a factor that means nothing, or at which something is beyond what lab hosts hold.

    Without a factor in the file the plan finds one, and what lab hosts do not hold at that.
    """
    factor = experiment.cpu_factor
    if factor is None:
        return
    if experiment.time == "real":
        if factor > 1:
            hint = "write time: dilated, or a factor up to 1"
            document.report(("cpu_factor",), "above 1, devices need dilated time", hint)
        return
    small = [device for device in experiment.devices if device.type.compute is None and _cpus(device, factor)]
    if small:
        least = max(LEAST_CPUS / device.type.cpus for device in small)
        what = f"{_names(small)}: less than {LEAST_CPUS:g} cpus, the least that a kernel limits a device to"
        document.report(("cpu_factor",), what, Beyond("", least).hint)
    for one in beyond_lab_hosts(experiment, factor):
        document.report(("cpu_factor",), one.what, one.hint)


def beyond_lab_hosts(experiment: Experiment, factor: float) -> Iterator[Beyond]:
    """Yield which links are slower or faster, and which round trips longer, than what lab hosts hold.

    Args:
        experiment: in device time.
        factor: device seconds in a wall second.
    """
    possible = {
        device.name: [
            changed
            for links in links_during(device.network, experiment.tracks)
            for changed in all_links(device.name, links, experiment.timeline)
        ]
        for device in experiment.devices
    }
    rates = {name: _rates([way for one in links for way in (one.up, one.down)]) for name, links in possible.items()}
    between = {} if experiment.topology is None else experiment.topology.directions()
    for (first, second), link in between.items():
        rates[f"{first} to {second}"] = _rates([link])
    slow = {name: min(some) for name, some in rates.items() if some and min(some) * factor < LEAST_RATE_BPS}
    if slow:
        slowest_bps = min(slow.values())
        yield Beyond(
            f"{_join(list(slow))}: {units.rate(slowest_bps)} of device time are {slowest_bps * factor:.3g} bit/s, less "
            f"than the {units.rate(LEAST_RATE_BPS)} that a link can be limited to",
            least=LEAST_RATE_BPS / slowest_bps,
        )
    fast = {name: max(some) for name, some in rates.items() if some and max(some) * factor > MOST_RATE_BPS}
    if fast:
        fastest_bps = max(fast.values())
        yield Beyond(
            f"{_join(list(fast))}: {units.rate(fastest_bps)} of device time are {units.rate(fastest_bps * factor)}, "
            f"more than the {units.rate(MOST_RATE_BPS)} that a link can be limited to",
            most=MOST_RATE_BPS / fastest_bps,
        )
    servers = [device.name for device in experiment.devices if device.role == "server"]
    if not servers:
        return
    routes = routes_to_server(
        servers[0], {name: slowest(links) for name, links in possible.items()}, experiment.topology
    )
    trips = {name: round_trip_s(route) for name, route in routes.items()}
    far = {name: trip for name, trip in trips.items() if trip / factor >= CONNECTS_WITHIN_S > trip}
    if far:
        longest = max(far.values())
        yield Beyond(
            f"{_join(list(far))}: a round trip to the server of {longest:g} s takes {longest / factor:,.4g} s, and "
            f"a kernel forgets a connection that is not confirmed within {CONNECTS_WITHIN_S:g} s",
            least=longest / CONNECTS_WITHIN_S * 1.01,
        )


def _cpus(device: Device, factor: float) -> bool:
    return device.type.cpus * factor < LEAST_CPUS


def _rates(links: list[Link]) -> list[int]:
    return [link.rate_bps for link in links if link.rate_bps is not None]


def _names(devices: list[Device]) -> str:
    return _join([device.name for device in devices])


def _join(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")

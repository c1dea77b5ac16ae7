"""The netem back end: the kernel does everything, and goes on doing so without the agent.

Jitter is drawn uniformly from [delay - jitter, delay + jitter]. netem keeps the packets of one path in order only if it
has a rate, so a link with jitter and no rate gets one of 100 Gbit/s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from fedsim_runner.contract.link import Link

from ..need import Need
from ..profile import Profile
from ..protocol import Failures, LinkBackend, Settings
from ..root_qdisc import Qdisc
from ..veth import DOWN, OFFLOAD, UP
from .needs import NETEM
from .qdisc import Netem


class Backend(LinkBackend):
    """One netem qdisc at each end of a device's veth pair, and nothing else."""

    name: ClassVar[str] = "netem"
    preference: ClassVar[int] = 10
    qdiscs: ClassVar[tuple[type[Qdisc], ...]] = (Netem,)

    def __init__(self, probed: Mapping[str, Any]) -> None:
        pass

    @staticmethod
    def needs(links: Iterable[Link]) -> list[Need]:
        return [NETEM] if any(link.rate_bps or link.delays_or_drops for link in links) else []

    def plan(self, profile: Profile) -> dict[str, Settings]:
        # netem counts, drops and times what it receives: with offload, packets of up to 64 kB. These come from the
        # sender, so one lossy or rate-limited link anywhere concerns every device.
        single_packets = any(link.loss or link.rate_bps for link in profile.links)
        offload = {OFFLOAD: "off"} if single_packets else {}
        return {
            device.device: {UP: Netem.for_link(device.up), DOWN: Netem.for_link(device.down), **offload}
            for device in profile.devices
        }

    def read(self, namespaces: Mapping[str, str]) -> tuple[dict[str, Settings], Failures]:
        return {name: {} for name in namespaces}, {}

    def apply(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        return {}

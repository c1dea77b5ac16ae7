"""What the network between lab hosts makes of the links of a run that has several. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fedsim_runner.contract.lab_network import MTU
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import tolerated_delay_us

from .profile import DeviceLink, Profile


@dataclass(frozen=True)
class Joined:
    """The network between lab hosts, as far as links are concerned.

    Attributes:
        mtu: of the devices' interfaces.
        is_mixed: lab hosts have different link back ends, so each shapes its own devices' links alone.
        real_us: by device, how long its packets are under way between lab hosts; those of others stay on one.
    """

    mtu: int = MTU
    real_us: Mapping[str, int] = field(default_factory=dict)
    is_mixed: bool = False

    def of(self, profile: Profile) -> Profile:
        """The links with what is real taken off the emulated delay."""
        return replace(
            profile,
            mtu=self.mtu,
            devices=[self._without_real(one) for one in profile.devices],
            peers=[
                replace(one, up=Link(), down=Link()) if self.is_mixed else self._without_real(one)
                for one in profile.peers
            ],
            departs=self.is_mixed,
        )

    def longer(self, profile: Profile) -> list[str]:
        """The devices of which a delay is longer than asked for by more than links may be off, with their names."""
        return [
            one.device
            for one in profile.devices
            if any(_excess_us(link, self.real_us.get(one.device, 0)) > 0 for link in (one.up, one.down))
        ]

    def _without_real(self, one: DeviceLink) -> DeviceLink:
        real_us = self.real_us.get(one.device, 0)
        return replace(one, up=_shorter(one.up, real_us), down=_shorter(one.down, real_us)) if real_us else one


def _shorter(link: Link, by_us: int) -> Link:
    return replace(link, delay_us=max(0, link.delay_us - by_us)) if link.delay_us else link


def _excess_us(link: Link, real_us: int) -> float:
    return real_us - link.delay_us - tolerated_delay_us(link.delay_us)

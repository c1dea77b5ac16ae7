"""A whole link by a root qdisc that only the tests' kernel has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from fedsim_runner.agent.kernel.root_qdisc import Qdisc, try_qdisc
from fedsim_runner.agent.links.changes import Failures, Settings
from fedsim_runner.agent.links.need import Need
from fedsim_runner.agent.links.network.veth import DOWN, UP
from fedsim_runner.agent.links.profile import Profile
from fedsim_runner.agent.links.protocol import LinkBackend
from fedsim_runner.contract.link import Link

TOY = Need("toy", "toy", "rate, delay, jitter and loss", "sch_toy", partial(try_qdisc, "toy", "limit", "10"))


@dataclass(frozen=True)
class Toy(Qdisc):
    link: Link
    kind: ClassVar[str] = "toy"

    def arguments(self) -> list[str]:
        return [json.dumps(self.link.as_dict(), separators=(",", ":"))]

    @classmethod
    def parse(cls, options: Mapping[str, Any], below: Sequence[Mapping[str, Any]]) -> Toy:
        return cls(Link.from_dict(json.loads(options["words"][0])))

    def matches(self, active: object) -> bool:
        return self == active

    def __str__(self) -> str:
        return " ".join([self.kind, *self.arguments()])


class Backend(LinkBackend):
    name: ClassVar[str] = "toy"
    preference: ClassVar[int] = 30
    qdiscs: ClassVar[tuple[type[Qdisc], ...]] = (Toy,)

    def __init__(self, probed: Mapping[str, Any]) -> None:
        pass

    @staticmethod
    def needs(links: Iterable[Link]) -> list[Need]:
        return [TOY] if any(link != Link() for link in links) else []

    def plan(self, profile: Profile) -> dict[str, Settings]:
        def for_link(link: Link) -> Toy | None:
            return None if link == Link() else Toy(link)

        return {one.device: {UP: for_link(one.up), DOWN: for_link(one.down)} for one in profile.devices}

    def read(self, namespaces: Mapping[str, str]) -> tuple[dict[str, Settings], Failures]:
        return {name: {} for name in namespaces}, {}

    def apply(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        return {}

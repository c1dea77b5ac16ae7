"""The settings that all links are to have: of the wires, of the chosen back end, and of the others, which undo."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ..network.run_namespace import RunNamespace
from ..network.veth import Veths
from ..network.wiring import plan_wires
from ..profile import Profile
from ..protocol import LinkBackend


class Planned:
    """Plans them, anew for another profile.

    Args:
        backends: all of them.
        network: the run's namespace, which is informed of what its bridges need.
        veths: the pairs, which are informed of their wires.
        profile: the requested links.
        chosen: name of the back end that shapes them; None: they are connected, and nothing shapes them.

    Attributes:
        requested: the last two.
        settings: by device, item -> value.
        changes_ends: qdiscs or bridges of the pairs may change while packets pass.
    """

    requested: tuple[Profile, str | None]
    settings: Mapping[str, Mapping[str, object]]

    def __init__(
        self,
        backends: Sequence[LinkBackend],
        network: RunNamespace,
        veths: Veths,
        profile: Profile,
        chosen: str | None,
    ) -> None:
        self._backends = backends
        self._network = network
        self._veths = veths
        self.set_profile(profile, chosen)

    @property
    def chosen(self) -> list[LinkBackend]:
        """The back end that shapes the links, if one does."""
        return [backend for backend in self._backends if backend.name == self.requested[1]]

    def set_profile(self, profile: Profile, chosen: str | None) -> None:
        """Plan the settings of all devices, of any profile."""
        nothing = profile.without_links()
        self._unshaped = [backend.plan(nothing) for backend in self._backends if backend.name != chosen]
        self._plan(profile, chosen)

    def change(self, profile: Profile) -> None:
        """Plan the settings of all devices, which are the same ones; back ends that shape nothing have theirs."""
        self._plan(profile, self.requested[1])

    def change_links(self, profile: Profile, devices: Collection[str]) -> Collection[str]:
        """Plan the settings of devices whose links alone are others; return all whose settings may be."""
        self.requested = profile, self.requested[1]
        changed: dict[str, Mapping[str, object]] = {}
        for backend in self.chosen:
            for name, settings in backend.plan_changed(profile, devices).items():
                changed[name] = {**self.settings[name], **settings}
        self.settings = {**self.settings, **changed}
        return changed.keys()

    def _plan(self, profile: Profile, chosen: str | None) -> None:
        self.requested = profile, chosen
        shaping = self.chosen
        by_site = profile.topology is not None and any(backend.separates_sites for backend in shaping)
        self._network.has_edges = by_site
        self._network.only_edges = by_site and profile.topology is not None and bool(profile.topology.parents)
        # To move ports from one bridge to another takes the kernel a pause for each, which may be long.
        dropped = profile.drops_between and any(backend.keeps_apart for backend in shaping)
        wired = replace(profile, offline=frozenset(), partitions={}) if dropped else profile
        in_kernel = any(not backend.reschedules for backend in shaping)  # the others hold rates themselves
        self.changes_ends = (profile.may_change and in_kernel) or (profile.may_part and not dropped)
        self._veths.wires = plan_wires(wired, by_site)
        planned: dict[str, dict[str, object]] = {name: dict(settings) for name, settings in self._veths.plan().items()}
        for settings in (*(backend.plan(profile) for backend in shaping), *self._unshaped):
            for name, wanted in planned.items():
                for item, value in settings[name].items():
                    wanted.setdefault(item, value)
        self.settings = planned

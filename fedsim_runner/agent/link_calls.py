"""What ctl can ask of the links."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from threading import RLock
from typing import Any

from ..contract.agent_calls import LinksAnswer, MeasuredAnswer
from .containers import Containers
from .course.watch import Watch
from .current import Current
from .gatekeeper import Gatekeeper
from .host.network_container import NetworkContainer
from .lab_network.lab_network import LabNetwork
from .links.run_links import RunLinks
from .measuring.link_check import LinkCheck, NotNowError
from .settings_reader import SettingsReader


class LinkCalls:
    """Answers calls about the links of one run. Thread-safe.

    Args:
        lock: the owner's; taken where it is needed, since much of this takes seconds.
        current: the settings.
        reader: reads them again.
        containers: those of the devices.
        network: holds the run's network.
        lab_network: measures the real delay to other lab hosts.
        links: of the devices.
        gatekeeper: remembers which are in force.
        link_check: measures them.
        watch: the course.
    """

    def __init__(
        self,
        lock: RLock,
        current: Current,
        reader: SettingsReader,
        containers: Containers,
        network: NetworkContainer,
        lab_network: LabNetwork,
        links: RunLinks,
        gatekeeper: Gatekeeper,
        link_check: LinkCheck,
        watch: Watch,
    ) -> None:
        self._lock = lock
        self._current = current
        self._reader = reader
        self._containers = containers
        self._network = network
        self._lab_network = lab_network
        self._links = links
        self._gatekeeper = gatekeeper
        self._link_check = link_check
        self._watch = watch

    def apply(self, check: bool, names: Collection[str] | None) -> LinksAnswer:
        """Connect the devices and shape their links as the device file says, which is read again first.

        Raises:
            UnshapableError: no back end here can shape them, and ``allow_unshaped`` is not set.
            NoNetworkError: no container holds the run's network.
            LabNetworkError: another lab host of the run is not reached.
            DockerError: the Engine does not say which containers run.
        """
        settings = self._reader.read()
        self._containers.refresh()
        self._network.look_up()
        if not check:
            self._lab_network.measure(settings)
        with self._lock:
            answer = self._gatekeeper.apply(self._current.settings, names, check)
            notes = self._lab_network.delays_off
            return {**answer, "delays_off": notes} if notes else answer

    def measure(self, again: bool, names: Collection[str] | None) -> MeasuredAnswer:
        """Measure the links that are in force.

        Raises:
            NotNowError: they are being measured, or ``again`` and a course is on, whose packets would be in the way.
        """
        with self._lock:
            if self._gatekeeper.is_requested and (self._watch.supervisor is None or self._watch.is_on):
                if not again:
                    # They were measured before it began.
                    return {"links": [], "reason": None, "time_factor": self._current.settings.time_scale.factor}
                raise NotNowError("a course is running: its packets and those that measure links would interfere")
            settings, running = self._current.settings, self._containers.running_pids()
            settings = dataclasses.replace(settings, links=self._links.now(settings.links))
        return self._link_check.measure(settings, running, again, names)

    def packet_counters(self) -> dict[str, Any]:
        """Counters of the process that holds packets outside the kernel."""
        with self._lock:
            return self._links.counters()

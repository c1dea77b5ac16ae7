"""What ctl can ask of the links, and of the network between lab hosts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from threading import RLock
from typing import Any

from ..contract.agent_calls import JoinedAnswer, LinksAnswer, MeasuredAnswer
from ..contract.lab_network import Settled
from ..contract.typed_json import dump
from .containers import Containers
from .course.watch import Watch
from .current import Current
from .gatekeeper import Gatekeeper
from .host.network_container import NetworkContainer
from .lab.part import LabPart
from .lab_network.lab_network import LabNetwork
from .links.run_links import RunLinks
from .measuring.link_check import LinkCheck, NotNowError
from .recording import Recorder
from .run_settings import RunSettings, read_run_settings


class LinkCalls:
    """Answers calls about the links of one run. Thread-safe.

    Args:
        lock: the owner's; taken where it is needed, since much of this takes seconds.
        device_file: of the run.
        current: the settings, which are read again here.
        join_lab: takes part in the run as these settings say.
        containers: those of the devices.
        network: holds the run's network.
        lab_network: joins it to those of other lab hosts.
        links: of the devices.
        gatekeeper: remembers which are in force.
        link_check: measures them.
        watch: the course.
        recorder: writes events.
        probed: what this kernel can shape links with.
    """

    def __init__(
        self,
        lock: RLock,
        device_file: Path,
        current: Current,
        join_lab: Callable[[RunSettings], LabPart],
        containers: Containers,
        network: NetworkContainer,
        lab_network: LabNetwork,
        links: RunLinks,
        gatekeeper: Gatekeeper,
        link_check: LinkCheck,
        watch: Watch,
        recorder: Recorder,
        probed: Mapping[str, Any],
    ) -> None:
        self._lock = lock
        self._device_file = device_file
        self._current = current
        self._join_lab = join_lab
        self._containers = containers
        self._network = network
        self._lab_network = lab_network
        self._links = links
        self._gatekeeper = gatekeeper
        self._link_check = link_check
        self._watch = watch
        self._recorder = recorder
        self._probed = probed

    def probe_result(self) -> dict[str, Any]:
        """What this kernel can shape links with."""
        return dict(self._probed)

    def offer_lab(self, port: int) -> dict[str, Any]:
        """What this lab host offers the others of its run.

        Raises:
            LabNetworkError: the run has no others, or one cannot be reached at all.
            NoNetworkError: no container holds the run's network.
            DockerError: the Engine does not say which containers run.
        """
        self._network.look_up()
        offer: dict[str, Any] = dump(self._lab_network.offer(self._read_settings(), port))
        return offer

    def join_lab(self, settled: Settled, port: int, check: bool) -> JoinedAnswer:
        """Join this lab host to the others of its run.

        Raises:
            LabNetworkError: the kernel refuses it.
            NoNetworkError: no container holds the run's network.
            DockerError: the Engine does not say which containers run.
        """
        self._network.look_up()
        differences = self._lab_network.join(self._read_settings(), settled, port, check)
        return {"differences": differences, "note": self._lab_network.unguarded}

    def apply(self, check: bool, names: Collection[str] | None) -> LinksAnswer:
        """Connect the devices and shape their links as the device file says, which is read again first.

        Raises:
            UnshapableError: no back end here can shape them, and ``allow_unshaped`` is not set.
            NoNetworkError: no container holds the run's network.
            LabNetworkError: another lab host of the run is not reached.
            DockerError: the Engine does not say which containers run.
        """
        settings = self._read_settings()
        self._containers.refresh()
        self._network.look_up()
        if not check:
            self._lab_network.measure(settings)
        with self._lock:
            answer = self._gatekeeper.apply(self._current.settings, names, check)
            notes = self._lab_network.delays_off
            return {**answer, "delays_off": notes} if notes else answer

    def _read_settings(self) -> RunSettings:
        """Read the device file again."""
        with self._lock:
            current, before = self._current, self._current.settings
            settings = current.settings = read_run_settings(self._device_file)
            if settings.time_scale != before.time_scale:
                # The run was brought up again with another factor, which readers have to know.
                self._recorder.record_start(settings, self._links.backend)
            if settings.lab != before.lab and self._watch.supervisor is None:
                current.lab.close()
                current.lab = self._join_lab(settings)
                current.lab.start()
            self._watch.use_settings(settings)
            self._containers.forget_others(settings.roles)
            return settings

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
                raise NotNowError("a course is on: its packets and those that measure links would disturb each other")
            settings, running = self._current.settings, self._containers.running_pids()
            settings = dataclasses.replace(settings, links=self._links.now(settings.links))
        return self._link_check.measure(settings, running, again, names)

    def packet_counters(self) -> dict[str, Any]:
        """Counters of the process that holds packets outside the kernel."""
        with self._lock:
            return self._links.counters()

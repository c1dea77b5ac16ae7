"""The links of one run on this lab host: which are in force, and bringing them into force."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from fedsim_runner.contract import events
from fedsim_runner.contract.agent_calls import LinksAnswer

from ..host.docker_api import Docker
from ..run_settings import RunSettings
from . import backends, bridge_addresses, netns
from .shaper import Result, Shaper


class RunLinks:
    """Shapes devices by their processes. Not safe from several threads: its owner holds a lock.

    Args:
        docker: the Engine.
        run: the run's id.
        wanted: name of a link back end, or ``auto``.
        probed: what the kernel can shape with.
        record: writes an event to the journal.

    Attributes:
        shaped: devices whose link is in force.
        unshaped: why no link is, where the experiment allows that.
    """

    def __init__(
        self,
        docker: Docker,
        run: str,
        wanted: str,
        probed: Mapping[str, Any],
        record: Callable[[events.Event], None],
    ) -> None:
        self._docker = docker
        self._run = run
        self._probed = probed
        self._backend: str | None = probed["backend"] if wanted == backends.AUTO else wanted
        self._record = record
        self._shaper: Shaper | None = None
        self.shaped: set[str] = set()
        self.unshaped: str | None = None

    @property
    def backend(self) -> str | None:
        """What shapes here; None where nothing does."""
        return None if self.unshaped is not None else self._backend

    @property
    def failure(self) -> str | None:
        """Why no traffic passes any more."""
        return self._shaper.failure() if self._shaper is not None else None

    def covers(self, devices: Collection[str]) -> bool:
        """Whether all of these devices may send."""
        return self.unshaped is not None or self.shaped.issuperset(devices)

    def apply(self, file: RunSettings, wanted: Collection[str], running: Mapping[str, int], check: bool) -> LinksAnswer:
        """Bring the links of ``wanted`` devices to what the device file says; ``running``: processes by device.

        Raises:
            UnshapableError: no back end here holds them, and ``allow_unshaped`` is not set.
        """
        try:
            backend = backends.choose(file.link_backend, file.links, self._probed)
        except backends.UnshapableError as error:
            if not file.allow_unshaped:
                raise
            return self._go_unshaped(str(error), wanted, check)
        self.unshaped = None
        if self._shaper is None:
            self._shaper = Shaper([kind(self._probed) for kind in backends.load_all()], file.links, backend)
        else:
            self._shaper.set_profile(file.links, backend)
        results = self._shaper.apply({name: netns.of_process(pid) for name, pid in running.items()}, check=check)
        for name in wanted:
            if name not in running:
                results[name] = Result(failed="its container is not running")
        network: list[str] = []
        if not check:
            self._remember(results)
            network = bridge_addresses.remove_bridge_addresses(self._docker, file.network, self._run)
            for address in network:
                self._record(events.BridgeAddressRemoved(address))
        return {
            "changed": bool(network) or any(result.changed for result in results.values()),
            "backend": backend,
            "devices": {name: result.as_dict() for name, result in sorted(results.items())},
        }

    def reapply(self, name: str, pid: int) -> str | None:
        """A new interface of a device whose link was in force. Returns why it could not be shaped."""
        if self._shaper is None:
            return None
        result = self._shaper.apply({name: netns.of_process(pid)})[name]
        if result.failed is not None:
            self.shaped.discard(name)
            self._record(events.LinkFailed(name, result.failed))
            return result.failed
        self._record(events.LinkReapplied(name))
        return None

    def forget(self, name: str) -> None:
        """The device's process has ended, and its interface with it."""
        if self._shaper is not None:
            self._shaper.forget(name)

    def counters(self) -> dict[str, Any]:
        """Counters of what holds packets outside the kernel; empty where the kernel does all."""
        return self._shaper.counters() if self._shaper is not None else {}

    def stop(self) -> None:
        """Where packets pass through this agent, they stop."""
        if self._shaper is not None:
            self._shaper.stop()

    def _go_unshaped(self, reason: str, names: Collection[str], check: bool) -> LinksAnswer:
        if not check and self.unshaped != reason:
            self._record(events.LinksUnshaped(reason))
            self.unshaped = reason
        nothing = {name: Result().as_dict() for name in names}
        return {"changed": False, "backend": None, "devices": nothing, "unshaped": reason}

    def _remember(self, results: Mapping[str, Result]) -> None:
        for name, result in results.items():
            if result.failed is None:
                self.shaped.add(name)
                if result.changed:
                    self._record(events.LinkShaped(name))

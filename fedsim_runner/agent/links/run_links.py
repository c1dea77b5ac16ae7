"""The links of one run on this lab host: shaping them, and which are in force."""

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
    """Shapes devices by their processes. Not thread-safe: its owner holds a lock.

    Args:
        docker: the Engine.
        run: the run's id.
        requested: name of a link back end, or ``auto``.
        probed: what the kernel can shape links with.
        record: writes an event to the journal.

    Attributes:
        shaped: devices whose link is in force.
        unshaped: why no link is in force, if the experiment allows that.
    """

    def __init__(
        self,
        docker: Docker,
        run: str,
        requested: str,
        probed: Mapping[str, Any],
        record: Callable[[events.Event], None],
    ) -> None:
        self._docker = docker
        self._run = run
        self._probed = probed
        self._backend: str | None = probed["backend"] if requested == backends.AUTO else requested
        self._record = record
        self._shaper: Shaper | None = None
        self.shaped: set[str] = set()
        self.unshaped: str | None = None

    @property
    def backend(self) -> str | None:
        """The back end that shapes here; None if none does."""
        return None if self.unshaped is not None else self._backend

    @property
    def failure(self) -> str | None:
        """Why traffic no longer passes; None while it does."""
        return self._shaper.failure() if self._shaper is not None else None

    def covers(self, devices: Collection[str]) -> bool:
        """Whether all of these devices may send."""
        return self.unshaped is not None or self.shaped.issuperset(devices)

    def apply(
        self, settings: RunSettings, names: Collection[str], running: Mapping[str, int], check: bool
    ) -> LinksAnswer:
        """Shape the links of the named devices as the device file says; ``running``: process ids by device.

        Raises:
            UnshapableError: no back end here can shape them, and ``allow_unshaped`` is not set.
        """
        try:
            backend = backends.choose(settings.link_backend, settings.links, self._probed)
        except backends.UnshapableError as error:
            if not settings.allow_unshaped:
                raise
            return self._go_unshaped(str(error), names, check)
        self.unshaped = None
        if self._shaper is None:
            self._shaper = Shaper([kind(self._probed) for kind in backends.load_all()], settings.links, backend)
        else:
            self._shaper.set_profile(settings.links, backend)
        results = self._shaper.apply({name: netns.of_process(pid) for name, pid in running.items()}, check=check)
        for name in names:
            if name not in running:
                results[name] = Result(failed="its container is not running")
        removed: list[str] = []
        if not check:
            self._remember(results)
            removed = bridge_addresses.remove_bridge_addresses(self._docker, settings.network, self._run)
            for address in removed:
                self._record(events.BridgeAddressRemoved(address))
        return {
            "changed": bool(removed) or any(result.changed for result in results.values()),
            "backend": backend,
            "devices": {name: result.as_dict() for name, result in sorted(results.items())},
        }

    def reapply(self, name: str, pid: int) -> str | None:
        """Shape the new interface of a device whose link was in force. Return the reason if that failed."""
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
        """Release a device whose process, and with it its interface, has ended."""
        if self._shaper is not None:
            self._shaper.forget(name)

    def counters(self) -> dict[str, Any]:
        """Counters of the process that holds packets outside the kernel; empty if the kernel does all."""
        return self._shaper.counters() if self._shaper is not None else {}

    def stop(self) -> None:
        """Stop: packets that pass through this agent stop, too."""
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

"""The Engines of all lab hosts, asked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from fedsim_runner.contract import agent_calls
from fedsim_runner.lab.host import LabHost

from ..values import UnreachableError
from .agent_status import HostStatus, device_states
from .docker_engine import AgentSilentError, LabEngine

T = TypeVar("T")
Connect = Callable[..., AbstractContextManager[LabEngine]]
# Each is a connection over ssh, which costs this machine a process.
AT_ONCE = 32
TIMEOUT_S = 30


class LabEngines:
    """``connect`` opens the Engine of a lab host."""

    def __init__(self, hosts: Sequence[LabHost], connect: Connect) -> None:
        self._hosts = hosts
        self._connect = connect

    def ask(
        self, work: Callable[[LabHost, LabEngine], T], timeout_s: int = TIMEOUT_S, at_once: int = AT_ONCE
    ) -> tuple[dict[str, T], Mapping[str, UnreachableError]]:
        """What ``work`` returns for each host, and why it returns nothing for those that do not answer; by host.

        ``at_once``: how many hosts are asked at the same time.
        """
        found: dict[str, T] = {}
        silent: dict[str, UnreachableError] = {}

        def attempt(host: LabHost) -> T | UnreachableError:
            try:
                with self._connect(host, timeout_s) as engine:
                    return work(host, engine)
            except UnreachableError as error:
                return error

        with ThreadPoolExecutor(min(at_once, max(1, len(self._hosts)))) as pool:
            # In the hosts' order, whichever answers first.
            for host, answer in zip(self._hosts, pool.map(attempt, self._hosts), strict=True):
                if isinstance(answer, UnreachableError):
                    silent[host.name] = answer
                else:
                    found[host.name] = answer
        return found, silent

    def ask_all(self, work: Callable[[LabHost, LabEngine], T], timeout_s: int = TIMEOUT_S) -> dict[str, T]:
        """The same, where all must answer.

        Raises:
            UnreachableError: one does not.
        """
        found, silent = self.ask(work, timeout_s)
        for error in silent.values():
            raise error
        return found

    def devices(
        self, run: str, timeout_s: int = TIMEOUT_S
    ) -> tuple[dict[str, tuple[LabHost, Mapping[str, Any]]], Mapping[str, UnreachableError]]:
        """Each device's host and its container, as the Engine sums it up; and why hosts do not answer, by host."""
        found, silent = self.ask(lambda _, engine: engine.containers(run, "device"), timeout_s)
        devices: dict[str, tuple[LabHost, Mapping[str, Any]]] = {
            name: (host, item) for host in self._hosts for name, item in found.get(host.name, {}).items()
        }
        return devices, silent

    def statuses(self, run: str) -> tuple[Sequence[HostStatus], Sequence[UnreachableError]]:
        """What each host that has something of a run says of it, and why a host does not answer.

        Raises:
            UnreachableError: none answers.
        """

        def status(host: LabHost, engine: LabEngine) -> HostStatus | None:
            if run not in engine.runs():
                return None
            devices = device_states(engine.containers(run, "device"), host.name)
            try:
                return HostStatus(devices, engine.ask_agent(run, agent_calls.Status()))
            except AgentSilentError:
                return HostStatus(devices, is_silent=True)

        parts, silent = self.ask(status)
        if silent and not parts:
            raise UnreachableError("; ".join(str(error).removesuffix(".") for error in silent.values()))
        return [part for part in parts.values() if part is not None], list(silent.values())

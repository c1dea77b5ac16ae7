"""The userspace back end's packet process without a process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fedsim_runner.agent.links.userspace.holdings import Holdings
from fedsim_runner.agent.links.userspace.orders import Orders
from fedsim_runner.agent.processes.scheduling import NICE


class PacketsHere:
    """The userspace back end's packet process as an object in the test's process."""

    def __init__(self) -> None:
        self._orders = Orders(Holdings(), NICE)
        self._ended: str | None = None

    def failure(self) -> str | None:
        return self._ended

    def change(self, parts: Iterable[Mapping[str, Any]]) -> None:
        for part in parts:
            assert self._orders.obey(json.loads(json.dumps(part))) is None

    def see_change(self, number: int) -> dict[str, Any]:
        return self.ask({"op": "changed", "number": number})

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(json.dumps(self._orders.obey(json.loads(json.dumps(command)))))
        return answer

    def stop(self) -> None:
        self._ended = "the agent's packet process has ended"

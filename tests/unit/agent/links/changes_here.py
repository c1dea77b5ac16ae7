"""The process that changes links as an object in the test's process: a change is made when it is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedsim_runner.agent.changing.due_requests import Part
from fedsim_runner.agent.changing.requests import Outcome, Requests


class ChangesHere:
    """In the place of ``ChangingProcess``."""

    has_ended = False

    def __init__(self) -> None:
        self._requests = Requests()

    def open(self, namespaces: Mapping[str, str]) -> dict[str, str]:
        for name, path in namespaces.items():
            self._requests.open(name, path)
        return {}

    def close(self, device: str) -> None:
        self._requests.close(device)

    def change(self, number: int, at_s: float, parts: Sequence[Part]) -> None:
        self._requests.hold(number, at_s, parts)

    def see(self, number: int) -> Outcome:
        return self._requests.outcome(number)

    def stop(self) -> None:
        self._requests = Requests()

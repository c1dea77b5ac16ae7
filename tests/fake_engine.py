"""A fake of a lab host's Engine that records calls, in place of one that answers over a socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedsim_runner.contract.agent_calls import Call


class FakeApi:
    """The part of docker-py that the code under test calls."""

    def __init__(self, chunks: Mapping[str, Sequence[bytes]]) -> None:
        self.chunks = dict(chunks)
        self.asked: list[dict[str, Any]] = []

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return []

    def logs(self, identifier: str, **options: Any) -> Any:
        self.asked.append(options)
        for chunk in self.chunks[identifier]:
            if chunk == b"broken":
                raise OSError("the Engine is gone")
            yield chunk


class FakeClient:
    """A Docker client."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api

    def version(self) -> dict[str, Any]:
        return {"Version": "20.10.24"}

    def info(self) -> dict[str, Any]:
        return {"NCPU": 4}


@dataclass
class FakeEngine:
    """The content of a lab host: names, device states and the agent's answer, each by run."""

    things: dict[str, list[str]] = field(default_factory=dict)
    devices: dict[str, dict[str, str]] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    chunks: dict[str, list[bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    state_folders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.client = FakeClient(FakeApi(self.chunks))

    def runs(self) -> dict[str, list[str]]:
        return {run: list(names) for run, names in self.things.items() if names}

    def agents(self) -> dict[str, int]:
        return {run: made for made, run in enumerate(self.answers)}

    def containers(self, run: str, kind: str) -> dict[str, dict[str, Any]]:
        states = self.devices.get(run, {}) if kind == "device" else {}
        return {name: {"Id": name, "State": state} for name, state in states.items()}

    def ask_agent(self, run: str, call: Call) -> dict[str, Any] | None:
        self.asked.append((run, call.name))
        return self.answers.get(run)

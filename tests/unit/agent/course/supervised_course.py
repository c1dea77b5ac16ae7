"""A supervisor fed with FederatedScope's own lines, and the journal events that it answers with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from fedsim_runner.agent.course.limits import Limits
from fedsim_runner.agent.course.supervision import Supervisor
from fedsim_runner.contract import participant_events as reported
from fedsim_runner.contract.events import Event
from tests.reported import Lines

PREFIX = "2026-01-02 10:00:00,123 (server:442) INFO: "


class Course:
    """A course with a server ``hub`` and clients ``a`` and ``b``; collects events."""

    def __init__(
        self,
        rounds: int = 2,
        timeout_s: float = 1000.0,
        silence_s: float = 60.0,
        go_on: bool = False,
        min_clients: int = 1,
        loading: bool = False,
    ) -> None:
        self.now = 0.0
        self.events: list[dict[str, Any]] = []
        roles: dict[str, Literal["server", "client"]] = {"hub": "server", "a": "client", "b": "client"}
        limits = Limits(timeout_s, silence_s, go_on=go_on, min_clients=min_clients)
        self.supervisor = Supervisor(roles, rounds, limits, None if loading else 0.0)
        self.lines = Lines(self.supervisor)

    def take(self, events: Iterable[Event]) -> None:
        self.events += [event.as_dict() for event in events]

    def say(self, device: str, text: str, after: float = 1.0) -> None:
        self.now += after
        self.take(self.lines.feed(device, f"\x1b[1;32m{PREFIX}{text}\x1b[0m\n", self.now))

    def report(self, device: str, event: reported.ParticipantEvent) -> None:
        self.now += 1
        self.take(self.supervisor.feed_event(device, event, self.now))

    def exit(self, device: str, code: int, oom: bool = False, lines: tuple[str, ...] = ()) -> None:
        self.now += 1
        self.take(self.supervisor.feed_exit(device, code, oom, self.now, lines))

    def act(self, device: str, what: str, after: float = 0.0, **keys: Any) -> None:
        self.now += after
        self.supervisor.feed_activity(device, json.dumps({"t": self.now, "what": what, **keys}), self.now)

    def freeze(self, device: str) -> None:
        self.supervisor.feed_frozen(device, True, self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.supervisor.tick(self.now))

    def join(self) -> None:
        self.say("hub", "Server: Listen to 0.0.0.0:50051...")
        for number, name in enumerate("ab", 1):
            self.say(name, f"Client: Listen to {name}:50052...")
            self.say(name, f"Client (address {name}:50052) is assigned with #{number}.")
        self.say("hub", "----------- Starting training (Round #0) -------------")

    def train(self, name: str, number: int) -> None:
        result = f"{{'train_loss': 1.5, 'train_acc': nan, 'train_total': {number}}}"
        self.say(name, f"{{'Role': 'Client #{1 + 'ab'.index(name)}', 'Round': {number}, 'Results_raw': {result}}}")

    def evaluate(self, name: str, number: int) -> None:
        client = 1 + "ab".index(name)
        self.say(name, f"{{'Role': 'Client #{client}', 'Round': {number}, 'Results_raw': {{'test_acc': 0.5}}}}")

    def merge(self, number: int, accuracy: float) -> None:
        forms = f"'Results_weighted_avg': {{'test_acc': {accuracy}}}, 'Results_avg': {{'test_acc': 0.1}}"
        self.say("hub", f"{{'Role': 'Server #', 'Round': {number}, {forms}}}")

    def whole(self) -> None:
        self.join()
        for name in "ab":
            self.train(name, 0)
        self.say("hub", "Server: Starting evaluation at the end of round 0.")
        self.say("hub", "----------- Starting a new training round (Round #1) -------------")
        for name in "ab":
            self.evaluate(name, 0)
        self.merge(0, 0.4)
        for name in "ab":
            self.train(name, 1)
        self.say("hub", "Server: Training is finished! Starting evaluation.")
        for name in "ab":
            self.evaluate(name, 1)
        self.merge(1, 0.9)
        self.say("hub", "Server: Final evaluation is finished! Starting merging results.")
        self.say("hub", "{'Role': 'Server #', 'Round': 'Final', 'Results_raw': {'test_acc': 0.9}}")
        self.say("hub", "{'Role': 'Client #2', 'Round': 2, 'Results_raw': {'test_acc': 0.8}}")
        for name in "ab":
            self.say(name, "================= client 1 received finish message =================")

    def named(self, event: str) -> list[dict[str, Any]]:
        return [item for item in self.events if item["event"] == event]


def ask(course: Course, *names: str, number: int = 0) -> None:
    """The server sends the model of a round, and it arrives."""
    for name in names:
        peer = 1 + "ab".index(name)
        course.act("hub", "send", kind="model_para", round=number, peer=peer)
        course.act(name, "received", kind="model_para", round=number, peer=0)
        course.act("hub", "sent", kind="model_para", round=number, peer=peer)


def answer(course: Course, name: str, number: int = 0) -> None:
    course.act(name, "send", kind="model_para", round=number, peer=0)
    course.act("hub", "received", kind="model_para", round=number, peer=1 + "ab".index(name))
    course.act(name, "sent", kind="model_para", round=number, peer=0)

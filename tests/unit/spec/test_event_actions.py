"""Which actions make sense for which devices: what depends on the engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.catalog.engines import engine_facts
from fedsim_runner.spec import event_actions
from fedsim_runner.spec.event_actions import check_action
from fedsim_runner.spec.event_entries import EventEntry
from fedsim_runner.spec.experiment import Device
from fedsim_runner.yamlfile.document import parse


@pytest.mark.parametrize(
    ("given", "refused"),
    [({"action": "restart"}, True), ({"action": "kill", "duration": 3}, True), ({"action": "kill"}, False)],
)
def test_nobody_is_started_anew_with_an_engine_that_takes_no_client_back(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, object], refused: bool
) -> None:
    facts = replace(engine_facts("light"), takes_back=False)
    monkeypatch.setattr(event_actions, "engine_facts", lambda name: facts)
    document = parse("name: x", "x.yaml")
    devices = [Device.__new__(Device) for _ in range(2)]
    for device, role in zip(devices, ("server", "client"), strict=True):
        object.__setattr__(device, "role", role)
        object.__setattr__(device, "engine", "light")
    entry = EventEntry.model_validate({"devices": ["a"], "at": 3, **given})
    check_action(entry, devices[1:], devices, ("events", 0), document)
    assert [("can take part again" in str(error)) for error in document.errors] == [True] * refused

"""A plan names the packets in a second that a back end does not pass in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.catalog.types import NetworkProfile
from fedsim_runner.contract.link import Link
from fedsim_runner.plan.model import MessageSizes
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.traffic import with_traffic
from fedsim_runner.spec.experiment import Experiment
from tests.builders import experiment, lab_host

SERVER = NetworkProfile("lan", Link(1_000_000_000), Link(1_000_000_000))
MODEL = MessageSizes(1_000_000, 4_000_000, 4_000_000, 0, 9_000_000, 10**9)
SMALL = MessageSizes(1000, 4_000, 4_000, 0, 9_000, 10**9)


def study(clients: int, mbit: float, backend: str = "auto") -> Experiment:
    link = Link(round(mbit * 1e6), 20_000)
    made = experiment(clients)
    devices = [replace(one, network=NetworkProfile("own", link, link)) for one in made.devices]
    devices[0] = replace(devices[0], network=SERVER)
    return replace(made, devices=tuple(devices), link_backend=backend)


def notes(made: Experiment, sizes: MessageSizes = MODEL) -> list[str]:
    plan = with_traffic(make_plan(made, [lab_host(cpus=64, memory_gb=512)], "study"), sizes)
    return [note for note in plan.notes if "packets in a second" in note]


def test_links_that_carry_more_than_passes_in_time_are_named() -> None:
    (note,) = notes(study(60, 12))
    assert note.startswith("lab host ") and "send or receive 89,168 packets in a second" in note
    assert "back end userspace, used where its kernel has nothing better, passes about 50,000" in note
    assert "no better" not in notes(study(60, 12, "userspace"))[0]


@pytest.mark.parametrize(
    ("made", "sizes"),
    [
        (study(60, 3), MODEL),  # few enough
        (study(60, 12, "netem"), MODEL),  # the kernel passes what it can
        (study(60, 12), SMALL),  # over before it matters
        (study(3, 1000), MODEL),  # super-packets
    ],
    ids=["slower", "kernel", "small", "fast"],
)
def test_else_nothing_is_said(made: Experiment, sizes: MessageSizes) -> None:
    assert notes(made, sizes) == []

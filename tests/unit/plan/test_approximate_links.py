"""A plan names what a back end that may be used holds only roughly of the links."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.catalog.types import NetworkProfile
from fedsim_runner.contract.link import Link
from fedsim_runner.plan.placement import make_plan
from tests.builders import experiment, lab_host

WIDE = Link(12_000_000, 20_000, 20_000)


@pytest.mark.parametrize(
    ("backend", "link", "begins"),
    [
        ("auto", WIDE, "back end netem, used where its kernel has it, makes the mean delay of links with much jitter"),
        ("netem", WIDE, "back end netem makes the mean delay of links with much jitter longer, at most by 1.3 ms"),
        ("userspace", WIDE, None),
        ("netem", Link(12_000_000, 35_000, 4_000), None),
    ],
)
def test_it_is_named_for_each_lab_host(backend: str, link: Link, begins: str | None) -> None:
    made = experiment(2)
    devices = tuple(replace(one, network=NetworkProfile("own", link, link)) for one in made.devices)
    plan = make_plan(replace(made, devices=devices, link_backend=backend), [lab_host()], "study")
    found = [note.partition(": ") for note in plan.notes if "back end" in note]
    assert [(where, what.startswith(begins or "")) for where, _, what in found] == (
        [] if begins is None else [(f"lab host {lab_host().name}", True)]
    )

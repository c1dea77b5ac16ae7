"""Queues of profiles: common ones, those of a direction, and those of the base."""

from __future__ import annotations

from typing import Any

import pytest

from fedsim_runner.catalog.entries import ProfileEntry
from fedsim_runner.catalog.resolve import resolve_profile
from fedsim_runner.catalog.types import NetworkProfile
from fedsim_runner.contract.link import Link, Queue

RATES = {"bandwidth_up_kbps": 1000, "bandwidth_down_kbps": 2000}


def resolve(values: dict[str, Any], base: NetworkProfile | None = None) -> NetworkProfile:
    profile, problems = resolve_profile("x", ProfileEntry.model_validate(values), base)
    assert not problems
    return profile


def test_a_queue_of_a_direction_replaces_the_common_one_and_both_replace_the_base_s() -> None:
    base = resolve({**RATES, "queue": {"buffer_ms": 200}})
    assert base.up.queue == base.down.queue == Queue(buffer_us=200_000)
    same = resolve({"based_on": "x", "bandwidth_up_kbps": 500}, base)
    assert same.up == Link(500_000, queue=Queue(buffer_us=200_000))
    other = resolve({"based_on": "x", "queue": {"buffer_bytes": 9000}, "down": {"queue": {"buffer_ms": 0.5e3}}}, base)
    assert (other.up.queue, other.down.queue) == (Queue(buffer_bytes=9000), Queue(buffer_us=500_000))


def test_a_discipline_and_a_room_are_inherited_by_themselves() -> None:
    base = resolve({**RATES, "queue": {"buffer_ms": 200}})
    codel = resolve({"queue": {"discipline": "codel"}, "down": {"queue": {"buffer_bytes": 9000}}}, base)
    assert codel.up.queue == Queue(buffer_us=200_000, discipline="codel")
    assert codel.down.queue == Queue(buffer_bytes=9000, discipline="codel")


@pytest.mark.parametrize("rate", ["bandwidth_up_kbps", "bandwidth_down_kbps"])
def test_a_common_queue_is_for_the_directions_that_have_a_rate(rate: str) -> None:
    resolve({rate: 1000, "queue": {"buffer_ms": 200}})

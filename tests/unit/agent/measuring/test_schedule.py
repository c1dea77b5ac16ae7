"""What is sent to measure links, and when."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsim_runner.agent.measuring.schedule import (
    HEADER_BYTES,
    METER,
    PROBE_BYTES,
    Flow,
    Target,
    directions,
    make_schedule,
    wire_s,
)
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import LEAST_PACKETS, bucket_bytes
from fedsim_runner.contract.queue_size import buffer_bytes
from tests.unit.agent.measuring.profiles import PROFILES

LINKS = st.builds(
    Link,
    rate_bps=st.none() | st.integers(1_000, 2_000_000_000),
    delay_us=st.integers(0, 500_000),
    jitter_us=st.integers(0, 50_000),
    loss=st.sampled_from([0.0, 0.0, 0.001, 0.05, 0.3]),
)


def plan(*links: Link) -> list[Flow]:
    return list(
        make_schedule(
            [Target(f"d{number}", "up", link, f"d{number}", METER) for number, link in enumerate(links)]
        ).flows
    )


def packets(flow: Flow) -> list[tuple[float, int]]:
    """When each packet of the train is sent, and its bytes on the wire."""
    train = flow.train
    assert train is not None
    later = [train.start_s + (number + 1) * train.interval_s for number in range(train.packets)]
    return [(at, train.frame_bytes * train.segments) for at in [train.start_s] * train.at_once + later]


@pytest.mark.parametrize("link", PROFILES.values(), ids=PROFILES)
def test_a_measurement_takes_seconds(link: Link) -> None:
    schedule = make_schedule([Target("a", "up", link, "a", METER), Target("a", "down", link, METER, "a")])
    assert schedule.listen_s < 10
    if link.jitter_us <= 15_000:
        assert schedule.listen_s < 3


@given(link=LINKS)
def test_small_packets_take_a_tenth_of_a_link_and_draw_jitter_anew(link: Link) -> None:
    (flow,) = plan(link)
    assert wire_s(link, PROBE_BYTES + HEADER_BYTES) <= flow.gap_s / 10 * 1.0001
    assert flow.gap_s >= 2 * link.jitter_us / 1e6
    assert flow.probes >= 1


@given(link=LINKS)
def test_a_train_keeps_the_link_busy_and_never_fills_its_queue(link: Link) -> None:
    (flow,) = plan(link)
    if flow.train is None or link.rate_bps is None:
        return
    sent, per_s, size = 0.0, link.rate_bps / 8, flow.train.frame_bytes * flow.train.segments
    for number, (at, own) in enumerate(packets(flow)):
        ahead = sent - per_s * (at - flow.train.start_s)
        if number >= flow.train.at_once:
            assert ahead > 0, "the link has nothing to send"
        assert ahead <= bucket_bytes(link.rate_bps) + max(0.6 * buffer_bytes(link.rate_bps), 2.0 * size)
        sent += own * (1 - link.loss)


@given(links=st.lists(LINKS, min_size=1, max_size=60), seed=st.integers(0, 5))
def test_trains_follow_the_small_packets_and_share_a_processor(links: list[Link], seed: int) -> None:
    schedule = make_schedule(list(directions((f"d{n}", link, link) for n, link in enumerate(links))), seed)
    assert schedule == make_schedule(list(directions((f"d{n}", link, link) for n, link in enumerate(links))), seed)
    probed = max(flow.first_s + flow.gap_s * (flow.probes - 1) for flow in schedule.flows)
    trains = [flow.train for flow in schedule.flows if flow.train is not None]
    assert all(train.start_s >= probed for train in trains)
    for moment in {train.start_s for train in trains}:
        going = [one for one in trains if one.start_s <= moment <= one.start_s + one.length_s]
        assert len(going) == 1 or sum(one.segments / one.interval_s for one in going) <= 9_501


def test_a_thousand_devices_are_measured_in_seconds() -> None:
    link = Link(12_000_000, 35_000, 4_000)
    schedule = make_schedule(directions((f"d{number}", link, link) for number in range(1_000)))
    assert schedule.listen_s < 14
    assert all(flow.probes >= 12 for flow in schedule.flows)
    assert 50 < sum(flow.train is not None for flow in schedule.flows) < 2_000


@pytest.mark.parametrize("devices", [5, 40, 120, 190, 300])
def test_so_many_packets_that_they_say_something_of_losses(devices: int) -> None:
    link = Link(12_000_000, 35_000, 4_000)
    schedule = make_schedule(directions((f"d{number}", link, link) for number in range(devices)))
    assert all(flow.probes >= LEAST_PACKETS for flow in schedule.flows)
    assert schedule.listen_s < 10


def test_both_directions_are_measured() -> None:
    up, down = Link(1_000_000), Link(2_000_000)
    assert directions([("a", up, down)]) == [Target("a", "up", up, "a", METER), Target("a", "down", down, METER, "a")]


def test_fast_links_get_several_frames_at_once_unless_they_lose_some() -> None:
    fast, lossy, slow = plan(Link(150_000_000), Link(150_000_000, loss=0.01), Link(50_000_000))
    assert [flow.train.segments > 1 for flow in (fast, lossy, slow) if flow.train] == [True, False, False]
    assert all(one <= other for one, other in pairwise(at for at, _ in packets(fast)))
    fastest, lossy, beyond = plan(Link(1_000_000_000), Link(1_000_000_000, loss=0.01), Link(10_000_000_000))
    assert fastest.train is not None and lossy.train is beyond.train is None

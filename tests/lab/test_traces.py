"""Links that follow a trace, on a real kernel."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from fedsim_runner.agent.links.changes import wait_until
from fedsim_runner.agent.links.deviation import Deviation
from fedsim_runner.agent.links.shaping.results import Result
from fedsim_runner.agent.traces.player import Player
from fedsim_runner.contract import events
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.link_variation import Track, Variation, links_of
from tests.lab.rig import MBIT, PORT, apply, rig, shaped

SLOW, FAST = 2 * MBIT, 8 * MBIT
FRAME_BITS = (1200 + 42) * 8


def test_what_passes_follows_a_trace_with_two_rates(backend: str, probed: dict[str, Any]) -> None:
    planned = Links(Link(SLOW, 10_000), Link())
    variation = Variation(planned=planned, up="t")
    tracks = {"t": Track(at_ms=(0, 1000), length_ms=2000, rate_bps=(SLOW, FAST))}
    said: list[events.Event] = []
    with rig("a", "b") as lab, shaped(lab, lab.links(planned.up), backend, probed) as shaper:
        profile, chosen = shaper.requested
        later = tuple(link for links in links_of(planned, variation, tracks) for link in (links.up, links.down))
        profile = replace(profile, later=later)
        shaper.set_profile(profile, chosen)
        apply(shaper, lab)
        shaper.prepare_for_changes(lab.namespaces)
        lab.burst("a", "b", 10, 1200, SLOW)

        def change(links: Mapping[str, Links], due_s: float) -> Callable[[], Mapping[str, Result]]:
            begun = shaper.begin_change(Deviation(varied=links).of(profile), lab.namespaces, due_s=due_s)

            def finish() -> Mapping[str, Result]:
                wait_until(due_s)
                return begun.complete()

            return finish

        player = Player(change, said.append)
        begun = time.monotonic()
        player.begin(time.time(), {"a": variation}, tracks, seed=1, packets_wait_here=True)
        try:
            arrived = lab.burst("a", "b", 3600, 1200, 12 * MBIT)
        finally:
            player.stop()
    moments = [moment - begun for moment, _ in arrived]
    for start, end, asked in ((0.3, 0.9, SLOW), (1.4, 1.95, FAST), (2.5, 2.95, SLOW)):
        inside = [moment for moment in moments if start < moment < end]
        measured = (len(inside) - 1) * FRAME_BITS / (inside[-1] - inside[0])
        assert measured == pytest.approx(asked, rel=0.15), (start, end)
    last = said[-1]
    assert isinstance(last, events.LinksVaried) and last.changes and not last.failed, last


def test_what_waits_when_a_slow_stretch_ends(backend: str, probed: dict[str, Any]) -> None:
    """In user space it leaves at the new rate; netem has given each packet its time as it came in."""
    slow, fast = Link(40_000, 10_000), Link(FAST, 10_000)
    with rig("a", "b") as lab, shaped(lab, lab.links(slow), backend, probed) as shaper:
        profile, chosen = shaper.requested
        profile = replace(profile, later=(slow, fast))
        shaper.set_profile(profile, chosen)
        apply(shaper, lab)
        lab.burst("a", "b", 1, 100, MBIT)
        moments = []
        with lab.udp("a") as sender, lab.udp("b") as receiver:
            for _ in range(8):
                sender.sendto(bytes(1200), (lab.addresses["b"], PORT))
            receiver.settimeout(4)
            for number in range(8):
                receiver.recv(2048)
                moments.append(time.monotonic())
                if number == 1:
                    shaper.change(Deviation(varied={"a": Links(fast, Link())}).of(profile), lab.namespaces)
    frame_s = FRAME_BITS / slow.rate_bps  # type: ignore[operator]
    waited = moments[-1] - moments[1]
    assert waited < 2 * frame_s if backend == "userspace" else waited == pytest.approx(6 * frame_s, rel=0.2)

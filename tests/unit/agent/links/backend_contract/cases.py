"""The back ends under test, the links that all of them are tried with, and what comes out, for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.links import backends
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.shaping.results import Result
from fedsim_runner.contract.gilbert_elliott import GilbertElliott
from fedsim_runner.contract.link import Link, Queue

from ..fake_kernel import FakeKernel

THIRD = Path(__file__).parents[1] / "third"
each_backend = pytest.mark.parametrize("kind", [*backends.names(), "toy"], indirect=True)
GOLDEN = Path(__file__).parents[4] / "golden" / "links"
G5 = Link(20_000_000, 15_000, 3_000, 0.001)
SLOW = Link(50_000, 300_000)
CODEL = Link(1_000_000, queue=Queue(discipline="codel"))
MODEL = GilbertElliott(0.01, 0.25, 0.9, 0.001)
BURSTY = Link(1_000_000, 20_000, loss=MODEL.mean_loss, bursts=MODEL)
NONE = Link(), Link()


def two(a: tuple[Link, Link], b: tuple[Link, Link], seed: int = 0) -> Profile:
    return Profile([DeviceLink("a", "198.18.0.2", *a), DeviceLink("b", "198.18.0.3", *b)], seed=seed)


CASES = {
    "different": two((G5, SLOW), (SLOW, G5), seed=3),
    "rates": two((Link(1_000_000), Link(2_000_000)), (Link(1_000_000), Link(2_000_000))),
    "delay": two((Link(delay_us=1000), Link()), NONE),
    "peer": Profile([DeviceLink("a", "198.18.0.2", *NONE)], [DeviceLink("c", "198.18.0.9", G5, Link())]),
    "queue": two(
        (Link(1_000_000, queue=Queue(buffer_us=500_000)), Link(2_000_000, queue=Queue(buffer_bytes=9_000))), NONE
    ),
    "models": two((BURSTY, Link(delay_us=1000, duplicate=0.01, corrupt=0.02)), NONE),
    "disciplines": two(
        (Link(1_000_000, queue=Queue(discipline="codel")), Link(2_000_000, queue=Queue(discipline="fq_codel"))),
        (
            Link(1_000_000, 9_000, 500, duplicate=0.1),
            Link(250_000, queue=Queue(discipline="codel", target_us=20_000)),
        ),
    ),
    "nothing": two(NONE, NONE),
}
IN_PLACE = frozenset({"netem", "userspace"})  # the toy one only has the tests' kernel's `tc`
PROPERTIES = {"rate_bps": 3_000_000, "delay_us": 20_000, "jitter_us": 5_000, "loss": 0.02}


def as_dicts(results: Mapping[str, Result]) -> dict[str, Any]:
    assert all(result.failed is None for result in results.values()), results
    return {name: result.as_dict() for name, result in results.items()}


def commands(kernel: FakeKernel) -> list[str]:
    """The commands that changed something, sorted, because several threads run them."""
    found = sorted(f"{where}: {what}" for where, what in kernel.log)
    kernel.log.clear()
    return found

"""What the packet process does to packets that arrive at a device."""

from __future__ import annotations

from fedsim_runner.agent.links.userspace.arrivals import Senders
from fedsim_runner.contract.link import Link


def test_a_sender_that_nothing_limits_is_the_same_as_none() -> None:
    limited = {"198.18.0.1": Link(1_000_000).as_dict()}
    assert Senders({**limited, "198.18.0.9": Link().as_dict()}) == Senders(limited)
    assert Senders({**limited, "198.18.0.9": Link(2_000_000).as_dict()}) != Senders(limited)

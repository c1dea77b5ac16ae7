"""What the netem back end needs from the kernel."""

from __future__ import annotations

from functools import partial

from ..need import Need
from ..root_qdisc import try_qdisc

NETEM = Need(
    "netem",
    "netem",
    "rate, delay, jitter and loss",
    "sch_netem",
    partial(try_qdisc, "netem", "delay", "1ms", "limit", "10"),
)

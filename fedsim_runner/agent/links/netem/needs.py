"""What the netem back end needs from the kernel."""

from __future__ import annotations

from functools import partial

from ...kernel.root_qdisc import read_qdiscs, run_commands, try_qdisc
from ..need import Need
from .bucket import DISCIPLINES
from .qdisc import BANDS, FILTER, VERDICTS


def _try_policer() -> None:
    policer = ["action", "police", "index", "1", "rate", "1000000bit", "burst", "24224b", "mtu", "65536", *VERDICTS]
    run_commands(
        [
            ["qdisc", "replace", "dev", "lo", "root", "handle", "1:", *BANDS],
            ["filter", "replace", "dev", "lo", "parent", "1:", *FILTER, *policer],
            ["actions", "replace", *policer],
        ]
    )
    policed = [entry.get("policed_s") for entry in read_qdiscs("lo")]
    run_commands([["qdisc", "del", "dev", "lo", "root"]])
    if not any(policed):
        raise OSError("the kernel took a policer but shows none")


NETEM = Need(
    "netem",
    "netem",
    "rate, delay, jitter and loss",
    "sch_netem",
    partial(try_qdisc, "netem", "delay", "1ms", "limit", "10"),
)


BUCKET = Need(
    "bucket",
    "token bucket",
    "the rate of links with another queue discipline, or with duplicates",
    "sch_tbf",
    partial(try_qdisc, "tbf", "rate", "1mbit", "burst", "5kb", "limit", "10kb"),
)
QUEUES = {
    name: Need(name, name, f"the queue discipline {name}", f"sch_{name}", partial(try_qdisc, name, "limit", "100"))
    for name in DISCIPLINES
}


def _policer_hint() -> str:
    names = "act_police cls_basic sch_prio"
    return f"`modprobe -a {names}` on the lab host; if they are not found, a kernel built with them"


POLICER_PIECE = Need(
    "policer", "policer", "the length of a queue in bytes", "act_police", _try_policer, hint=_policer_hint
)

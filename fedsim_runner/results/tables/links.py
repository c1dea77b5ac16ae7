"""What links were measured to be, and what passed them: links.csv.

It has a row for each direction of each device's link and of each edge, which has its name in the place of a device's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.contract.events import LinkCounted, LinkMeasured
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import OUT, UNDETERMINED, WITHIN

LINKS_FILE = "links.csv"
# From counters of the course.
COURSE_COLUMNS = (
    "course_packets",
    "course_packets_lost",
    "course_loss",
    "course_loss_verdict",
    "course_overflowed",
    "course_backlog_bytes",
    "course_bytes",
    "course_rate_bps",
    "course_rate_verdict",
    "course_reason",
)
COLUMNS = (
    "device",
    "direction",
    *(
        f"{name}{part}_{unit}"
        for name, unit in (("delay", "us"), ("jitter", "us"), ("rate", "bps"))
        for part in ("_asked", "", "_error")
    ),
    "loss_asked",
    "loss",
    "loss_error",
    "burst_bytes",
    "packets_sent",
    "packets_lost",
    "verdict",
    "reason",
    *COURSE_COLUMNS,
)
_PAIRS = (("delay", "_us"), ("jitter", "_us"), ("rate", "_bps"), ("loss", ""))
# The worst first.
_ORDER = {OUT: 0, UNDETERMINED: 1, WITHIN: 2}
NAMED = 4
#: Where a reason goes on with what has probably caused it.
LIKELY = " (likely reason: "


def build_links(
    measured: Iterable[LinkMeasured],
    devices: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    counted: Iterable[LinkCounted] = (),
    backlogs: Mapping[tuple[str, str], int] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows in the order of the devices, up before down; what is not known is None.

    Args:
        measured: before the course, or when somebody asked for it.
        devices: those of device files, in their order; links that were not measured are asked for there.
        counted: during the course.
        backlogs: the most bytes that were seen waiting, by device and direction.
    """
    rows: dict[tuple[str | None, str | None], dict[str, Any]] = {}
    for one in measured:
        rows[one.device, one.direction] = _row(one)
    for count in counted:
        bare = dict.fromkeys(COLUMNS) | {"device": count.device, "direction": count.direction}
        bare |= _asked(devices.get(str(count.device), {}), str(count.direction))
        bare |= {"rate_asked_bps": count.rate_asked_bps, "loss_asked": count.loss_asked}
        backlog = (backlogs or {}).get((str(count.device), str(count.direction)))
        row = rows.setdefault((count.device, count.direction), bare)
        row.update({**_count(count), "course_backlog_bytes": backlog})
    order = {name: number for number, name in enumerate(devices)}
    return sorted(
        rows.values(),
        key=lambda row: (order.get(row["device"], len(order)), str(row["device"]), row["direction"] != "up"),
    )


def describe_links(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """Return how true the links were, and the worst of them, in one sentence; None if nothing was measured."""
    rows = [row for row in rows if row["verdict"] is not None]
    if not rows:
        return None
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in (WITHIN, OUT, UNDETERMINED)}
    line = f"links measured before the course: {counts[WITHIN]} of {len(rows)} as requested"
    line += f", {counts[OUT]} not" if counts[OUT] else ""
    line += f", {counts[UNDETERMINED]} undetermined" if counts[UNDETERMINED] else ""
    doubts = {row["reason"] for row in rows if row["verdict"] == UNDETERMINED}
    line += f" ({doubts.pop()})" if len(doubts) == 1 else ""
    worst = find_worst(rows)
    return line if worst is None else f"{line}; worst: {worst['device']} {worst['direction']}, {_describe_worst(worst)}"


def describe_false_links(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return which links were not as requested, and why, as sentences."""
    rows = list(rows)
    before = [row for row in rows if row["verdict"] == OUT]
    during = [row for row in rows if OUT in (row["course_rate_verdict"], row["course_loss_verdict"])]
    parts = (("before the course", before, "reason"), ("during the course", during, "course_reason"))
    return [f"Links that were not as requested {when}: {_name(out, reason)}." for when, out, reason in parts if out]


def _name(rows: Sequence[Mapping[str, Any]], reason: str) -> str:
    more = f"; and {len(rows) - NAMED} more in {LINKS_FILE}" if len(rows) > NAMED else ""
    return "; ".join(f"{row['device']} {row['direction']}: {row[reason]}" for row in rows[:NAMED]) + more


def find_worst(rows: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the row with the worst verdict, and of those the one whose delay is off by most; None without any.

    Where nothing has arrived there is no delay, and nothing is worse.
    """
    known = [row for row in rows if row["verdict"] == OUT or row["delay_error_us"] is not None]
    return min(known, key=_rank, default=None)


def _rank(row: Mapping[str, Any]) -> tuple[int, float]:
    error_us = row["delay_error_us"]
    return _ORDER.get(str(row["verdict"]), len(_ORDER)), -math.inf if error_us is None else -abs(error_us)


def _describe_worst(row: Mapping[str, Any]) -> str:
    if row["verdict"] == OUT and row["reason"]:
        return str(row["reason"]).partition(LIKELY)[0]
    return f"delay {row['delay_us'] / 1000:.2f} ms for {(row['delay_asked_us'] or 0) / 1000:g} ms"


def _row(one: LinkMeasured) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"device": one.device, "direction": one.direction, "verdict": one.verdict, "reason": one.reason}
    row |= {"burst_bytes": one.burst_bytes, "packets_sent": one.sent, "packets_lost": one.lost}
    for name, unit in _PAIRS:
        asked, found = getattr(one, f"{name}_asked{unit}"), getattr(one, f"{name}{unit}")
        row[f"{name}_asked{unit}"], row[f"{name}{unit}"] = asked, found
        if asked is not None and found is not None:
            row[f"{name}_error{unit}"] = round(found - asked, 6)
    return row


def _asked(device: Mapping[str, Any], direction: str) -> dict[str, Any]:
    """The delay and the jitter of a device file; of a link that varies neither is asked for throughout the course."""
    links = device.get("link")
    side = links.get(direction) if isinstance(links, Mapping) else None
    if not isinstance(side, Mapping) or device.get("variation") is not None:
        return {}
    try:
        link = Link.from_dict(side)
    except FedsimError:  # a folder may say anything
        return {}
    return {"delay_asked_us": round(link.mean_delay_us), "jitter_asked_us": link.jitter_us}


def _count(one: LinkCounted) -> dict[str, Any]:
    loss = None if not one.packets or one.lost is None else round(one.lost / one.packets, 6)
    return {
        "course_packets": one.packets,
        "course_packets_lost": one.lost,
        "course_loss": loss,
        "course_loss_verdict": one.loss_verdict,
        "course_overflowed": one.overflowed,
        "course_bytes": one.bytes,
        "course_rate_bps": one.rate_bps,
        "course_rate_verdict": one.rate_verdict,
        "course_reason": one.reason,
    }

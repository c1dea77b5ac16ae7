"""From measurements to one event for each device and direction: asked, measured, verdict, likely reason. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from fedsim_runner.contract.events import LinkMeasured
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import (
    OUT,
    UNDETERMINED,
    WITHIN,
    Estimate,
    Judgement,
    Measured,
    judge,
    judge_loss,
    tolerated_delay_us,
    tolerated_rate_bps,
)
from fedsim_runner.contract.queue_size import buffer_bytes
from fedsim_runner.contract.time_scale import REAL_TIME, TimeScale
from fedsim_runner.contract.units import rate

from .meter import Findings
from .schedule import FASTEST_BPS, FASTEST_TRIED_BPS, Schedule, Target

_TOO_FAST = "a lab host does not pass single frames so fast, and would measure itself"
_OWN = "at such rates this may be the speed of the lab host and not that of the link"
LOAD, FIREWALL, KERNEL = "load", "firewall", "kernel"
#: An idle lab host does not hold packets up for so long.
_HELD_UP_S = 0.005
#: The share of packets that a lab host without enough processors may lose by itself.
OWN_LOSSES = 0.02


def describe_links(schedule: Schedule, found: Findings, scale: TimeScale = REAL_TIME) -> list[LinkMeasured]:
    """Return one event for each direction that was measured."""
    return [
        describe_link(
            flow.target, measured, found.late_us, len(schedule.flows), flow.train is not None, scale, found.latest_us
        )
        for flow, measured in zip(schedule.flows, found.measured, strict=True)
    ]


def describe_link(
    target: Target,
    found: Measured,
    late_us: int = 0,
    among: int = 1,
    had_train: bool = True,
    scale: TimeScale = REAL_TIME,
    latest_us: int = 0,
) -> LinkMeasured:
    """Return what was asked for, what was measured, and what to think of it: in wall time, with a reason for people in
    the devices'.

    Args:
        target: the direction.
        found: what was measured.
        late_us: by how much the measuring process itself was late on average.
        among: so many directions are judged together.
        had_train: whether there was one for its rate.
        scale: how device time and wall time are related.
        latest_us: the most that the measuring process was late.
    """
    asked = target.link
    arrived_bps = found.rate_bps.value if found.rate_bps is not None and _is_own(asked, found) else None
    if arrived_bps is not None or (asked.rate_bps or 0) > FASTEST_BPS:
        found = replace(found, burst_bytes=None, rate_bps=None if arrived_bps is not None else found.rate_bps)
    judgement = judge(asked, found, among, scale)
    verdict = judgement.verdict
    too_late = late_us > tolerated_delay_us(asked.delay_us, scale) / 2
    reason: str | None = None
    if verdict == OUT:
        if too_late and loses_certainly(asked, found, latest_us, among):
            judgement, late_us = replace(judgement, delay=WITHIN, jitter=WITHIN, rate=None), 0
        elif too_late:
            verdict = UNDETERMINED  # what was late may have been the measurement
        reason = explain(asked, found, judgement, late_us, scale)
    elif verdict == UNDETERMINED:
        if too_late and UNDETERMINED in (judgement.delay, judgement.jitter):
            reason = _explain_late(late_us, scale)
        else:
            reason = _explain_doubt(asked, found, judgement, had_train, arrived_bps, scale)
    return LinkMeasured(
        device=target.device,
        direction=target.direction,
        delay_asked_us=round(asked.mean_delay_us),
        delay_us=_rounded(found.delay_us),
        jitter_asked_us=asked.jitter_us,
        jitter_us=_rounded(found.jitter_us),
        rate_asked_bps=asked.rate_bps,
        rate_bps=_rounded(found.rate_bps),
        loss_asked=asked.loss,
        loss=None if found.loss is None else round(found.loss, 6),
        burst_bytes=None if found.burst_bytes is None else round(found.burst_bytes),
        sent=found.sent,
        lost=found.lost,
        verdict=verdict,
        reason=reason,
    )


def loses_certainly(asked: Link, found: Measured, latest_us: int, among: int = 1) -> bool:
    """Return whether a link loses more than was asked for, however late the lab host ran the measurement.

    A few packets may be lost where it sends and receives them, and what it had to make up for after a pause that is as
    long as the link's queue may not have found room.
    """
    if found.sent and found.lost == found.sent:
        return True
    room_s = math.inf if asked.rate_bps is None else buffer_bytes(asked.rate_bps, asked.queue) * 8 / asked.rate_bps
    most = asked.loss_range[1] + OWN_LOSSES
    if asked.bursts is not None or latest_us >= room_s * 1e6 or found.lost <= most * found.sent:
        return False
    return judge_loss(min(1.0, most), found.sent, found.lost, among) == OUT


def explain(asked: Link, found: Measured, judgement: Judgement, late_us: int, scale: TimeScale = REAL_TIME) -> str:
    """Return what is out, and what is likely to be the reason: load, a firewall, or the kernel."""
    if found.sent and found.lost == found.sent:
        return f"nothing arrived (likely reason: {FIREWALL}: rules in the device's namespace or between bridge ports)"
    parts = []
    if "delay" in judgement.out and found.delay_us:
        parts.append(f"delay {_ms(found.delay_us.value, scale):.1f} ms, not {_ms(asked.mean_delay_us, scale):g} ms")
    if "jitter" in judgement.out and found.jitter_us:
        parts.append(f"jitter {_ms(found.jitter_us.value, scale):.1f} ms, not {_ms(asked.jitter_us, scale):g} ms")
    if "rate" in judgement.out and found.rate_bps and asked.rate_bps:
        burst = f" after a burst of {found.burst_bytes:.0f} bytes" if found.burst_bytes else ""
        parts.append(f"rate {describe_rate(found.rate_bps.value, scale)}{burst}, not {in_full(asked.rate_bps, scale)}")
    what = f"{', '.join(parts)}{'' if scale.is_real or not parts else ' in device time'}"
    if "loss" in judgement.out:
        lost = f"{found.lost} of {found.sent} packets lost, not {asked.loss:.2%}"
        what = f"{what}, {lost}" if parts else lost
    return f"{what} (likely reason: {_likely(asked, found, judgement, late_us, scale)})"


def describe_rate(bps: float, scale: TimeScale, digits: int = 4) -> str:
    """Describe a rate that was measured as the devices have it."""
    return rate(float(f"{scale.device_rate(bps):.{digits}g}"))


def in_full(bps: int, scale: TimeScale) -> str:
    """Describe a rate that was asked for, or tried, as the devices have it."""
    return rate(round(scale.device_rate(bps), 3))


def _ms(us: float, scale: TimeScale) -> float:
    """Milliseconds of device time in microseconds of wall time."""
    return round(scale.to_device(us) / 1000, 6)


def _likely(asked: Link, found: Measured, judgement: Judgement, late_us: int, scale: TimeScale) -> str:
    if late_us > tolerated_delay_us(asked.delay_us, scale) / 2:
        return _explain_late(late_us, scale)
    early = found.delay_us is not None and found.delay_us.value < asked.mean_delay_us
    if ("delay" in judgement.out and early) or ("rate" in judgement.out and _is_more(found.rate_bps, asked.rate_bps)):
        return f"{KERNEL}: it does not hold what was set, or somebody has changed it"
    if "jitter" in judgement.out and found.jitter_us is not None and found.jitter_us.value < asked.jitter_us:
        return f"{KERNEL}: it does not hold what was set, or somebody has changed it"
    if "loss" in judgement.out:
        if found.lost > asked.loss * found.sent:
            return f"{FIREWALL} or {LOAD}: packets are dropped that the link does not drop"
        return f"{KERNEL}: it does not hold what was set, or somebody has changed it"
    return f"{LOAD}: other work on the lab host holds packets up"


def _explain_late(late_us: int, scale: TimeScale) -> str:
    return f"{LOAD}: the lab host ran the measurement itself {_ms(late_us, scale):.1f} ms late on average"


def _is_more(found: Estimate | None, asked: int | None) -> bool:
    return found is not None and asked is not None and found.value > asked


def _is_own(asked: Link, found: Measured) -> bool:
    """Whether the rate with which frames of a fast link arrived may be the lab host's own.

    It sends and takes in so many in a moment that its pauses are as long as what is measured, so they are no finding.
    """
    if asked.rate_bps is None or asked.rate_bps <= FASTEST_BPS or found.rate_bps is None:
        return False
    return abs(asked.rate_bps - found.rate_bps.value) > tolerated_rate_bps(asked.rate_bps)


def _was_held_up(asked: Link, found: Measured) -> bool:
    """Whether the rate is not known because the lab host held packets up."""
    if found.rate_bps is None or asked.rate_bps is None:
        return False
    off_bps = abs(found.rate_bps.value - asked.rate_bps) - tolerated_rate_bps(asked.rate_bps)
    return off_bps > found.rate_bps.margin or found.held_up_s > _HELD_UP_S


def _explain_doubt(
    asked: Link, found: Measured, judgement: Judgement, had_train: bool, arrived_bps: float | None, scale: TimeScale
) -> str:
    unknown = [name for name in ("delay", "jitter", "rate", "loss") if getattr(judgement, name) == UNDETERMINED]
    if not found.sent:
        return "not measured"
    if unknown == ["rate"] and arrived_bps is not None:
        return f"frames arrived at {describe_rate(arrived_bps, scale, 3)}: {_OWN}"
    if unknown == ["rate"] and (asked.rate_bps or 0) > FASTEST_TRIED_BPS:
        return f"rates above {in_full(FASTEST_TRIED_BPS, scale)} are not measured: {_TOO_FAST}"
    if unknown == ["rate"] and (asked.rate_bps or 0) > FASTEST_BPS and asked.alters_packets:
        return f"rates above {in_full(FASTEST_BPS, scale)} of links that drop packets are not measured: {_TOO_FAST}"
    if unknown == ["rate"] and not had_train:
        return "so many links leave no time for the rates of all"
    if unknown == ["rate"] and found.rate_bps is None:
        if found.given_bps is not None and found.given_bps < (asked.rate_bps or 0):
            sent = describe_rate(found.given_bps, scale, 3)
            return f"the lab host could not send as fast as the rate: it sent {sent}"
        return "the lab host could not send as fast as the rate, or held packets up"
    if unknown == ["rate"] and _was_held_up(asked, found):
        held_up_ms = f"{_ms(found.held_up_s * 1e6, scale):.0f} ms"
        return f"{LOAD}: the lab host held packets up for {held_up_ms} while the rate was measured"
    return f"too few values for {join(unknown)}"


def join(names: Sequence[str]) -> str:
    """Return names as they are listed in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _rounded(found: Estimate | None) -> int | None:
    return None if found is None else round(found.value)

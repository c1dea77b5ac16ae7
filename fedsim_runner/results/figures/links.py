"""How far links were from what was asked for, as measured before the course."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedsim_runner.contract.link_verdict import tolerated_delay_us, tolerated_jitter_us, tolerated_rate_bps
from fedsim_runner.contract.time_scale import TimeScale, read_factor

from .device_rows import choose_rows, servers
from .row_axes import device_axis, new_rows, ranked_curve
from .style import COLOURS, Drawn, drawing


def _tolerated_rate(asked_bps: float, scale: TimeScale) -> float:
    return tolerated_rate_bps(asked_bps)  # a share, which is the same in any time


PROPERTIES = (
    ("delay", "_us", tolerated_delay_us, "o"),
    ("jitter", "_us", tolerated_jitter_us, "s"),
    ("rate", "_bps", _tolerated_rate, "D"),
)
WAYS = (("up", -0.17, 0), ("down", 0.17, 1))
WORDS = ("furthest off", "median", "nearest")
# Further off than this there is nothing to compare.
MOST = 3.0


@drawing
def draw_links(report: Mapping[str, Any]) -> Drawn | None:
    """Draw the errors of delay, jitter and rate in both directions; None if no link was measured."""
    rows = {(row["device"], row["direction"]): row for row in report.get("links") or []}
    scale = read_factor(report.get("time_factor"))
    devices = list(dict.fromkeys(device for device, _ in rows))
    errors = {
        device: max(
            (abs(one) for way, _, _ in WAYS for one in _errors(rows.get((device, way)), scale).values()), default=None
        )
        for device in devices
    }
    if all(error is None for error in errors.values()):
        return None
    shown = choose_rows(errors, WORDS, first=[name for name in servers(report) if name in errors])
    figure, above, axes = new_rows(shown)
    axes.axvspan(-1, 1, color="#DDEEDD", lw=0, zorder=0)
    for way, shift, colour in WAYS:
        for name, _, _, marker in PROPERTIES:
            found = [
                (number, _errors(rows.get((device, way)), scale).get(name)) for number, device in enumerate(shown.names)
            ]
            known = [(max(-MOST, min(MOST, error)), number + shift) for number, error in found if error is not None]
            axes.scatter(
                [at for at, _ in known],
                [row for _, row in known],
                s=12,
                marker=marker,
                color=COLOURS[colour],
                label=f"{name} {way}",
                zorder=2,
            )
    if above is not None:
        ranked = [min(MOST, errors[name] or 0.0) for name in shown.ranked]
        above.plot(*ranked_curve(ranked), color=COLOURS[0])
        above.set(xlabel="All devices", ylabel="largest error")
        above.set_xlim(1, len(shown.ranked))
        above.set_ylim(0)
    device_axis(axes, shown.names, shown.groups)
    axes.set(xlabel="Error as a multiple of what is tolerated")
    axes.set_xlim(-MOST - 0.1, MOST + 0.1)
    figure.legend(ncols=3, loc="outside upper right")
    caption = (
        "Links as measured before the course, compared with what the experiment asks for. In the shaded range an error "
        f"is tolerated; larger ones than {MOST:g} times that are at the edge.{shown.describe()}"
    )
    return Drawn("links", "Errors of links", caption, figure, table="measured-links")


def _errors(row: Mapping[str, Any] | None, scale: TimeScale) -> dict[str, float]:
    """The errors of one direction, each divided by what is tolerated."""
    found: dict[str, float] = {}
    for name, unit, tolerated, _ in PROPERTIES if row is not None else ():
        assert row is not None
        error, asked = row[f"{name}_error{unit}"], row[f"{name}_asked{unit}"]
        if error is None or asked is None:
            continue
        to_wall = scale.rate if name == "rate" else scale.to_wall
        if (most := tolerated(to_wall(asked), scale)) > 0:
            found[name] = to_wall(error) / most
    return found

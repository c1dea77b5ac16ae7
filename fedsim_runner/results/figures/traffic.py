"""The bytes that the devices sent and received."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedsim_runner.contract.units import size_unit

from .device_rows import choose_rows, lost_devices, servers
from .row_axes import device_axis, new_rows, ranked_curve
from .style import Drawn, drawing

# Key, label, shift from the middle of the row, colour.
WAYS = (
    ("bytes_up", "up (device to network)", -0.19, "#004A80"),
    ("bytes_down", "down (network to device)", 0.19, "#8FC7EA"),
)
WORDS = ("most", "median", "fewest")


@drawing
def draw_bytes(report: Mapping[str, Any]) -> Drawn | None:
    """Draw the bytes of each device in both directions; None if none were counted."""
    devices = {
        name: entry
        for name, entry in (report.get("devices") or {}).items()
        if entry.get("bytes_up") is not None or entry.get("bytes_down") is not None
    }
    if not devices:
        return None
    sums = {name: (entry.get("bytes_up") or 0) + (entry.get("bytes_down") or 0) for name, entry in devices.items()}
    server = servers(report)
    shown = choose_rows(sums, WORDS, first=server, lost=lost_devices(report))
    if not shown.complete:  # beside the bar of a server, those of hundreds of clients cannot be seen
        clients = {name: value for name, value in sums.items() if name not in server}
        shown = choose_rows(clients, WORDS, lost=lost_devices(report))
    rows = [devices[name] for name in shown.names]
    largest = max(max(entry.get("bytes_up") or 0, entry.get("bytes_down") or 0) for entry in rows)
    factor, unit = size_unit(largest)
    figure, above, axes = new_rows(shown)
    for key, label, shift, colour in WAYS:
        widths = [(entry.get(key) or 0) / factor for entry in rows]
        axes.barh([index + shift for index in range(len(widths))], widths, 0.36, color=colour, label=label)
        if above is not None:
            ranked = sorted(((devices[name].get(key) or 0) / factor for name in shown.ranked), reverse=True)
            above.plot(*ranked_curve(ranked), color=colour)
    if above is not None:
        above.set(xlabel="All clients, each direction in its own order", ylabel=unit)
        above.set_xlim(1, len(shown.ranked))
        above.set_ylim(0)
    device_axis(axes, shown.names, shown.groups)
    axes.set(xlabel=f"{unit} on the device's interface")
    figure.legend(ncols=2, loc="outside upper right")
    caption = "Bytes that each device sent and received in the whole run, counted at its network interface."
    if not shown.complete:
        caption += f" The server is only in the table. Above: all clients.{shown.describe()}"
    return Drawn("bytes", "Bytes up and down", caption, figure, table="" if shown.complete else "measured-devices")

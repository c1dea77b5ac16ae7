"""The table of devices, with as many columns as the width allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from ..contract.units import memory, short_rate, size
from .bars import bar
from .course_now import DeviceNow

STYLES = {
    "starting": "dim",
    "loading": "blue",
    "joining": "cyan",
    "waiting": "cyan",
    "ready": "cyan",
    "joined": "cyan",
    "receiving": "blue",
    "training": "green",
    "evaluating": "magenta",
    "aggregating": "magenta",
    "sending": "yellow",
    "finished": "dim green",
    "exited": "dim",
    "absent": "dim",
    "lost": "bold red",
    "offline": "yellow",
    "failed": "bold red",
}
GONE = ("failed", "lost")
# Widths of cells: "12%" after a short bar, "1.5 GB /2.0 GB", a bar before that, "12% of 0.5"; "down 610.4 kB" and a
# number of packets, where anything waits in a queue or found no room in it.
SHARE_WIDTH = 8
FIGURES_WIDTH = 16
BAR_WIDTH = 8
CPU_WIDTH = 13
QUEUES = {"queued": 14, "dropped": 7}
PACKETS = {"up pkt/s": 8, "down pkt/s": 10}


def device_table(devices: Sequence[DeviceNow], width: int) -> Table:
    """Return a table with one row per device.

    What does not fit is left out: first packets, then the bar, the figures of memory, queues, rates, memory, cpu.
    """
    exits = any(device.exit_code for device in devices)
    queues = any(device.up_backlog_bytes or device.down_backlog_bytes or device.overflowed for device in devices)
    columns = _columns(width, exits, queues)
    name_width = max([6, *(len(device.name) for device in devices)])
    room = width - sum(columns.values()) - 2 * len(columns)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    table.add_column("device", width=max(6, min(name_width, room)), no_wrap=True, overflow="ellipsis")
    for title, column_width in columns.items():
        numeric = title not in ("state", "memory")
        table.add_column(
            title, width=column_width, no_wrap=True, justify="right" if numeric else "left", overflow="crop"
        )
    for device in devices:
        cells = _cells(device, columns)
        style = STYLES.get(device.state, "") if device.state in GONE else ""
        table.add_row(Text(device.name, style), *(cells[title] for title in columns))
    return table


def _columns(width: int, exits: bool, queues: bool) -> dict[str, int]:
    """Return titles and widths of the columns after the device's name."""
    columns = {"state": max(map(len, STYLES)), "round": 5}
    if exits:
        columns["exit"] = 4
    if width >= 48:
        columns["cpu"] = 4
    if width >= 58:
        columns["memory"] = SHARE_WIDTH
    if width >= 76:
        columns |= {"up bit/s": 8, "down bit/s": 10}
    if queues and width >= 101:
        columns |= QUEUES
        width -= sum(QUEUES.values()) + 2 * len(QUEUES)
    if width >= 92:
        columns["memory"] = FIGURES_WIDTH
    if width >= 128:
        columns |= PACKETS
    if width >= 106:
        columns["memory"] = BAR_WIDTH + 1 + FIGURES_WIDTH
        columns["cpu"] = CPU_WIDTH
    return columns


def _cells(device: DeviceNow, widths: Mapping[str, int]) -> dict[str, Text]:
    state = device.state
    if device.oom_kills and state in GONE:
        state = "out of mem"
    return {
        "state": Text(state, STYLES.get(device.state, "")),
        "round": _text(None if not device.round else str(device.round)),
        "exit": _text(None if device.exit_code is None else str(device.exit_code), "red" if device.exit_code else ""),
        "cpu": _cpu(device, widths.get("cpu", 0)),
        "memory": _memory(device, widths.get("memory", 0)),
        "up bit/s": _rate(device.up_bps),
        "down bit/s": _rate(device.down_bps),
        "up pkt/s": _packets(device.up_packets_per_s),
        "down pkt/s": _packets(device.down_packets_per_s),
        "queued": _queued(device),
        "dropped": _dropped(device.overflowed),
    }


def _cpu(device: DeviceNow, width: int) -> Text:
    """Return the cores in use as a share of the limit; yellow if the limit held the device back."""
    if device.cpu is None:
        return _text(None)
    style = "yellow" if device.throttled else ""
    if not device.cpus:
        return Text(f"{device.cpu:.2f}", style)
    share = f"{device.cpu / device.cpus:.0%}"
    return Text(share if width < CPU_WIDTH else f"{share:>4} of {device.cpus:<5.3g}", style)


def _memory(device: DeviceNow, width: int) -> Text:
    used, limit = device.memory_bytes, device.memory_limit_bytes
    if used is None:
        return _text(None)
    if not limit:
        return Text(memory(used))
    share = min(1.0, used / limit)
    style = "red" if share > 0.95 else "yellow" if share > 0.8 else ""
    if width < FIGURES_WIDTH:
        return Text.assemble((bar(share, 3), style or "blue"), f" {share:.0%}", style=style)
    figures = f"{memory(used):>7} /{memory(limit):>7}"
    if width == FIGURES_WIDTH:
        return Text(figures, style)
    return Text.assemble((bar(share, BAR_WIDTH), style or "blue"), f" {figures}")


def _rate(bps: float | None) -> Text:
    """Return the current rate; dim if there is no traffic."""
    return _text(None) if bps is None else Text(short_rate(bps), "dim" if bps < 500 else "")


def _packets(per_s: float | None) -> Text:
    """Return how many packets come in a second; dim if there are none."""
    return _text(None) if per_s is None else Text(f"{per_s:.0f}", "" if per_s else "dim")


def _queued(device: DeviceNow) -> Text:
    """Return what waits in the fuller of the link's two queues, in bytes."""
    up, down = device.up_backlog_bytes, device.down_backlog_bytes
    if up is None and down is None:
        return _text(None)
    waiting, way = max((up or 0, "up"), (down or 0, "down"))
    return Text(f"{way} {size(waiting)}") if waiting else Text("0", "dim")


def _dropped(packets: int | None) -> Text:
    """Return how many packets found no room in the link's queues so far."""
    return _text(None) if packets is None else Text(str(packets), "yellow" if packets else "dim")


def _text(value: str | None, style: str = "") -> Text:
    return Text("-", "dim") if value is None else Text(value, style)

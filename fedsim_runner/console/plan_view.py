"""A plan as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ..compute.values import Speed
from ..contract.link import Link
from ..contract.units import counted, memory, rate, size
from ..plan.host_load import describe_load
from ..plan.model import Plan
from ..plan.names import join_names
from ..plan.server_paths import ServerPath, Way, alike, server_paths
from ..plan.traffic import describe_traffic, short_time
from .tables import Column, FoldedTable
from .timeline_view import count_entries

SHOWN_DEVICES = 40
SHOWN_SITES = 6


def render_plan(plan: Plan) -> RenderableType:
    """Return devices, addresses, limits, links, transfer times and the cpu factor as tables for the terminal."""
    experiment = plan.experiment
    head = Text.assemble(
        ("Experiment ", "bold"),
        f"{experiment.name}, seed {experiment.seed}: {counted(len(plan.placed), 'device')} on ",
        ", ".join(
            f"{host.name} ({host.cpus:g} {'cpu' if host.cpus == 1 else 'cpus'}, {memory(host.memory_bytes)})"
            for host in plan.lab_hosts
        ),
        f", network {plan.subnet}, TCP congestion control {experiment.congestion_control}",
        f", cpu factor {plan.cpu_factor:g}",
        "" if plan.experiment.time == "real" else ", dilated time",
    )
    shown = plan.placed[:SHOWN_DEVICES]
    devices = [item.device for item in shown]
    where = [Column("address", [item.address for item in shown])]
    if any(device.region for device in devices):
        where.append(Column("region", [device.region or "" for device in devices]))
    if len(plan.lab_hosts) > 1:
        where.append(Column("lab host", [item.lab_host for item in shown]))
    transfers = plan.traffic.transfers[:SHOWN_DEVICES] if plan.traffic is not None else ()
    table = FoldedTable(
        Column("device", [device.name for device in devices]),
        [
            Column("type", [device.type.name for device in devices]),
            Column("speed", [describe_speed(item.speed) for item in shown]),
            Column("role", [device.role for device in devices]),
        ],
        where,
        [
            Column("cpus", [f"{item.cpus:g} of {item.device.type.cpus:g}" for item in shown], right=True),
            Column("memory", [memory(device.type.memory_bytes) for device in devices], right=True),
        ],
        [
            Column("up", [describe_link(device.network.up) for device in devices]),
            Column("down", [describe_link(device.network.down) for device in devices]),
        ],
        [
            Column("receives in", [short_time(one.receive_s) for one in transfers], right=True),
            Column("sends in", [short_time(one.send_s) for one in transfers], right=True),
        ]
        if transfers
        else [],
    )
    parts: list[RenderableType] = [head, table]
    hidden = len(plan.placed) - SHOWN_DEVICES
    if hidden > 0:
        parts.append(Text(f"... and {hidden} more (--json shows all)"))
    paths = alike(server_paths(plan))
    parts.append(_render_paths(paths))
    if len(paths) > SHOWN_DEVICES:
        parts.append(Text(f"... and {len(paths) - SHOWN_DEVICES} more paths (--json shows all)"))
    parts += [Text(describe_load(load)) for load in plan.loads]
    if plan.traffic is None:
        parts.append(Text("Messages: how large the model is, is not known before the course"))
    else:
        parts.append(Text(describe_traffic(plan.traffic, experiment.total_rounds)))
    if experiment.timeline:
        without = "; the times above leave them out" if plan.traffic is not None else ""
        parts.append(Text(f"Events: {count_entries(experiment.timeline)} (--events lists them){without}"))
    parts += [Text.assemble(("note: ", "yellow"), note) for note in (*plan.course_notes, *plan.notes)]
    return Group(*parts)


def _render_paths(paths: Mapping[ServerPath, Sequence[str]]) -> RenderableType:
    """Return one row for all clients that have the same path to the server."""
    shown = list(paths)[:SHOWN_DEVICES]

    def columns(title: str, ways: Sequence[Way]) -> list[Column]:
        products = [way.product_bytes(path.round_trip_s) for path, way in zip(shown, ways, strict=True)]
        return [
            Column(title, [_rate(way.rate_bps) for way in ways], right=True),
            Column("BDP", [size(product) for product in products], right=True),
            Column("queue", [size(way.queue_bytes) for way in ways], right=True),
        ]

    over = [_way(path.sites) for path in shown]
    return FoldedTable(
        Column("to the server and back", [join_names(paths[path], 2) for path in shown]),
        [Column("over", over)] if any(over) else [],
        [Column("round trip", [f"{path.round_trip_s * 1000:g} ms" for path in shown], right=True)],
        columns("up", [path.up for path in shown]),
        columns("down", [path.down for path in shown]),
    )


def _way(sites: Sequence[str]) -> str:
    """The sites on the way, ``pi-3 > pi-2 > pi-1 > server``; of a long one the first and the last."""
    if len(sites) <= SHOWN_SITES:
        return " > ".join(sites)
    return f"{sites[0]} > {sites[1]} > ... ({len(sites) - 3} more) > {sites[-1]}"


def _rate(rate_bps: int | None) -> str:
    return "unlimited" if rate_bps is None else rate(rate_bps)


def describe_speed(speed: Speed | None) -> str:
    """Describe how fast a device is, e.g. ``2.37 s mobilenetv3-small``."""
    return "nominal" if speed is None else f"{speed.seconds:.3g} s {speed.reference}"


def describe_link(link: Link) -> str:
    """Describe one direction of a link briefly, e.g. ``10 Mbit/s 25±5 ms loss 0.5%``."""
    parts = [_rate(link.rate_bps)]
    if link.discipline != "fifo":
        parts.append(link.discipline)
    if link.delay_us:
        jitter = f"±{link.jitter_us / 1000:g}" if link.jitter_us else ""
        parts.append(f"{link.delay_us / 1000:g}{jitter} ms")
        if jitter and link.jitter_distribution != "uniform":
            parts.append(link.jitter_distribution)
    if link.loss:
        parts.append(f"loss {link.loss * 100:.3g}%")
        if link.bursts is not None:
            parts.append(f"in bursts of {link.bursts.mean_burst:.3g}")
    if link.duplicate:
        parts.append(f"duplicates {link.duplicate * 100:g}%")
    if link.corrupt:
        parts.append(f"corrupts {link.corrupt * 100:g}%")
    return " ".join(parts)

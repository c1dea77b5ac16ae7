"""Links as values, and the ``tc`` and ``iptables`` arguments that make them true. Pure: nothing here runs a program.

``up`` is shaped on the device's own interface (its egress), ``down`` on the host's side of its veth pair. Both back
ends draw jitter uniformly from [delay - jitter, delay + jitter] and keep the packets of one path in order: a packet
that draws a shorter delay than its predecessor leaves together with it. (netem keeps order when it has a rate; a
link with jitter and no rate gets one of 100 Gbit/s for that.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fedsim_runner.contract.errors import Exit, FedsimError

Backend = Literal["netem", "userspace"]

INTERFACE = "eth0"
QUEUE_NUMBER = 0
FRAME_BYTES = 1514
BUFFER_S = 0.1  # what a link's queue holds beyond the bytes in flight
MIN_BUFFER_FRAMES = 16  # ... but never less: a slow link must still take one burst of a window
TBF_BURST_S = 0.004
TBF_MIN_BURST_BYTES = 1600  # one frame: below that tbf passes nothing
UNLIMITED_BPS = 10_000_000_000  # a link without a rate: only its queue is sized by this
ORDERING_RATE_BPS = 100_000_000_000
MAX_QUEUE_PACKETS = 131_072


@dataclass(frozen=True)
class Link:
    """One direction: bit/s (None: not limited), microseconds one way, loss as a probability in 0..1."""

    rate_bps: int | None = None
    delay_us: int = 0
    jitter_us: int = 0
    loss: float = 0.0

    @property
    def delays_or_drops(self) -> bool:
        """Needs more than a rate."""
        return self.delay_us > 0 or self.jitter_us > 0 or self.loss > 0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Link:
        """From the device file."""
        rate = data.get("rate_bps")
        return cls(
            int(rate) if rate else None,
            int(data.get("delay_us") or 0),
            int(data.get("jitter_us") or 0),
            float(data.get("loss") or 0.0),
        )


@dataclass(frozen=True)
class DeviceLink:
    """A device's wanted link and its address on the run's network."""

    device: str
    address: str
    up: Link
    down: Link


@dataclass(frozen=True)
class Qdisc:
    """A root qdisc. ``limit`` is packets for netem, bytes for tbf; ``burst`` bytes, tbf only."""

    kind: str
    rate_bps: int | None = None
    delay_us: int = 0
    jitter_us: int = 0
    loss: float = 0.0
    limit: int = 0
    burst: int = 0

    def __str__(self) -> str:
        parts = [self.kind]
        if self.rate_bps and self.rate_bps != ORDERING_RATE_BPS:
            parts.append(f"rate {self.rate_bps} bit/s")
        if self.delay_us or self.jitter_us:
            parts.append(f"delay {self.delay_us} us")
        if self.jitter_us:
            parts.append(f"jitter {self.jitter_us} us")
        if self.loss:
            parts.append(f"loss {self.loss:.6g}")
        if self.burst:
            parts.append(f"burst {self.burst} bytes")
        if self.limit:
            parts.append(f"limit {self.limit} {'bytes' if self.kind == 'tbf' else 'packets'}")
        return " ".join(parts)


@dataclass(frozen=True)
class Shape:
    """All that one device's link needs on one lab host."""

    up: Qdisc | None
    down: Qdisc | None
    queue: bool  # an NFQUEUE rule in its PREROUTING, and the agent behind it
    per_packet: bool  # loss falls on packets: no segmentation offload may hide many in one
    queue_packets: int = 0


class UnshapableError(FedsimError):
    """No back end here can hold the wanted links; the text names what is missing and the mend."""

    exit = Exit.LINKS


def buffer_bytes(rate_bps: int) -> int:
    """What the queue of a link holds beyond rate x delay: 100 ms of its rate, at least 16 frames."""
    return max(math.ceil(rate_bps / 8 * BUFFER_S), MIN_BUFFER_FRAMES * FRAME_BYTES)


def netem_qdisc(link: Link) -> Qdisc | None:
    """The one netem qdisc of a direction; its queue takes rate x (delay + jitter) and the buffer."""
    if link.rate_bps is None and not link.delays_or_drops:
        return None
    rate = link.rate_bps or UNLIMITED_BPS
    in_flight = rate / 8 * (link.delay_us + link.jitter_us) / 1e6
    limit = math.ceil((in_flight + buffer_bytes(rate)) / FRAME_BYTES)
    kept_rate = link.rate_bps or (ORDERING_RATE_BPS if link.jitter_us else None)
    return Qdisc("netem", kept_rate, link.delay_us, link.jitter_us, link.loss, limit=limit)


def tbf_qdisc(link: Link) -> Qdisc | None:
    """The token bucket that holds a direction's rate: a burst of 4 ms (at least one frame) and the buffer behind it.

    Delayed packets do not wait in this queue, so it is not sized by the delay.
    """
    if link.rate_bps is None:
        return None
    burst = max(math.ceil(link.rate_bps / 8 * TBF_BURST_S), TBF_MIN_BURST_BYTES)
    return Qdisc("tbf", link.rate_bps, limit=burst + buffer_bytes(link.rate_bps), burst=burst)


def shapes(devices: Iterable[DeviceLink], peers: Iterable[DeviceLink], backend: Backend) -> dict[str, Shape]:
    """What to set for each device of this lab host; ``peers`` are the run's devices on other hosts."""
    local = list(devices)
    everyone = [*local, *peers]
    lossy = any(link.up.loss or link.down.loss for link in everyone)
    limited = any(link.up.rate_bps or link.down.rate_bps for link in everyone)
    result: dict[str, Shape] = {}
    for link in local:
        if backend == "netem":
            # netem counts, drops and times what it is given: with offloads that is up to 64 kB at once, and they come
            # from the sender, so one lossy or limited link anywhere concerns every device.
            result[link.device] = Shape(netem_qdisc(link.up), netem_qdisc(link.down), False, lossy or limited)
            continue
        others = [other.up for other in everyone if other.address != link.address]
        queue = link.down.delays_or_drops or any(up.delays_or_drops for up in others)
        longest = (
            max((up.delay_us + up.jitter_us for up in others), default=0) + link.down.delay_us + link.down.jitter_us
        )
        held = (link.down.rate_bps or UNLIMITED_BPS) / 8 * longest / 1e6 / FRAME_BYTES
        result[link.device] = Shape(
            tbf_qdisc(link.up),
            tbf_qdisc(link.down),
            queue,
            queue and (link.down.loss > 0 or any(up.loss for up in others)),
            # Twice, for packets smaller than a frame; never below the kernel's own default.
            min(1024 + math.ceil(2 * held), MAX_QUEUE_PACKETS) if queue else 0,
        )
    return result


def qdisc_arguments(interface: str, qdisc: Qdisc | None) -> list[str]:
    """``tc``'s arguments that put the qdisc at the interface's root, or remove the one that is there.

    Without a handle: then one kind replaces another in one step, without a moment of none.
    """
    if qdisc is None:
        return ["qdisc", "del", "dev", interface, "root"]
    start = ["qdisc", "replace", "dev", interface, "root", qdisc.kind]
    if qdisc.kind == "tbf":
        return [*start, "rate", f"{qdisc.rate_bps}bit", "burst", f"{qdisc.burst}b", "limit", f"{qdisc.limit}b"]
    arguments = [*start, "limit", str(qdisc.limit)]
    if qdisc.delay_us or qdisc.jitter_us:
        arguments += ["delay", f"{qdisc.delay_us}us"]
    if qdisc.jitter_us:
        arguments.append(f"{qdisc.jitter_us}us")
    if qdisc.loss:
        arguments += ["loss", "random", f"{qdisc.loss * 100:.8g}%"]
    if qdisc.rate_bps:
        arguments += ["rate", f"{qdisc.rate_bps}bit"]
    return arguments


def parse_qdiscs(entries: Iterable[Mapping[str, Any]]) -> dict[str, Qdisc]:
    """Root qdiscs by interface from ``tc -raw -json qdisc show``, without the kernel's own defaults."""
    found: dict[str, Qdisc] = {}
    for entry in entries:
        options = entry.get("options") or {}
        # The kernel's defaults have handle 0: and nobody set them.
        if not entry.get("root") or entry.get("handle") == "0:":
            continue
        kind = str(entry.get("kind"))
        interface = str(entry.get("dev", ""))
        if kind == "tbf":
            rate = int(options.get("rate", 0)) * 8
            found[interface] = Qdisc(kind, rate, limit=int(options.get("limit", 0)), burst=int(options.get("burst", 0)))
        elif kind == "netem":
            delay = options.get("delay") or {}
            rate = int((options.get("rate") or {}).get("rate", 0)) * 8
            found[interface] = Qdisc(
                kind,
                rate or None,
                round(float(delay.get("delay", 0)) * 1e6),
                round(float(delay.get("jitter", 0)) * 1e6),
                float((options.get("loss-random") or {}).get("loss", 0)),
                limit=int(options.get("limit", 0)),
            )
        else:
            found[interface] = Qdisc(kind)
    return found


def same_qdisc(wanted: Qdisc | None, active: Qdisc | None) -> bool:
    """Equal up to what the kernel's units round away: 8 bit/s, 2 us, a clock tick's worth of burst."""
    if wanted is None or active is None:
        return wanted is active
    if wanted.kind != active.kind or abs(wanted.limit - active.limit) > (1 if wanted.kind == "tbf" else 0):
        return False
    return (
        abs((wanted.rate_bps or 0) - (active.rate_bps or 0)) <= 8
        and abs(wanted.delay_us - active.delay_us) <= 2
        and abs(wanted.jitter_us - active.jitter_us) <= 2
        and abs(wanted.loss - active.loss) <= max(1e-6, wanted.loss * 1e-3)
        and abs(wanted.burst - active.burst) <= max(2.0, wanted.burst * 0.01)
    )


def queue_rule() -> list[str]:
    """The rule, as ``iptables -t mangle -S PREROUTING`` prints it behind ``-A``.

    PREROUTING of the receiver: there the packet has crossed the veth pair and no longer counts against the sender's
    socket, whose small queues would throttle it. No ``--queue-bypass``: without an agent nothing passes.
    """
    return ["PREROUTING", "-i", INTERFACE, "-j", "NFQUEUE", "--queue-num", str(QUEUE_NUMBER)]


def queue_rule_arguments(present: bool) -> list[str]:
    """``iptables``'s arguments that add or delete the queue rule."""
    return ["-w", "5", "-t", "mangle", "-A" if present else "-D", *queue_rule()]


def has_queue_rule(listing: str) -> bool:
    """Whether ``iptables -t mangle -S PREROUTING`` shows the rule."""
    return " ".join(["-A", *queue_rule()]) in (line.strip() for line in listing.splitlines())


def choose_backend(
    wanted: Literal["auto", "netem", "userspace"],
    devices: Iterable[DeviceLink],
    peers: Iterable[DeviceLink],
    probed: Mapping[str, Any],
) -> Backend:
    """The back end that holds the links here, from what ``probe`` found.

    Raises:
        UnshapableError: naming the pieces that the wanted back end lacks for these links, and the mend.
    """
    everyone = [*devices, *peers]
    links = [link for device in everyone for link in (device.up, device.down)]
    needs: dict[Backend, list[str]] = {"netem": [], "userspace": []}
    if any(link.rate_bps or link.delays_or_drops for link in links):
        needs["netem"].append("netem")
    if any(link.rate_bps for link in links):
        needs["userspace"].append("tbf")
    if any(link.delays_or_drops for link in links):
        needs["userspace"].append("nfqueue")
    candidates: tuple[Backend, ...] = ("netem", "userspace") if wanted == "auto" else (wanted,)
    for backend in candidates:
        if all(probed.get(piece) for piece in needs[backend]):
            return backend
    missing = sorted({piece for backend in candidates for piece in needs[backend] if not probed.get(piece)})
    fixes = {str(entry.get("what")): str(entry.get("fix")) for entry in probed.get("missing", ())}
    raise UnshapableError(
        f"kernel {probed.get('kernel', '?')} cannot hold these links (link_backend {wanted}): missing "
        + "; ".join(f"{piece} ({fixes.get(piece, 'no mend known')})" for piece in missing)
    )

"""Jitter by netem: the agent changes a link's delay in time.

netem itself draws jitter from packet to packet, and where packets stay in order each then waits for the slowest of
those before it: in a dense flow the mean rises to delay + jitter. So the kernel holds one delay at a time, and a thread
of the agent gives it the next one every few J, a tenth of a second at least. When it falls, netem lets the packets
after that out with those before it, so it falls in steps, half as fast as time runs. Values of a symmetric distribution
keep their mean by that; where large ones are further from the mean than small ones, it rises, as falls begin there.
"""

from __future__ import annotations

import contextlib
import heapq
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedsim_runner.contract.link import INTERFACE, Link
from fedsim_runner.contract.time_scale import REAL_TIME, TimeScale

from ...host.network_container import namespace_number
from ...kernel import kernel_qdiscs, netlink, netns
from ..jitter import Jitter
from .qdisc import Netem, furthest_us, moved_options

#: From one delay to the next, in times from one independent value of the jitter to the next.
INTERVAL = 4 / 3
LEAST_INTERVAL_S = 0.1
MOST_CHANGES_PER_S = 1000.0  # of all links of a lab host: a few hundredths of a core
#: A mean delay that is further from what was asked for is named: microseconds, or a share of it.
LEAST_ERROR_US, LEAST_ERROR = 1_000, 0.02
#: At once: what a fall lets out together has room in the queue of the rate, also 64-byte packets at half of it.
MOST_FALL_US = 5_000


@dataclass(frozen=True)
class Movement:
    """The links of one device whose delay moves; None: it does not."""

    up: Link | None
    down: Link | None
    end: str  # name of the lab host's end of its veth pair
    seed: str

    def __str__(self) -> str:
        moved = {"up": self.up, "down": self.down}
        return ", ".join(
            f"{way} {link.delay_us} us and up to {furthest_us(link)} us more or less"
            + ("" if link.jitter_distribution == "uniform" else f" ({link.distribution})")
            for way, link in moved.items()
            if link
        )


class _Line:
    """One direction of one device's link: its qdisc, and the delays that it is given one after the other."""

    def __init__(self, channel: socket.socket, interface: str, link: Link, seed: str) -> None:
        self._channel = channel
        self._interface = interface
        self._link = link
        self._jitter = Jitter(link.jitter_us / 1e6, seed, link.distribution)
        self._number = 0
        self._delay_us = link.delay_us

    def move(self, least_s: float) -> float:
        """Set the next delay; return the seconds until the one after it, no less than ``least_s``."""
        spacing_s = self._link.distribution.spacing * self._link.jitter_us / 1e6
        wanted = max(0, self._link.delay_us + round(1e6 * self._jitter.offset_s(self._number * spacing_s)))
        wait_s = max(_interval_s(self._link), least_s)
        if wanted < self._delay_us - MOST_FALL_US:
            wanted = self._delay_us - MOST_FALL_US
            wait_s = 2 * MOST_FALL_US / 1e6
        else:
            self._number += 1
        self._delay_us = wanted
        # Where it is not in force (yet), those who look after links see to it; the next delay comes soon.
        with contextlib.suppress(OSError):
            options = moved_options(self._link, self._delay_us)
            kernel_qdiscs.change_root_qdisc(self._channel, self._interface, Netem.kind, options)
        return wait_s

    def close(self) -> None:
        self._channel.close()


class MovingDelays:
    """Moves the delays of one lab host's links, in a thread that begins with the first of them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines: dict[str, tuple[Movement, object, list[_Line]]] = {}  # by device; the second is where they are
        self._due: list[tuple[float, int, _Line]] = []
        self._count = 0
        self._thread: threading.Thread | None = None
        self._stopped = False

    def active(self, device: str, path: str, network: str | None) -> Movement | None:
        """What is moved for this device, if that happens in these namespaces: its own, and the run's."""
        with self._changed:
            movement, where, _ = self._lines.get(device, (None, None, []))
        return movement if where == _identify(path, network) else None

    def set(self, device: str, movement: Movement, path: str, network: str | None) -> None:
        """Move these delays of a device, of which none is moved so far.

        Args:
            path: that of the device's network namespace.
            network: that of the run's.

        Raises:
            OSError: a namespace is gone.
        """
        place = _identify(path, network)
        lines: list[_Line] = []
        try:
            for way, where, interface, link in (
                ("up", path, INTERFACE, movement.up),
                ("down", network, movement.end, movement.down),
            ):
                if link is not None and where is not None:
                    with netns.inside(where):
                        channel = netlink.open_channel()
                    lines.append(_Line(channel, interface, link, f"{movement.seed}/{way}"))
        except OSError:
            for line in lines:
                line.close()
            raise
        with self._changed:
            self._lines[device] = movement, place, lines
            for line in lines:
                self._push(time.monotonic(), line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="moving delays", daemon=True)
                self._thread.start()
            self._changed.notify()

    def forget(self, device: str) -> None:
        """Move this device's delays no more, and let its namespace go."""
        with self._changed:
            _, _, lines = self._lines.pop(device, (None, None, ()))
            gone: Sequence[_Line] = lines
            self._due = [entry for entry in self._due if entry[2] not in gone]
            heapq.heapify(self._due)
            for line in gone:
                line.close()

    def failure(self) -> str | None:
        """Why delays are no longer moved; None while they are."""
        ended = self._thread is not None and not self._thread.is_alive() and not self._stopped
        return "the agent's thread that moves delays has ended" if ended else None

    def stop(self) -> None:
        """Leave all delays as they are."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        for device in list(self._lines):
            self.forget(device)

    def _push(self, due: float, line: _Line) -> None:
        self._count += 1
        heapq.heappush(self._due, (due, self._count, line))

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                if not self._due or self._due[0][0] > now:
                    self._changed.wait(self._due[0][0] - now if self._due else None)
                    continue
                due, _, line = heapq.heappop(self._due)
                wait_s = line.move(len(self._due) / MOST_CHANGES_PER_S)
                # After a pause of the whole machine nothing is made up for.
                self._push(max(due, now - wait_s) + wait_s, line)


def plan_movement(up: Link, down: Link, end: str, seed: str) -> Movement | None:
    """What is to be moved for a device with these links; None if neither has jitter."""
    moved = [link if link.jitter_us else None for link in (up, down)]
    return Movement(moved[0], moved[1], end, seed) if any(moved) else None


def describe_movement(links: Sequence[Link], scale: TimeScale = REAL_TIME) -> Iterator[str]:
    """What the links of one lab host, moved together, have that is not what was asked for. Pure.

    Args:
        links: in wall time.
        scale: of the sentences' times, which are the devices'.
    """
    moved = [link for link in links if link.jitter_us]
    least_s = len(moved) / MOST_CHANGES_PER_S
    if any(least_s > _interval_s(link) for link in moved):
        yield (
            f"moves the delay of {len(moved)} links with jitter, each only every {scale.to_device(least_s):.2g} s: in "
            "between it is constant"
        )
    longer = [(_longer_us(link, least_s), link) for link in moved]
    beyond = [(us, link) for us, link in longer if us > max(LEAST_ERROR_US, LEAST_ERROR * link.delay_us)]
    if beyond:
        us, link = max(beyond, key=lambda pair: pair[0])
        longer_ms, delay_ms, jitter_ms = (scale.to_device(span) / 1e3 for span in (us, link.delay_us, link.jitter_us))
        yield (
            f"makes the mean delay of links with much jitter longer, at most by {longer_ms:.2g} ms "
            f"({delay_ms:.4g}±{jitter_ms:.4g} ms, {link.distribution})"
        )


def _longer_us(link: Link, least_s: float) -> float:
    """By how much falls make the mean delay longer: one from a to b takes 2 (a - b), with a mean of (a + b) / 2."""
    if (link.distribution.most - link.distribution.least) * link.jitter_us <= MOST_FALL_US:
        return 0.0
    moments = link.distribution.fall_moments(-link.delay_us / link.jitter_us)
    span_s = max(_interval_s(link), least_s) + 2 * moments.fall * link.jitter_us / 1e6
    return moments.squares * link.jitter_us**2 / 1e6 / span_s


def _interval_s(link: Link) -> float:
    """Seconds between two delays of a link, if nothing else has to be moved."""
    return max(INTERVAL * link.distribution.spacing * link.jitter_us / 1e6, LEAST_INTERVAL_S)


def _identify(path: str, network: str | None) -> object:
    return namespace_number(path), None if network is None else namespace_number(network)

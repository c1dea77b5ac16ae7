"""Log lines of participants from their containers, merged by time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack

from fedsim_runner.lab.host import LabHost

from ..values import Line
from .docker_engine import LabEngine

# Lines of several devices that arrive within this time are sorted by their timestamps.
SETTLE_S = 0.3


def container_lines(
    containers: Mapping[str, tuple[LabHost, str]],
    connect: Callable[[LabHost], AbstractContextManager[LabEngine]],
    follow: bool,
    tail: int,
) -> Iterator[Line]:
    """Log lines of devices.

    Args:
        containers: lab host and container id by device name.
        connect: opens the Engine of a lab host.
        follow: go on as new lines arrive.
        tail: only the last lines of each device; 0: all.
    """
    lines: queue.Queue[Line | None] = queue.Queue()

    def read(engine: LabEngine, name: str, identifier: str) -> None:
        try:
            kept = b""
            stream = engine.client.api.logs(identifier, stream=True, follow=follow, tail=tail or "all", timestamps=True)
            for chunk in stream:
                *whole, kept = (kept + chunk).split(b"\n")
                for line in whole:
                    lines.put(_stamped(name, line))
            if kept:
                lines.put(_stamped(name, kept))
        except Exception:
            # The container or the Engine is gone, whichever error docker-py raises: the log ends here.
            return
        finally:
            lines.put(None)

    with ExitStack() as stack:
        hosts = {host.name: host for host, _ in containers.values()}
        engines = {name: stack.enter_context(connect(host)) for name, host in hosts.items()}
        for name, (host, identifier) in containers.items():
            thread = threading.Thread(target=read, args=(engines[host.name], name, identifier), daemon=True)
            thread.start()
            if not follow:
                thread.join()
        yield from in_order(lines, len(containers))


def _stamped(device: str, line: bytes) -> Line:
    """Split a line from the Engine into its time (RFC 3339 with nine digits, so that it sorts as text) and the text."""
    moment, _, text = line.decode(errors="replace").partition(" ")
    return Line(device, text.rstrip("\r"), (moment,))


def in_order(
    lines: queue.Queue[Line | None], sources: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[Line]:
    """Lines of several sources, sorted by time where they arrive together; each source ends with None."""
    waiting: list[Line] = []
    since = clock()
    while sources or waiting:
        try:
            line = lines.get(timeout=SETTLE_S) if sources else None
            if line is None:
                sources -= 1 if sources else 0
            else:
                waiting.append(line)
            quiet = not sources
        except queue.Empty:
            quiet = True
        if waiting and (quiet or clock() - since >= 2 * SETTLE_S):
            yield from sorted(waiting, key=lambda item: item.at)
            waiting = []
        if not waiting:
            since = clock()

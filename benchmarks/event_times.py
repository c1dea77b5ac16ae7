"""How long links take to be shaped, and how late their changes are beside busy processes.

    python -m benchmarks.event_times [--devices N] [--busy N] [--times N] [--seconds S] [--backend NAME]

As root, without Docker: the agent's own parts on devices in namespaces, while a loop looks at all links as the agent's
does. All links are shaped, and again when nothing differs, before the busy processes start; where the kernel shapes
them, it is then measured how long it takes to change all of their qdiscs if a process does nothing else. Then each kind
of event takes place so many times, and at last all links follow a trace with five steps a second. Where the machine
itself stood still meanwhile, which a virtual one does, that is left out of what a step of a trace was late by.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from fedsim_runner.agent.host.docker_api import Docker
from fedsim_runner.agent.host.network_container import Namespace, NetworkContainer, namespace_number
from fedsim_runner.agent.links import probe
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.run_links import RunLinks
from fedsim_runner.agent.links.shaping.results import Result
from fedsim_runner.agent.run_settings import RunSettings
from fedsim_runner.agent.timeline.devices import Devices
from fedsim_runner.agent.timeline.priority import run_before_devices
from fedsim_runner.agent.timeline.timeline import Timeline
from fedsim_runner.agent.traces.player import BATCH_S, Player
from fedsim_runner.contract import events
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.link_variation import Track, Variation
from fedsim_runner.contract.timeline import LinkChange, TimelineEntry
from tests.agent_settings import run_settings
from tests.lab.rig import rig

from .link_figures import pauses
from .link_figures.bare_changes import measure
from .link_figures.children import fork
from .tables import Limit, print_limits, print_table

MBIT = 1_000_000
PLANNED = Links(Link(8 * MBIT, 20_000), Link(20 * MBIT, 20_000))
OTHER = LinkChange(rate_bps=2 * MBIT, delay_us=50_000)
RATES = tuple(rate * MBIT for rate in range(2, 9))
EVERY_S, LASTS_S = 0.5, 0.25
STEP_MS = 200
LOOK_S, RESTORE_S = 1.0, 6.0

#: Seconds that changes were late, by what changed.
Late = dict[str, list[float]]


def main() -> None:
    """Print the tables, and the limits that the figures are held to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.event_times", description="How late changes are.")
    parser.add_argument("--devices", type=int, default=100, metavar="N", help="at most 250 (%(default)s)")
    parser.add_argument("--busy", type=int, default=20, metavar="N", help="processes that compute (%(default)s)")
    parser.add_argument("--times", type=int, default=20, metavar="N", help="events of each kind (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="for which links follow a trace (%(default)s)")
    parser.add_argument("--backend", default="auto", help="a link back end (%(default)s)")
    options = parser.parse_args()
    run_before_devices()
    names = ["server", *(f"client-{number}" for number in range(1, options.devices))]
    with rig(*names) as lab, tempfile.TemporaryDirectory() as folder:
        running = {name: holder.pid for name, holder in lab.holders.items()}
        settings = _settings(lab.addresses, options.backend)
        recorded: list[events.Event] = []
        links = _links(str(lab.network.path), settings, recorded.append)
        try:
            shaped_s = [_seconds(lambda: links.apply(settings, names, running, False)) for _ in range(2)]
            links.restore(running)
            where = {name: f"/proc/{pid}/ns/net" for name, pid in running.items()}
            slow = Link(2 * MBIT, 50_000)
            slower = [replace(one, up=slow, down=slow) for one in settings.links.devices]
            other = replace(settings.links, devices=slower)
            bare = measure(links.backend, settings.links, other, names[1:], where, str(lab.network.path))
            with _busy(options.busy), _looking_at(links, running):
                late: Late = {}
                for kind, devices, entry in _kinds(names):
                    late[f"{kind} of {len(devices)}"] = _follow(
                        links, replace(settings, timeline=_timeline(entry, devices, options.times)), Path(folder)
                    )
                varied = _vary(links, settings, options.seconds)
        finally:
            links.stop()
    print_table("links of all devices", ("", "s"), [["shaped", shaped_s[0]], ["again", shaped_s[1]]])
    if bare is not None:
        print_table(
            f"changes of the {bare.qdiscs} qdiscs of all clients' links, made by a process alone, in ms",
            ("", "most"),
            [["one request for each", bare.one_s * 1e3], ["all requests of a change", bare.all_s * 1e3]],
        )
    rows = [[what, statistics.median(some) * 1e3, max(some) * 1e3] for what, some in late.items()]
    print_table("events: late, in ms", ("event", "median", "most"), rows)
    columns = ("changes", "latest, in ms", "longest pause of the machine", "latest without", "CPU, in % of a core")
    print_table("links that follow a trace", columns, [varied.cells()])
    print_limits(
        [
            Limit("all links shaped", shaped_s[0], 3.0, " s"),
            Limit("all links shaped again", shaped_s[1], 1.5, " s"),
            *(Limit(what, max(some) * 1e3, 50, " ms") for what, some in late.items()),
            Limit("traces, without pauses of the machine", varied.own_s * 1e3, 50, " ms"),
        ]
    )


def _kinds(names: Sequence[str]) -> list[tuple[str, Sequence[str], TimelineEntry]]:
    clients = names[1:]
    half = names[len(names) // 2 :]
    return [
        ("change", clients, TimelineEntry(number=0, devices=(), up=OTHER, down=OTHER)),
        ("offline", half, TimelineEntry(number=0, devices=(), action="offline")),
        ("partition", half, TimelineEntry(number=0, devices=(), action="partition")),
    ]


def _timeline(entry: TimelineEntry, devices: Sequence[str], times: int) -> tuple[TimelineEntry, ...]:
    return tuple(
        replace(entry, number=number, devices=tuple(devices), at_s=1 + number * EVERY_S, duration_s=LASTS_S)
        for number in range(times)
    )


def _settings(addresses: Mapping[str, str], backend: str) -> RunSettings:
    devices = [DeviceLink(name, address, PLANNED.up, PLANNED.down) for name, address in addresses.items()]
    later = tuple(replace(PLANNED.up, rate_bps=rate, delay_us=50_000) for rate in RATES)
    profile = Profile(
        devices,
        seed=1,
        server="server",
        may_part=True,
        later=later,
        fastest_up_bps=dict.fromkeys(addresses, max(RATES)),
    )
    return replace(run_settings(profile), link_backend=backend, verify="off", timeout_s=600, go_on=True)


def _links(network: str, settings: RunSettings, record: Callable[[events.Event], None]) -> RunLinks:
    container = NetworkContainer(Docker(), "benchmark")
    number = namespace_number(network)
    assert number is not None
    container.namespace = Namespace(network, number)
    return RunLinks(container, settings.link_backend, probe.probe(), record)


class _Course:
    """One that all devices have joined."""

    round = 1
    states: ClassVar[dict[str, str]] = {}

    def live_state(self, device: str) -> str:
        return "joined"

    def has_joined(self, device: str) -> bool:
        return True


def _follow(links: RunLinks, settings: RunSettings, folder: Path) -> list[float]:
    """Have the timeline take place; return how late its events were, in seconds."""
    expected = 2 * len(settings.timeline)
    late: list[float] = []
    over = threading.Event()

    def record(event: events.Event) -> None:
        assert isinstance(event, events.EventBegun | events.EventEnded), event
        late.append(event.late_s or 0.0)
        if len(late) == expected:
            over.set()

    timeline = Timeline(links, Devices(Docker(), {}), folder / "timeline.json", record, lambda _: None, frozenset)
    timeline.open(time.time(), settings, _Course())
    try:
        assert over.wait(60 + expected * EVERY_S)
    finally:
        timeline.stop()
        (folder / "timeline.json").unlink(missing_ok=True)
    return late


@dataclass(frozen=True)
class _Varied:
    """What became of links that followed a trace.

    Attributes:
        changes: how many there were.
        latest_s: by how much the latest was late, as the journal has it: from when the first of a batch was due.
        own_s: the same without the machine's pauses.
        paused_s: the longest of these.
        cpu_percent: of a core, that this took.
    """

    changes: int
    latest_s: float
    own_s: float
    paused_s: float
    cpu_percent: float

    def cells(self) -> tuple[object, ...]:
        """The row of a table."""
        return (self.changes, self.latest_s * 1e3, self.paused_s * 1e3, self.own_s * 1e3, self.cpu_percent)


def _vary(links: RunLinks, settings: RunSettings, seconds: float) -> _Varied:
    """Have all links follow a trace for so long."""
    steps = range(50)
    track = Track(
        at_ms=tuple(step * STEP_MS for step in steps),
        length_ms=len(steps) * STEP_MS,
        rate_bps=tuple(RATES[step % len(RATES)] for step in steps),
    )
    found: list[events.Event] = []
    stood_still: list[pauses.Pause] = []
    batches: list[tuple[float, float]] = []  # when each was due, and how late it was

    def begin(now: Mapping[str, Links], due_s: float) -> Callable[[], dict[str, Result]]:
        finish = links.begin_step(now, due_s)

        def finish_and_note() -> dict[str, Result]:
            results = finish()
            batches.append((due_s, max((one.late_s for one in results.values()), default=0.0)))
            return results

        return finish_and_note

    player = Player(begin, found.append)
    variations = {
        device.device: Variation(planned=PLANNED, up="t", down="t", offset_ms=37 * number % STEP_MS)
        for number, device in enumerate(settings.links.devices)
    }
    before = time.process_time()
    with pauses.watching(stood_still):
        player.begin(time.time(), variations, {"t": track}, 1, links.packets_wait_here)
        time.sleep(seconds)
        player.stop()
    cpu_percent = 100 * (time.process_time() - before) / seconds
    varied = found[-1]
    assert isinstance(varied, events.LinksVaried) and not varied.failed, varied
    own_s = max(late_s - pauses.within(stood_still, due_s, due_s + late_s) for due_s, late_s in batches[1:])
    longest_s = max((end - begin for begin, end in stood_still), default=0.0)
    return _Varied(varied.changes or 0, varied.latest_s or 0.0, BATCH_S + own_s, longest_s, cpu_percent)


@contextlib.contextmanager
def _looking_at(links: RunLinks, running: Mapping[str, int]) -> Iterator[None]:
    """Look at all links as the agent's loop does."""
    stopping = threading.Event()

    def look() -> None:
        next_restore = 0.0
        while not stopping.wait(LOOK_S):
            links.look(running)
            if time.monotonic() >= next_restore:
                next_restore = time.monotonic() + RESTORE_S
                links.restore(running)

    thread = threading.Thread(target=look, name="looks")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


@contextlib.contextmanager
def _busy(count: int) -> Iterator[None]:
    """So many processes compute without a pause."""
    children = [fork(_compute) for _ in range(count)]
    try:
        yield
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _compute() -> None:
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    while True:
        pass


def _seconds(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


if __name__ == "__main__":
    main()

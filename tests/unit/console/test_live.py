"""The table of devices at several widths and heights of a terminal."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from rich.console import Console

from fedsim_runner.console.bars import bar
from fedsim_runner.console.course_now import CourseNow, count_states, parse_devices
from fedsim_runner.console.live import CourseView, Window, choose, render_course
from fedsim_runner.console.progress import Progress
from fedsim_runner.console.snapshots import Snapshots
from fedsim_runner.contract.units import duration

pytestmark = pytest.mark.lengthy

MB = 2**20


def entry(state: str, round_number: int = 3, **more: Any) -> dict[str, Any]:
    figures = {
        "cpu": 0.25,
        "cpus": 0.5,
        "memory_bytes": 192 * MB,
        "memory_limit_bytes": 256 * MB,
        "up_bps": 1_234_000,
        "down_bps": 99_000,
        "oom_kills": 0,
        "throttled": 0,
    }
    return {"state": state, "round": round_number, **figures, **more}


def course(entries: dict[str, Any], **more: Any) -> CourseNow:
    devices = parse_devices(entries)
    return CourseNow("study", "running", 3, 10, devices=devices, counts=count_states(None, devices), **more)


def wait_for(console: Console, text: str) -> None:
    """Wait until the live view, which draws in a thread, has shown a text."""
    end = time.monotonic() + 10
    while text not in console.file.getvalue() and time.monotonic() < end:
        time.sleep(0.02)


def drawn(view: object, width: int, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(view)
    return console.file.getvalue().splitlines()


SMALL = {"server": entry("waiting"), "smartphone-low-1": entry("training"), "pi": entry("sending")}


def test_a_wide_terminal_shows_everything() -> None:
    lines = drawn(CourseView(course(SMALL, accuracy=0.8123, accuracies=(0.1, 0.8123), elapsed_s=75)), 140)
    assert "study" in lines[0]
    for text in ("round 3/10", "accuracy 0.8123 ▁▇", "75 s"):
        assert text in lines[0]
    (row,) = (line for line in lines if line.startswith("smartphone-low-1"))
    for text in ("training", "50% of 0.5", "██████░░", "192 MB / 256 MB", "1.2 M", "99 k"):
        assert text in row


@pytest.mark.parametrize(
    ("width", "has", "lacks"),
    [
        (100, ("192 MB / 256 MB", "1.2 M", "50%"), ()),
        (80, ("75%", "1.2 M", "50%"), ("MB",)),
        (60, ("75%", "50%"), ("1.2 M",)),
        (50, ("50%",), ("75%",)),
        (30, ("training",), ("50%",)),
    ],
)
def test_a_narrow_one_shows_less_and_wraps_nothing(width: int, has: tuple[str, ...], lacks: tuple[str, ...]) -> None:
    lines = drawn(CourseView(course(SMALL, accuracy=0.8, elapsed_s=5)), width)
    assert max(map(len, lines)) <= width
    (row,) = (line for line in lines if line.startswith("smart"))
    assert all(text in row for text in has)
    assert not any(text in row for text in lacks)
    assert sum(line.startswith(("server", "smart", "pi ")) for line in lines) == 3


@pytest.mark.parametrize(
    ("width", "has", "lacks"),
    [
        (160, ("down 610.4 kB", "1234", "4321", "192 MB / 256 MB", "██████░░"), ()),
        (140, ("down 610.4 kB", "1234", "192 MB / 256 MB", "██████░░"), ("4321",)),
        (120, ("down 610.4 kB", "1234", "192 MB / 256 MB"), ("██████░░",)),
        (101, ("down 610.4 kB", "1234", "75%"), ("MB",)),
        (100, ("192 MB / 256 MB", "99 k"), ("610.4", "1234")),
    ],
)
def test_what_waits_and_what_found_no_room_is_shown(width: int, has: tuple[str, ...], lacks: tuple[str, ...]) -> None:
    waits = {"up_backlog_bytes": 1514, "down_backlog_bytes": 625_000, "overflowed": 1234, "down_packets_per_s": 4321.0}
    calm = {"up_backlog_bytes": 0, "down_backlog_bytes": 0, "overflowed": 0}
    lines = drawn(
        CourseView(course(SMALL | {"slow": entry("sending", **waits), "calm": entry("sending", **calm)})), width
    )
    assert max(map(len, lines)) <= width
    (row,) = (line for line in lines if line.startswith("slow"))
    assert all(text in row for text in has)
    assert not any(text in row for text in lacks)
    assert ("queued" in lines[1]) == (width >= 101)
    lines = drawn(CourseView(course({"server": entry("waiting"), "calm": entry("sending", **calm)})), width)
    assert not any("queued" in line or "dropped" in line for line in lines)


@pytest.mark.parametrize("height", [12, 24, 50])
def test_many_devices_fit_the_height_with_a_count_of_the_rest(height: int) -> None:
    entries = {"server": entry("waiting")}
    entries |= {f"phone-{number}": entry("finished") for number in range(100)}
    entries["phone-77"] = entry("training")
    lines = drawn(CourseView(course(entries)), 80, height)
    assert len(lines) <= height
    assert any(line.startswith("phone-77 ") for line in lines)
    shown = sum(line.startswith(("server", "phone")) for line in lines)
    assert f"... and {101 - shown} more" in lines[-1]
    assert "99 finished" in lines[-1]


def test_devices_that_were_lost_do_not_hide_those_that_are_waited_for() -> None:
    entries = {"server": entry("waiting")}
    entries |= {f"gone-{number}": entry("lost") for number in range(20)}
    entries |= {"slow": entry("sending", 2), "other": entry("sending", 3)}
    names = [device.name for device in choose(parse_devices(entries), 6)]
    assert names[0] == "server"
    assert names[3:5] == ["slow", "other"]


def test_below_the_server_the_slowest_are_on_top_whether_or_not_all_fit() -> None:
    assert [device.name for device in choose(parse_devices(SMALL), 9)] == ["server", "pi", "smartphone-low-1"]
    entries = {"server": entry("waiting"), "done": entry("finished"), "quick": entry("training", 9)}
    entries |= {"behind": entry("training", 7), "last": entry("sending", 8)}
    assert [device.name for device in choose(parse_devices(entries), 9)][1:] == ["last", "behind", "quick", "done"]
    assert [device.name for device in choose(parse_devices(entries), 3)] == ["server", "last", "behind"]


@pytest.mark.parametrize("height", [12, 24, 50])
def test_keys_bring_every_row_onto_the_screen(height: int) -> None:
    entries = {"server": entry("waiting")} | {f"phone-{number}": entry("training") for number in range(100)}
    window, seen = Window(by_keys=True), set()
    for _ in range(100):
        lines = drawn(CourseView(course(entries), window=window), 80, height)
        assert lines[2].startswith("server")
        assert "more (arrow keys)" in lines[-1]
        seen |= {line.split()[0] for line in lines if line.startswith("phone")}
        window.move("page down")
    assert seen == entries.keys() - {"server"}


def test_of_many_devices_each_has_a_row_though_the_snapshot_has_all_of_only_a_few() -> None:
    snapshots = Snapshots()
    snapshots.add({"t": 1, "lab_host": "a", "devices": SMALL, "others": "far-1 training 3\nfar-2 waiting 0\nbroken\n"})
    snapshots.add({"t": 1, "lab_host": "b", "devices": {}, "others": 7})
    assert [(device.name, device.state, device.round) for device in snapshots.devices][3:] == [
        ("far-1", "training", 3),
        ("far-2", "waiting", 0),
    ]


def test_the_agents_counts_include_devices_it_does_not_send() -> None:
    devices = parse_devices(SMALL)
    now = CourseNow("study", devices=devices, counts=count_states({"waiting": 90, "training": 10}, devices))
    lines = drawn(render_course(now, 80, 50), 80)
    assert "... and 97 more   90 waiting   10 training" in lines[-1]


def test_while_devices_load_it_shows_how_many_have() -> None:
    devices = parse_devices({"pi-1": entry("loading", 0), "pi-2": entry("ready", 0)})
    counts = count_states({"ready": 37, "loading": 4, "waiting": 59}, devices)
    lines = drawn(CourseView(CourseNow("study", "loading", 0, 10, devices=devices, counts=counts)), 100)
    assert "study   loading 37 of 100   round 0/10" in lines[0]


def test_unknown_values_are_dashes_and_nonsense_is_left_out() -> None:
    odd = {"state": None, "cpu": "x", "memory_bytes": None}
    devices = parse_devices({"a": {"state": "waiting"}, "b": "?", "c": odd})
    assert [(device.name, device.state, device.cpu) for device in devices] == [
        ("a", "waiting", None),
        ("c", "unknown", None),
    ]
    assert drawn(render_course(course({"a": {"state": "waiting"}}), 80, 5), 80)[-1].split() == ["a", "waiting"] + 5 * [
        "-"
    ]
    assert parse_devices(None) == ()


def test_an_exit_and_lack_of_memory_are_shown() -> None:
    lines = drawn(render_course(course({"a": entry("failed", exit_code=137, oom_kills=1)}), 80, 5), 80)
    assert "out of mem" in lines[-1]
    assert "137" in lines[-1]


def test_bars_and_durations() -> None:
    assert [bar(share, 2) for share in (-1, 0, 0.25, 0.5, 1, 2)] == ["░░", "░░", "▌░", "█░", "██", "██"]
    assert [duration(seconds) for seconds in (5, 99, 100, 3700)] == ["5 s", "99 s", "1 min 40 s", "1 h 01 min"]


def test_the_course_is_drawn_below_the_lines_and_gone_afterwards() -> None:
    console = Console(file=io.StringIO(), width=100, height=24, force_terminal=True, color_system=None)
    with Progress(console, total_rounds=2, run="study", live_stages={"course"}) as progress:
        progress.stage("course")
        progress.event({"t": 1, "event": "agent_started", "backend": "netem", "kernel": "6.1"})
        progress.snapshot({"t": 2, "state": "running", "round": 1, "total_rounds": 2, "devices": SMALL})
        progress.snapshot({"t": 1, "round": 2, "devices": {"stale": entry("training")}})
        wait_for(console, "smartphone-low-1")
        progress.event({"t": 3, "event": "evaluated", "round": 1, "results": {"test_acc": 0.5}})
        below = console.file.getvalue().rpartition("round 1/2  accuracy 0.5000")[2]
        progress.close()
    text = console.file.getvalue()
    assert "accuracy 0.5000" in below  # at once: the view says what the line above it does
    assert "links by netem" in text
    assert "smartphone-low-1" in text
    assert "stale" not in text
    assert text.index("round 1/2  accuracy 0.5000") < text.rindex("smartphone-low-1")
    assert "\x1b[?25l" in text
    assert text.rindex("\x1b[?25h") > text.rindex("smartphone-low-1")
    assert "✓ course" in text.splitlines()[-1]


def test_before_the_first_snapshot_events_show_who_is_there() -> None:
    console = Console(file=io.StringIO(), width=100, height=24, force_terminal=True, color_system=None)
    with Progress(console, total_rounds=2, run="study", live_stages={"course"}) as progress:
        progress.stage("course")
        progress.event({"t": 1, "event": "device_joined", "device": "pi"})
        wait_for(console, "joined")
    assert "joined" in console.file.getvalue()


def test_two_lab_hosts_are_one_course() -> None:
    console = Console(file=io.StringIO(), width=100, height=24, force_terminal=True, color_system=None)
    first = {"server": entry("waiting"), "pi": entry("training")}
    with Progress(console, total_rounds=2, run="study", live_stages={"course"}) as progress:
        progress.stage("course")
        progress.snapshot({"t": 9, "lab_host": "lab1", "round": 2, "devices": first, "results": {"test_acc": 0.25}})
        progress.snapshot({"t": 3, "lab_host": "lab2", "round": 0, "devices": {"phone": entry("sending")}})
        progress.snapshot({"t": 2, "lab_host": "lab2", "devices": {"stale": entry("training")}})
        wait_for(console, "phone")
    text = console.file.getvalue()
    assert all(name in text for name in ("server", "pi", "phone", "round 2/2", "accuracy 0.2500"))
    assert "stale" not in text

"""What a user sees while a run goes on, with and without a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from fedsim_runner.console.course_now import DeviceNow
from fedsim_runner.console.progress import Progress


def shown(terminal: bool) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=terminal, color_system=None)
    with Progress(console, total_rounds=2) as progress:
        progress.stage("course")
        for event in (
            {"t": 1, "event": "agent_started", "backend": "userspace", "kernel": "6.1"},
            {"t": 1.5, "event": "loading_started", "devices": 20, "limit_s": 500},
            *({"t": 1.6, "event": "device_ready", "device": f"pi-{number}"} for number in range(20)),
            {"t": 2, "event": "gate_opened", "open_at": 2},
            {"t": 3, "event": "device_joined", "device": "[pi]", "client_id": 1},
            {"t": 4, "event": "round_started", "round": 1},
            {"t": 5.5, "event": "evaluated", "round": 1, "results": {"test_acc": 0.5, "test_loss": None}},
            {"t": 6, "event": "unheard_of"},
            {"event": "evaluated", "round": 2},
            {"event": "course_failed", "device": "[pi]", "reason": "ended by SIGKILL", "last_lines": ["a", "[/b]"]},
        ):
            progress.event(event)
        progress.close(failed=True)
    return console.file.getvalue()


def test_plain_lines_without_a_terminal() -> None:
    lines = shown(terminal=False).splitlines()
    assert lines[0] == "course ..."
    assert "  link back end: userspace (kernel 6.1)" in lines
    assert "  20 participants load, then the gate opens" in lines
    assert [line for line in lines if "loading" in line] == [f"  loading {number} of 20" for number in (5, 10, 15)]
    assert "  all links are in force, the gate is open (20 loaded in 0.5 s)" in lines
    assert "  [pi] joined" in lines
    assert "  round 1/2  accuracy 0.5000  1.50 s" in lines
    assert "  the course failed: [pi]: ended by SIGKILL" in lines
    assert "    | [/b]" in lines
    assert lines[-1].startswith("course failed after ")


def dilated(terminal: bool) -> str:
    """What is shown of a run at a time factor of 0.25."""
    console = Console(file=io.StringIO(), width=150, force_terminal=terminal, color_system=None)
    with Progress(console, total_rounds=2, live_stages=("course",)) as progress:
        progress.stage("course")
        for event in (
            {"t": 1, "event": "agent_started", "backend": "netem", "kernel": "6.1", "time_factor": 0.25},
            {"t": 2, "event": "loading_started", "devices": 1, "limit_s": 500},
            {"t": 10, "event": "gate_opened", "open_at": 10},
            {"t": 12, "event": "round_started", "round": 1},
            {"t": 20, "event": "evaluated", "round": 1, "results": {"test_acc": 0.5}},
            {"t": 20, "event": "round_started", "round": 2},
            {"t": 22, "event": "client_result", "device": "pi", "round": 2, "results": {"train_acc": 0.5}},
        ):
            progress.event(event)
        pi = {"state": "training", "round": 2, "cpu": 0.1, "cpus": 0.125, "up_bps": 250_000, "down_bps": 100_000}
        progress.snapshot({"t": 50, "time_factor": 0.25, "devices": {"pi": pi}})
    return console.file.getvalue()


def test_a_dilated_run_is_shown_in_device_time_with_wall_time_beside_it() -> None:
    lines = dilated(terminal=False).splitlines()
    assert "  all links are in force, the gate is open (1 loaded in 8.0 s)" in lines
    assert "  round 1/2  accuracy 0.5000  2.00 s (8.00 s of wall time)" in lines
    assert "  round 2/2  for 8 s (30 s of wall time)  trained: pi  training: pi" in lines
    drawn = dilated(terminal=True)
    assert "10 s of device time, 0 s of wall time" in drawn
    assert "80% of 0.5" in drawn
    assert "1.0 M" in drawn
    assert "400 k" in drawn


def test_what_there_is_to_say_about_a_stage_has_its_own_line_without_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=120)
    with Progress(console, total_rounds=2) as progress:
        progress.stage("images")
        progress.detail("images: [lab2] loads 2.0 MB")
    assert console.file.getvalue().splitlines()[:2] == ["images ...", "  images: [lab2] loads 2.0 MB"]


def test_of_several_lab_hosts_each_is_named_where_a_line_is_about_it() -> None:
    console = Console(file=io.StringIO(), width=120)
    with Progress(console, total_rounds=2, on_several=True) as progress:
        for devices, host in ((1, "north"), (3, "south")):
            progress.event({"t": 1, "event": "loading_started", "devices": devices, "limit_s": 500, "lab_host": host})
        progress.event({"t": 2, "event": "device_joined", "device": "pi", "client_id": 1, "lab_host": "north"})
    assert console.file.getvalue().splitlines() == [
        "  north: 1 participant loads, then the gate opens",
        "  south: 3 participants load, then the gate opens",
        "  pi joined",
    ]


def test_many_clients_join_in_quarters() -> None:
    console = Console(file=io.StringIO(), width=120)
    names = ["server", *(f"pi-{number}" for number in range(50))]
    with Progress(console, 1, devices=[DeviceNow(name, "waiting") for name in names]) as progress:
        for number, name in enumerate(names[1:], 1):
            progress.event({"event": "device_joined", "device": name, "client_id": number})
    lines = [line.strip() for line in console.file.getvalue().splitlines()]
    assert lines == [f"{number} of 50 clients joined" for number in (12, 24, 36, 50)]


def test_a_terminal_gets_the_same_events() -> None:
    text = shown(terminal=True)
    assert "round 1/2  accuracy 0.5000  1.50 s" in text
    assert "✗ course" in text


def test_an_engine_that_stays_is_announced() -> None:
    console = Console(file=io.StringIO(), width=120)
    with Progress(console, 1) as progress:
        progress.event({"event": "engine_wanted", "installed": False})
        progress.event({"event": "engine_wanted", "installed": True})
    first, second = console.file.getvalue().splitlines()
    assert "installing docker.io, which stays" in first
    assert "starting the one that is installed" in second


def test_nothing_claims_links_where_there_are_none() -> None:
    console = Console(file=io.StringIO(), width=120)
    with Progress(console, 1) as progress:
        progress.event({"event": "links_unshaped", "reason": "no tbf"})
        progress.event({"event": "gate_opened"})
    text = console.file.getvalue()
    assert "not shaped" in text
    assert "in force" not in text


def test_deadlines_and_late_updates_are_in_the_line_of_their_round() -> None:
    console = Console(file=io.StringIO(), width=160)
    with Progress(console, 9) as progress:
        progress.stage("course")
        progress.event({"event": "round_deadline", "round": 1, "arrived": 3, "wanted": 9})
        progress.event({"event": "evaluated", "round": 1, "results": {"test_acc": 0.5}})
        for number in range(6):
            progress.event({"event": "update_late", "device": f"slow-{number}", "round": 1})
        progress.event({"event": "evaluated", "round": 2, "results": {"test_acc": 0.5}})
        progress.event({"event": "evaluated", "round": 3, "results": {"test_acc": 0.5}})
        for number in (4, 5, 6):
            progress.event({"event": "round_deadline", "round": number, "arrived": 1, "wanted": 9})
        progress.event({"event": "update_late", "device": "slow-1", "round": 5})
        progress.event({"event": "training_finished"})
        progress.event({"event": "evaluated", "round": 6, "results": {"test_acc": 0.5}})
        progress.event({"event": "update_late", "device": "slow-2", "round": 6})
    assert [line.strip() for line in console.file.getvalue().splitlines()][1:-1] == [
        "round 1/9  accuracy 0.5000  deadline: 3 of 9 updates",
        "round 2/9  accuracy 0.5000  updates dropped: slow-0, slow-1, slow-2, slow-3 and 2 more",
        "round 3/9  accuracy 0.5000",
        "training finished, final evaluation",
        "round 6/9  accuracy 0.5000  deadline in 3 rounds  updates dropped: slow-1",
        "rounds without a line: updates dropped: slow-2",
    ]


def test_that_a_device_was_ended_with_the_course_is_no_news() -> None:
    console = Console(file=io.StringIO(), width=160)
    with Progress(console, 3) as progress:
        progress.event({"event": "device_missed_end", "device": "phone"})
        for device in ("phone", "tablet"):
            progress.event({"event": "device_exited", "device": device, "exit_code": 143, "oom_killed": False})
    assert console.file.getvalue().splitlines() == [
        "  phone was offline when the course ended",
        "  tablet exited with 143",
    ]


def test_a_warning_of_federatedscope_is_shown() -> None:
    console = Console(file=io.StringIO(), width=160)
    with Progress(console, 3) as progress:
        progress.event({"t": 1, "event": "device_warned", "device": "pi", "text": "no val_data"})
    assert console.file.getvalue() == "  pi warns: no val_data\n"


def test_a_lost_client_is_shown_with_its_last_lines() -> None:
    console = Console(file=io.StringIO(), width=160)
    reason = "killed for lack of memory: its memory limit was reached (exit code 137)"
    with Progress(console, 3) as progress:
        progress.event(
            {"event": "client_lost", "device": "pi", "oom_killed": True, "last_lines": ["x"], "reason": reason}
        )
    assert console.file.getvalue().splitlines() == [f"  pi is lost, the course goes on: {reason}", "    | x"]

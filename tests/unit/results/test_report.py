"""Reports of whole, partial and broken run folders."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fedsim_runner.console.bars import sparkline
from fedsim_runner.contract.units import size
from fedsim_runner.results import RUNNING, render_summary, write_report
from fedsim_runner.results.comparison.run_folders import refresh_report

DEVICES = [
    {"name": "pi-1", "type": "raspberry-pi", "role": "client", "index": 1, "network": "wifi", "memory_bytes": 4096},
    {"name": "server", "type": "edge-server", "role": "server", "index": 0, "network": "gigabit", "memory_bytes": 8192},
]
JOURNAL: list[dict[str, Any]] = [
    {"t": 10.0, "event": "agent_started", "backend": "userspace", "kernel": "6.1"},
    {"t": 11.0, "event": "link_shaped", "device": "pi-1", "changed": True},
    {"t": 12.0, "event": "gate_opened", "open_at": 12.0},
    {"t": 13.0, "event": "round_started", "round": 1},
    {"t": 15.5, "event": "evaluated", "round": 1, "results": {"test_acc": 0.5, "test_loss": 1.5}},
    {"t": 16.0, "event": "evaluated", "round": 2, "results": {"test_acc": 0.9, "test_loss": 0.5, "test_total": 10}},
    {"t": 16.5, "event": "device_finished", "device": "pi-1"},
    {"t": 16.6, "event": "device_finished", "device": "server"},
    {"t": 16.7, "event": "device_exited", "device": "pi-1", "exit_code": 0, "oom_killed": False},
    {"t": 17.0, "event": "course_finished", "rounds": 2, "results": {"test_acc": 0.9}},
]
EXIT = {
    "exit_code": 0,
    "gate_opened": 12.0,
    "ended": 16.5,
    "rx_bytes": 2000,
    "tx_bytes": 1000,
    "memory_peak_bytes": 3000,
    "cpu_seconds": 1.25,
}


PATHS = {"pi-1": {"round_trip_s": 0.097, "sites": ["us", "eu"], "up": {}, "down": {}}}


def run_folder(folder: Path, journal: list[dict[str, Any]]) -> Path:
    files = folder / "inventory" / "device_files"
    files.mkdir(parents=True)
    content = {"run": "r-1", "experiment": "study", "cpu_factor": 0.5, "course": {"total_rounds": 2}}
    (files / "local.json").write_text(json.dumps({**content, "devices": DEVICES}), encoding="utf-8")
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in journal), encoding="utf-8")
    (folder / "plan.json").write_text(
        json.dumps({"notes": ["over-committed"], "server_paths": PATHS}), encoding="utf-8"
    )
    (folder / "collected" / "pi-1").mkdir(parents=True)
    (folder / "collected" / "pi-1" / "exit.json").write_text(json.dumps(EXIT), encoding="utf-8")
    (folder / "metrics.csv").write_text(
        "t,device,cpu_seconds,memory_bytes,throttled_seconds\n1,server,1.0,700,0.5\n2,server,2.0,600,0.75\n3,pi-1,0.1,5,\n",
        encoding="utf-8",
    )
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_what_a_device_did_before_it_was_started_again_counts(tmp_path: Path) -> None:
    """A participant's own figures at its end are those of its last process."""
    folder = run_folder(tmp_path, JOURNAL)
    lines = ["t,device,cpu_seconds,rx_bytes,tx_bytes", "1,pi-1,3,500,70", "2,pi-1,1,5,7", "3,pi-1,1.5,50,70"]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pi = write_report(folder)["devices"]["pi-1"]
    assert (pi["bytes_up"], pi["bytes_down"]) == (1070, 2500)  # 1,000 and 2,000 of them at the end


def test_a_finished_run(tmp_path: Path) -> None:
    report = write_report(run_folder(tmp_path, JOURNAL))
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report
    assert (report["status"], report["reason"], report["run"]) == ("finished", None, "r-1")
    assert (report["duration_s"], report["link_backend"]) == (5.0, "userspace")
    first = {key: value for key, value in report["rounds"][0].items() if value is not None}
    assert first == {"round": 1, "seconds": 2.5, "elapsed_seconds": 2.5, "test_acc": 0.5, "test_loss": 1.5}
    assert (report["began"], report["startup_s"]) == (13.0, 1.0)
    assert report["loading_s"] is None, "in 0.1.0 participants loaded after the gate"
    assert report["rounds"][1]["seconds"] == 0.5
    assert report["final"] == {"test_acc": 0.9}
    assert report["notes"] == ["over-committed"]
    assert list(report["devices"]) == ["server", "pi-1"]
    pi = report["devices"]["pi-1"]
    assert (pi["bytes_up"], pi["bytes_down"], pi["exit_code"], pi["state"]) == (1000, 2000, 0, "finished")
    assert (pi["memory_peak_bytes"], pi["memory_limit_bytes"], pi["course_seconds"]) == (3000, 4096, 4.5)
    assert (pi["way"], pi["round_trip_us"]) == ("us > eu", 97_000)
    server = report["devices"]["server"]
    assert (server["way"], server["round_trip_us"]) == (None, None)
    assert (server["memory_peak_bytes"], server["cpu_seconds"], server["throttled_seconds"]) == (700, 2, 0.75)
    assert server["bytes_up"] is None
    assert [row["round"] for row in rows(tmp_path / "rounds.csv")] == ["1", "2"]
    assert rows(tmp_path / "devices.csv")[1]["memory_peak_bytes"] == "3000"
    assert rows(tmp_path / "devices.csv")[0]["bytes_up"] == ""


def test_what_came_before_the_gate_is_told_apart_from_the_course(tmp_path: Path) -> None:
    loading = [
        {"t": 11.1, "event": "loading_started", "devices": 2, "limit_s": 300},
        {"t": 11.2, "event": "device_loading", "device": "pi-1"},
        {"t": 11.9, "event": "device_ready", "device": "pi-1"},
    ]
    anew = {"t": 15.5, "event": "device_ready", "device": "pi-1"}  # by an event, within its limit
    folder = run_folder(tmp_path, [*JOURNAL[:2], *loading, *JOURNAL[2:-1], anew, JOURNAL[-1]])
    (folder / "collected" / "pi-1" / "exit.json").write_text(json.dumps({**EXIT, "startup_cpu_seconds": 0.5}))
    report = write_report(folder)
    assert (report["loading_s"], report["startup_s"], report["duration_s"]) == (0.9, 1.0, 5.0)
    pi, server = report["devices"]["pi-1"], report["devices"]["server"]
    assert (pi["loading_seconds"], pi["startup_cpu_seconds"], pi["cpu_seconds"]) == (0.7, 0.5, 1.25)
    assert (server["loading_seconds"], server["startup_cpu_seconds"]) == (None, None)


def test_a_failed_run_names_the_device(tmp_path: Path) -> None:
    failed = {"t": 14.0, "event": "course_failed", "device": "pi-1", "reason": "ended by SIGKILL", "last_lines": []}
    report = write_report(run_folder(tmp_path, [*JOURNAL[:4], failed]))
    assert (report["status"], report["reason"], report["device"]) == ("failed", "pi-1: ended by SIGKILL", "pi-1")
    assert report["devices"]["pi-1"]["state"] == "failed"
    assert (report["rounds"], report["final"]) == ([], {"test_acc": None})


def test_what_the_caller_knows_of_the_end_counts(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, JOURNAL[:5])
    assert write_report(folder)["reason"] == "the journal ends before the course does"
    report = write_report(folder, status="interrupted", reason="interrupted in stage course")
    assert (report["status"], report["reason"]) == ("interrupted", "interrupted in stage course")
    assert report["final"]["test_acc"] == 0.5
    assert write_report(folder, status=RUNNING)["reason"] is None


@pytest.mark.parametrize(("is_up", "status"), [(True, "running"), (False, "failed")])
def test_a_course_without_an_end_goes_on_only_while_the_run_is_up(is_up: bool, status: str, tmp_path: Path) -> None:
    folder = run_folder(tmp_path, JOURNAL[:5])
    write_report(folder, status=RUNNING)
    assert refresh_report(folder, is_up=is_up)["status"] == status


def test_what_the_engine_knows_of_an_end(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, JOURNAL[:4])
    facts = {"server": {"status": "exited", "exit_code": 137, "oom_killed": True}, "agent": {"status": "exited"}}
    (folder / "containers.json").write_text(json.dumps(facts), encoding="utf-8")
    devices = write_report(folder)["devices"]
    assert (devices["server"]["exit_code"], devices["server"]["oom_killed"]) == (137, True)
    assert devices["server"]["memory_peak_bytes"] == devices["server"]["memory_limit_bytes"] > 0
    assert "agent" not in devices


def test_an_empty_folder(tmp_path: Path) -> None:
    report = write_report(tmp_path)
    assert (report["status"], report["devices"], report["rounds"]) == ("failed", {}, [])
    assert (tmp_path / "rounds.csv").read_text(encoding="utf-8").startswith("round,seconds,elapsed_seconds,test_acc,")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("journal.jsonl", b'{"t": 1, "event": "gate_opened"}\n{"t": 2, "eve\n[]\n\xff\xfe\n{"event": 3}\n'),
        ("journal.jsonl", b'{"event": "evaluated"}\n{"event": "evaluated", "round": "x", "results": 3}\n'),
        ("journal.jsonl", b'{"event": "evaluated", "round": 1, "results": {"test_acc": NaN}}\n'),
        ("metrics.csv", b"device\n\nserver,1,2,3\n\x00"),
        ("metrics.csv", b"nonsense"),
        ("plan.json", b"[]"),
        ("plan.json", b'{"server_paths": {"pi-1": {"round_trip_s": 1e305, "sites": [3, "us"]}, "server": 4}}'),
        ("plan.json", b'{"server_paths": ["pi-1"]}'),
        ("containers.json", b'{"server": 3}'),
        ("collected/pi-1/exit.json", b'{"rx_bytes": "many", "gate_opened": null, "ended": 1}'),
        ("inventory/device_files/local.json", b'{"devices": [3, {"name": 1}]}'),
    ],
)
def test_damaged_files_never_break_a_report(name: str, content: bytes, tmp_path: Path) -> None:
    folder = run_folder(tmp_path, JOURNAL[:4])
    (folder / name).write_bytes(content)
    write_report(folder)
    json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_the_summary_shows_what_a_user_wants_to_know(tmp_path: Path) -> None:
    report = write_report(run_folder(tmp_path, JOURNAL))
    console = Console(file=io.StringIO(), width=200)
    console.print(render_summary(report, tmp_path))
    shown = console.file.getvalue()
    for text in (
        "finished",
        "accuracy",
        "0.9000",
        "pi-1",
        "1000 B",
        "2.9 kB",
        "4.0 kB",
        str(tmp_path),
        "over-committed",
    ):
        assert text in shown


def test_the_summary_of_nothing(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(render_summary(write_report(tmp_path), tmp_path))


def test_many_rounds_are_thinned_out(tmp_path: Path) -> None:
    rounds = [
        {"t": 20.0 + n, "event": "evaluated", "round": n, "results": {"test_acc": n / 100}} for n in range(1, 101)
    ]
    report = write_report(run_folder(tmp_path, [*JOURNAL[:4], *rounds]))
    console = Console(file=io.StringIO(), width=200)
    console.print(render_summary(report, tmp_path))
    shown = console.file.getvalue()
    assert "(12 of 100 rounds; all in rounds.csv)" in shown
    assert "1.0000" in shown


def test_bars_and_sizes() -> None:
    assert sparkline([0.0, None, 0.5, 1.0]) == "▁ ▅█"
    assert [size(value) for value in (None, 0, 1023, 1024, 3 * 2**20, 5 * 2**30)] == [
        "-",
        "0 B",
        "1023 B",
        "1.0 kB",
        "3.0 MB",
        "5.0 GB",
    ]

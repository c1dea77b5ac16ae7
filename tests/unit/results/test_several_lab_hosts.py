"""A run on two lab hosts: the files of both make one report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.results import write_report

FIRST: list[dict[str, Any]] = [
    {"t": 1.0, "event": "agent_started", "backend": "netem"},
    {"t": 2.0, "event": "device_started", "device": "server"},
    {"t": 3.0, "event": "gate_opened", "open_at": 4.0},
    {"t": 5.0, "event": "round_started", "round": 1},
    {"t": 7.0, "event": "evaluated", "round": 1, "results": {"test_acc": 0.5}},
    {"t": 7.5, "event": "device_finished", "device": "server"},
    {"t": 8.0, "event": "course_finished", "rounds": 1, "results": {"test_acc": 0.5}},
]
SECOND: list[dict[str, Any]] = [
    {"t": 1.5, "event": "agent_started", "backend": "netem"},
    {"t": 3.1, "event": "gate_opened", "open_at": 4.0},
    {"t": 4.5, "event": "device_joined", "device": "pi-1", "client_id": 1},
    {"t": 6.0, "event": "link_reapplied", "device": "pi-1"},
    {"t": 7.4, "event": "device_finished", "device": "pi-1"},
    {"t": 8.5, "event": "course_finished", "rounds": 0, "results": {}},
]
HEADER = "t,device,memory_bytes,tx_bytes,rx_bytes"


def folder_of(root: Path, second: list[dict[str, Any]], named: bool = False) -> Path:
    folders = {"lab1": root, "lab2": root / "agents" / "lab2"}
    for (lab_host, folder), events, device in zip(folders.items(), (FIRST, second), ("server", "pi-1"), strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        lines = [{**event, "lab_host": lab_host} if named else event for event in events]
        (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        (folder / "metrics.csv").write_text(f"{HEADER}\n5.0,{device},1000,10,20\n", encoding="utf-8")
        facts = {device: {"status": "exited", "exit_code": 0, "oom_killed": False}}
        (folder / "containers.json").write_text(json.dumps(facts), encoding="utf-8")
    return root


def test_journals_samples_and_containers_are_merged(tmp_path: Path) -> None:
    for named in (False, True):
        report = write_report(folder_of(tmp_path / str(named), SECOND, named))
        assert (report["status"], report["duration_s"], report["link_backend"]) == ("finished", 4.5, "netem")
        assert [entry["test_acc"] for entry in report["rounds"]] == [0.5]
        assert report["final"] == {"test_acc": 0.5}
        assert report["notes"] == ["containers that restarted during the run: pi-1"]
        device = report["devices"]["pi-1"]
        assert (device["state"], device["client_id"], device["exit_code"], device["bytes_up"]) == ("finished", 1, 0, 10)
        assert report["devices"]["server"]["bytes_down"] == 20


def test_another_control_node_has_the_devices_and_lab_hosts_from_what_it_fetched(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, SECOND)
    for lab_host, where, device in (("lab1", folder, "server"), ("lab2", folder / "agents" / "lab2", "pi-1")):
        entry = {"name": device, "type": "mote", "index": 1}
        (where / "device_file.json").write_text(json.dumps({"lab_host": lab_host, "devices": [entry]}))
        (where / "host.csv").write_text("t,cpu\n5.0,0.5\n", encoding="utf-8")
    report = write_report(folder)
    assert {name: (entry["type"], entry["lab_host"]) for name, entry in report["devices"].items()} == {
        "server": ("mote", "lab1"),
        "pi-1": ("mote", "lab2"),
    }


def test_a_course_is_not_over_before_every_lab_host_says_so(tmp_path: Path) -> None:
    report = write_report(folder_of(tmp_path / "cut", SECOND[:-1]))
    assert (report["status"], report["reason"]) == ("failed", "the journal of lab2 ends before the course does")
    (tmp_path / "cut" / "agents" / "lab2" / "journal.jsonl").unlink()
    report = write_report(tmp_path / "cut")
    assert (report["status"], report["reason"]) == ("failed", "the journal of lab2 ends before the course does")


@pytest.mark.parametrize(("last", "state"), [("device_joined", "lost"), ("device_finished", "finished")])
def test_the_devices_of_a_lost_lab_host_are_lost_unless_they_had_ended(last: str, state: str, tmp_path: Path) -> None:
    number = next(number for number, event in enumerate(SECOND) if event["event"] == last)
    folder = folder_of(tmp_path, SECOND[: number + 1])
    (folder / "agents" / "lab2" / "containers.json").unlink()
    entry = {"lab_host": "lab2", "devices": [{"name": "pi-1"}]}
    (folder / "agents" / "lab2" / "device_file.json").write_text(json.dumps(entry))
    with (folder / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps({"t": 7.6, "event": "lab_host_lost", "host": "lab2", "reason": "silent"}) + "\n")
    assert write_report(folder)["devices"]["pi-1"]["state"] == state


def test_a_failure_on_any_lab_host_fails_the_run_whatever_the_first_one_says(tmp_path: Path) -> None:
    failed = {"t": 6.5, "event": "course_failed", "device": "pi-1", "reason": "killed", "last_lines": []}
    report = write_report(folder_of(tmp_path, [*SECOND[:4], failed]), status="finished")
    assert (report["status"], report["reason"], report["device"]) == ("failed", "pi-1: killed", "pi-1")


LOST: dict[str, Any] = {"t": 6.0, "event": "lab_host_lost", "host": "lab2", "reason": "its agent has ended"}
CUT_OFF = {"t": 6.6, "event": "lab_host_cut_off", "host": "lab1", "reason": "nothing was heard from lab host lab1"}


def judged_folder(root: Path, first: list[dict[str, Any]], second: list[dict[str, Any]]) -> Path:
    folder = folder_of(root, second, named=True)
    lines = [{**event, "lab_host": "lab1"} for event in first]
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def test_a_lab_host_that_was_lost_need_not_end_the_course(tmp_path: Path) -> None:
    for number, rest in enumerate(([], [CUT_OFF])):
        report = write_report(judged_folder(tmp_path / str(number), [*FIRST, LOST], [*SECOND[:3], *rest]))
        assert (report["status"], report["reason"]) == ("finished", None)
        assert any(note.startswith("lab host lab2 was given up: its agent has ended") for note in report["notes"])


def test_one_cause_gives_the_verdict_of_the_lab_host_that_judges(tmp_path: Path) -> None:
    failed = {"t": 7.0, "event": "course_failed", "device": "pi-1", "reason": "killed", "last_lines": ["bye"]}
    heard = {"t": 6.9, "event": "outcome_received", "status": "failed", "reason": "killed", "device": "pi-1"}
    report = write_report(judged_folder(tmp_path / "heard", [*FIRST[:5], failed], [*SECOND[:4], heard]))
    assert (report["status"], report["reason"], report["device"]) == ("failed", "pi-1: killed", "pi-1")
    report = write_report(judged_folder(tmp_path / "cut off", [*FIRST[:5], failed], [*SECOND[:4], CUT_OFF]))
    assert (report["status"], report["reason"]) == ("failed", "pi-1: killed")


def test_without_the_judges_word_the_others_say_what_they_know(tmp_path: Path) -> None:
    report = write_report(judged_folder(tmp_path, FIRST[:5], [*SECOND[:4], CUT_OFF]))
    assert (report["status"], report["reason"]) == ("failed", "nothing was heard from lab host lab1")

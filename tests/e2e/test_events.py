"""Links and devices change during a course as its file says, and the course goes on to its end."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import docker

from fedsim_runner.contract.link import Links
from fedsim_runner.contract.timeline import TimelineEntry, links_with
from fedsim_runner.contract.typed_json import load
from tests.e2e.conftest import Command, left_over


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def arrivals(report: dict[str, Any], device: str) -> list[float]:
    """When the device's updates were complete at the server, in seconds since training began."""
    rows = [row for row in report["device_rounds"] if row["device"] == device]
    return [row["delivered_at"] for row in rows if row["delivered_at"] is not None]


def test_the_example_with_events(engine: docker.DockerClient, repository: Path, tmp_path: Path) -> None:
    command = Command([str(repository / "examples/changing-links.yaml"), "--run", "changing"], tmp_path)
    assert command.finish() == 0, command.output
    folder = tmp_path / "runs" / "changing"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["status"] == "finished" and len(report["rounds"]) == 30
    assert report["lost_clients"] == []
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    timeline = {entry.number: entry for entry in (load(TimelineEntry, one) for one in plan["timeline"])}
    journal = [json.loads(line) for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    happened = [event for event in journal if event["event"].startswith("event_")]
    assert {event["event"] for event in happened} == {"event_begun", "event_ended"}, happened

    # Every event took place, for its devices, and not before its time; those with a duration were taken back.
    begun = {event["number"]: event for event in happened if event["event"] == "event_begun"}
    ended = {event["number"]: event for event in happened if event["event"] == "event_ended"}
    assert begun.keys() == timeline.keys()
    assert ended.keys() == {number for number, entry in timeline.items() if entry.duration_s is not None}
    gate = next(event["open_at"] for event in journal if event["event"] == "gate_opened")
    for number, event in begun.items():
        assert event["devices"] == list(timeline[number].devices)
        assert event["t"] >= event["due"] - 0.001, event
        if (at_s := timeline[number].at_s) is not None:
            assert abs(event["due"] - gate - at_s) < 0.001
        assert f"event {number}: " in command.output
    for number, event in ended.items():
        assert abs(event["due"] - begun[number]["due"] - (timeline[number].duration_s or 0)) < 1

    # Of two that change the same, one need not change anything.
    assert all(begun[number]["found"] for number in range(1, 8)), begun
    # The kernel, or the process that holds the packets, had the rate that the plan computes.
    devices = {device["name"]: device for device in plan["devices"]}
    changed = links_with(load(Links, devices["phone-1"]["link"]), [timeline[1]])
    assert str(changed.up.rate_bps) in begun[1]["found"], begun[1]

    # Nothing arrived from a device that was offline or cut off, and something did later.
    rows = {int(row["event"]): row for row in table(folder / "events.csv")}
    assert {row["state"] for row in rows.values()} == {"begun", "ended"}
    (offline,) = (row for row in rows.values() if row["what"] == "offline")
    (apart,) = (row for row in rows.values() if row["what"] == "partition")
    heals = {row["devices"]: float(row["began_at"]) for row in rows.values() if row["what"] == "heal"}
    for name, since, until in (
        ("laptop", float(offline["began_at"]), float(offline["ended_at"])),
        ("sensor", float(apart["began_at"]), heals["sensor"]),
        ("phone-1", float(apart["began_at"]), heals["phone-1"]),
    ):
        times = arrivals(report, name)
        assert not [at for at in times if since + 0.5 < at < until], (name, since, until, times)
        assert any(at > until for at in times), (name, until, times)
    assert left_over(engine, "changing") == []

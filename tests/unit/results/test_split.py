"""The split of rounds, from activity written by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.results import write_report
from fedsim_runner.results.findings import describe_findings
from fedsim_runner.results.tables.time_split import describe_devices

# Two clients, two rounds; slow (client 1) is last in both, and in the second its update is too late.
SERVER = """
{"t": 100.0, "what": "send", "kind": "model_para", "round": 0, "peer": 1, "bytes": 500}
{"t": 100.1, "what": "send", "kind": "model_para", "round": 0, "peer": 2, "bytes": 500}
{"t": 102.0, "what": "received", "kind": "model_para", "round": 0, "peer": 2, "bytes": 510}
{"t": 107.0, "what": "received", "kind": "model_para", "round": 0, "peer": 1, "bytes": 510}
{"t": 107.5, "what": "aggregate", "round": 0}
{"t": 107.7, "what": "aggregated", "round": 0}
{"t": 107.8, "what": "evaluate", "round": 1}
{"t": 108.3, "what": "evaluated", "round": 1}
{"t": 110.0, "what": "send", "kind": "model_para", "round": 1, "peer": 1, "bytes": 500}
{"t": 110.0, "what": "send", "kind": "model_para", "round": 1, "peer": 2, "bytes": 500}
{"t": 112.0, "what": "received", "kind": "model_para", "round": 1, "peer": 2, "bytes": 510}
{"t": 114.0, "what": "aggregate", "round": 1}
{"t": 114.2, "what": "aggregated", "round": 1}
{"t": 116.5, "what": "late", "round": 1, "peer": 1}
"""
SLOW = """
{"t": 101.0, "what": "received", "kind": "model_para", "round": 0, "peer": 0, "bytes": 499}
{"t": 101.5, "what": "train", "round": 0}
{"t": 104.5, "what": "trained", "round": 0}
{"t": 104.75, "what": "send", "kind": "model_para", "round": 0, "peer": 0, "bytes": 509}
{"t": 111.0, "what": "received", "kind": "model_para", "round": 1, "peer": 0, "bytes": 499}
{"t": 111.0, "what": "train", "round": 1}
{"t": 114.5, "what": "trained", "round": 1}
{"t": 114.5, "what": "send", "kind": "model_para", "round": 1, "peer": 0, "bytes": 509}
"""
FAST = """
{"t": 100.6, "what": "received", "kind": "model_para", "round": 0, "peer": 0, "bytes": 499}
{"t": 100.6, "what": "train", "round": 0}
{"t": 101.6, "what": "trained", "round": 0}
{"t": 101.6, "what": "send", "kind": "model_para", "round": 0, "peer": 0, "bytes": 509}
{"t": 108.0, "what": "evaluate", "round": 1}
{"t": 108.25, "what": "evaluated", "round": 1}
{"t": 110.5, "what": "received", "kind": "model_para", "round": 1, "peer": 0, "bytes": 499}
{"t": 110.5, "what": "train", "round": 1}
{"t": 111.5, "what": "trained", "round": 1}
{"t": 111.5, "what": "send", "kind": "model_para", "round": 1, "peer": 0, "bytes": 509}
"""
JOURNAL: list[dict[str, Any]] = [
    {"t": 95.0, "event": "gate_opened", "open_at": 95.0},
    {"t": 96.0, "event": "device_joined", "device": "slow", "client_id": 1},
    {"t": 96.0, "event": "device_joined", "device": "fast", "client_id": 2},
    {"t": 99.5, "event": "round_started", "round": 1},
    {"t": 108.3, "event": "evaluated", "round": 1, "results": {"test_acc": 0.5}},
    {"t": 114.0, "event": "round_deadline", "round": 2, "arrived": 1, "wanted": 2},
    {"t": 116.5, "event": "update_late", "device": "slow", "round": 2},
    {"t": 118.0, "event": "client_lost", "device": "slow", "reason": "no news for 60 s", "oom_killed": False},
    {"t": 118.1, "event": "device_exited", "device": "slow", "exit_code": 137, "oom_killed": False},
    {"t": 119.0, "event": "course_finished", "rounds": 2, "results": {"test_acc": 0.5}},
]
HEADER = (
    "t,device,memory_bytes,memory_peak_bytes,cpu_seconds,throttled_seconds,oom_kills,"
    "rx_bytes,rx_packets,rx_dropped,tx_bytes,tx_packets,tx_dropped"
)
METRICS = f"""{HEADER}
100.0,slow,10,10,0.0,1.0,0,1,1,0,1,1,0
110.0,slow,10,10,1.0,6.0,0,1,1,2,1,1,1
120.0,slow,10,10,2.0,7.0,0,1,1,2,1,1,3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    devices = [{"name": "server", "role": "server", "index": 0}]
    devices += [{"name": name, "role": "client", "index": k} for k, name in enumerate(("slow", "fast"), 1)]
    files = tmp_path / "inventory" / "device_files"
    files.mkdir(parents=True)
    (files / "local.json").write_text(json.dumps({"run": "r", "devices": devices}), encoding="utf-8")
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in JOURNAL), encoding="utf-8")
    (tmp_path / "metrics.csv").write_text(METRICS, encoding="utf-8")
    for name, text in (("server", SERVER), ("slow", SLOW), ("fast", FAST)):
        course = tmp_path / "collected" / name / "course"
        course.mkdir(parents=True)
        (course / "activity.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def of(report: dict[str, Any], device: str, number: int) -> dict[str, Any]:
    rows = [row for row in report["device_rounds"] if (row["device"], row["round"]) == (device, number)]
    assert len(rows) == 1
    return rows[0]


def test_the_parts_of_a_round_add_up_to_it(folder: Path) -> None:
    report = write_report(folder)
    slow, fast = of(report, "slow", 1), of(report, "fast", 1)
    parts = ("download_seconds", "handling_seconds", "compute_seconds", "upload_seconds", "waiting_seconds")
    assert [slow[part] for part in parts] == [1.0, 0.75, 3.0, 2.25, 0.5]
    assert [fast[part] for part in parts] == [0.5, 0.0, 1.0, 0.4, 5.6]
    first = report["rounds"][0]
    assert first["training_seconds"] == sum(slow[part] for part in parts) == sum(fast[part] for part in parts) == 7.5
    assert (first["aggregation_seconds"], first["evaluation_seconds"], first["seconds"]) == (0.2, 0.5, 8.8)
    assert (slow["evaluation_seconds"], fast["evaluation_seconds"]) == (None, 0.25)
    assert (slow["model_bytes"], slow["update_bytes"]) == (499, 510)
    assert (slow["sent_at"], slow["delivered_at"]) == (0.5, 7.5)


def test_who_was_last_and_by_how_much(folder: Path) -> None:
    report = write_report(folder)
    first, second = report["rounds"]
    assert (first["slowest"], first["behind_seconds"], first["participants"], first["updates"]) == ("slow", 5.0, 2, 2)
    assert (second["slowest"], second["behind_seconds"], second["updates"]) == ("slow", 4.5, 1)
    assert (of(report, "slow", 1)["straggler"], of(report, "fast", 1)["straggler"]) == (True, False)
    devices = report["devices"]
    assert (devices["slow"]["straggler_rounds"], devices["slow"]["straggler_share"]) == (2, 1.0)
    assert (devices["slow"]["behind_seconds"], devices["fast"]["behind_seconds"]) == (9.5, 0.0)
    assert "Straggler: slow was last in 2 of its 2 rounds, on average 4.75 s after the one before it." in (
        describe_findings(report)
    )
    assert (devices["fast"]["straggler_rounds"], devices["fast"]["mean_compute_seconds"]) == (0, 1.0)
    assert devices["server"]["rounds"] is None


def test_a_late_update_waits_for_nobody(folder: Path) -> None:
    report = write_report(folder)
    row = of(report, "slow", 2)
    assert (row["update"], row["waiting_seconds"], row["upload_seconds"]) == ("late", 0.0, 2.0)
    assert report["rounds"][1]["late_updates"] == 1
    assert report["devices"]["slow"]["late_updates"] == 1
    assert any("1 round was aggregated at the deadline, without 1 update that" in note for note in report["notes"])


def test_a_late_evaluation_is_not_a_late_update(folder: Path) -> None:
    path = folder / "collected" / "server" / "course" / "activity.jsonl"
    more = (
        '{"t": 108.4, "what": "received", "kind": "metrics", "round": 0, "peer": 2, "bytes": 90}\n'
        '{"t": 108.4, "what": "late", "round": 0, "peer": 2}\n'
    )
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    report = write_report(folder)
    assert (of(report, "fast", 1)["update"], report["devices"]["fast"]["late_updates"]) == ("used", 0)


def test_throttled_time_by_round_is_interpolated_between_samples(folder: Path) -> None:
    report = write_report(folder)
    # From 100 s to 110 s the counter grows by 5, from 110 s to the aggregation's end at 114.2 s by 0.42.
    assert (of(report, "slow", 1)["throttled_seconds"], of(report, "slow", 2)["throttled_seconds"]) == (5.0, 0.42)
    assert of(report, "fast", 1)["throttled_seconds"] is None
    assert report["devices"]["slow"]["packets_dropped"] == 5


def test_a_lost_client(folder: Path) -> None:
    report = write_report(folder)
    lost = {"device": "slow", "reason": "no news for 60 s", "oom_killed": False, "t": 118.0}
    assert (report["status"], report["lost_clients"]) == ("finished", [lost])
    slow = report["devices"]["slow"]
    assert (slow["state"], slow["lost"], slow["exit_code"], slow["error"]) == ("lost", True, 137, "no news for 60 s")
    assert report["devices"]["fast"]["lost"] is False


def test_tables_have_what_the_report_has(folder: Path) -> None:
    report = write_report(folder)
    with (folder / "device_rounds.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows == [
        {key: "" if value is None else str(value) for key, value in row.items()} for row in report["device_rounds"]
    ]
    with (folder / "devices.csv").open(encoding="utf-8", newline="") as stream:
        slow = next(row for row in csv.DictReader(stream) if row["device"] == "slow")
    assert slow["mean_compute_seconds"] == str(report["devices"]["slow"]["mean_compute_seconds"]) == "3.25"


@pytest.mark.parametrize("missing", ["server", "slow", "fast"])
def test_one_participant_without_activity(folder: Path, missing: str) -> None:
    (folder / "collected" / missing / "course" / "activity.jsonl").unlink()
    report = write_report(folder)
    if missing == "server":
        assert report["device_rounds"] == []
        return
    row = of(report, missing, 1)
    assert (row["download_seconds"], row["compute_seconds"], row["upload_seconds"]) == (None, None, None)
    assert row["delivered_at"] is not None
    other = "fast" if missing == "slow" else "slow"
    assert of(report, other, 1)["compute_seconds"] is not None


def test_a_participant_that_was_started_again_goes_on_in_another_folder(folder: Path) -> None:
    course = folder / "collected" / "fast" / "course"
    before = write_report(folder)["device_rounds"]
    lines = (course / "activity.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    for name, part in ((".", lines[:3]), ("sub_exp_20261130113511", lines[3:5]), ("sub_exp_20261130113512", lines[5:])):
        (course / name).mkdir(exist_ok=True)
        (course / name / "activity.jsonl").write_text("".join(part), encoding="utf-8")
    assert write_report(folder)["device_rounds"] == before


@pytest.mark.parametrize(
    "damage",
    ['{"t": 1e999, "what": "train"}', "[" * 100_000, '{"t": "x"}', '{"t": 1, "what": 3, "round": "a"}', "\x00", "{}"],
)
def test_damaged_activity_costs_only_its_line(folder: Path, damage: str) -> None:
    path = folder / "collected" / "fast" / "course" / "activity.jsonl"
    before = write_report(folder)["device_rounds"]
    path.write_text(f"{damage}\n{path.read_text(encoding='utf-8')}{damage}", encoding="utf-8")
    assert write_report(folder)["device_rounds"] == before


def test_a_model_sent_twice_in_a_round_is_two_tasks(folder: Path) -> None:
    path = folder / "collected" / "server" / "course" / "activity.jsonl"
    again = '{"t": 105.0, "what": "send", "kind": "model_para", "round": 0, "peer": 2, "bytes": 500}\n'
    path.write_text(path.read_text(encoding="utf-8") + again, encoding="utf-8")
    rows = [row for row in write_report(folder)["device_rounds"] if (row["device"], row["round"]) == ("fast", 1)]
    assert [(row["sent_at"], row["update"]) for row in rows] == [(0.6, "used"), (5.5, "none")]


# Client 1 (slow) answers the model of the first round when the second one is aggregated; fast's update of the second
# round is used by it, too, and what both send later is used by nobody.
ASYNCHRONOUS = """
{"t": 100.0, "what": "send", "kind": "model_para", "round": 0, "peer": 1, "bytes": 500}
{"t": 100.0, "what": "send", "kind": "model_para", "round": 0, "peer": 2, "bytes": 500}
{"t": 102.0, "what": "received", "kind": "model_para", "round": 0, "peer": 2, "bytes": 510}
{"t": 102.1, "what": "aggregate", "round": 0}
{"t": 102.2, "what": "aggregated", "round": 0}
{"t": 102.2, "what": "used", "round": 0, "peer": 2, "staleness": 0}
{"t": 103.0, "what": "send", "kind": "model_para", "round": 1, "peer": 2, "bytes": 500}
{"t": 107.0, "what": "received", "kind": "model_para", "round": 0, "peer": 1, "bytes": 510}
{"t": 107.1, "what": "send", "kind": "model_para", "round": 1, "peer": 1, "bytes": 500}
{"t": 112.0, "what": "received", "kind": "model_para", "round": 1, "peer": 2, "bytes": 510}
{"t": 112.1, "what": "aggregate", "round": 1}
{"t": 112.2, "what": "aggregated", "round": 1}
{"t": 112.2, "what": "used", "round": 0, "peer": 1, "staleness": 1}
{"t": 112.2, "what": "used", "round": 1, "peer": 2, "staleness": 0}
{"t": 112.3, "what": "send", "kind": "model_para", "round": 2, "peer": 2, "bytes": 500}
{"t": 116.5, "what": "received", "kind": "model_para", "round": 1, "peer": 1, "bytes": 510}
{"t": 116.6, "what": "unused", "round": 1, "peer": 1, "staleness": 1}
"""


def asynchronous(folder: Path) -> dict[str, Any]:
    (folder / "collected" / "server" / "course" / "activity.jsonl").write_text(ASYNCHRONOUS, encoding="utf-8")
    files = folder / "inventory" / "device_files" / "local.json"
    content = json.loads(files.read_text(encoding="utf-8"))
    files.write_text(json.dumps({**content, "course": {"total_rounds": 2}}), encoding="utf-8")
    journal = [event for event in JOURNAL if event["event"] != "update_late"]
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in journal), encoding="utf-8")
    return write_report(folder)


def test_an_update_belongs_to_the_aggregation_that_took_it(folder: Path) -> None:
    report = asynchronous(folder)
    found = [
        (row["device"], row["round"], row["update"], row["aggregated_round"], row["staleness"])
        for row in report["device_rounds"]
    ]
    assert sorted(found) == [
        ("fast", 1, "used", 1, 0),
        ("fast", 2, "used", 2, 0),
        ("slow", 1, "used", 2, 1),
        ("slow", 2, "unused", None, 1),
    ]
    assert [(entry["updates"], entry["unused_updates"], entry["mean_staleness"]) for entry in report["rounds"]] == [
        (1, 0, 0.0),
        (2, 1, 0.5),
    ]


def test_participation_and_staleness_of_each_device(folder: Path) -> None:
    devices = asynchronous(folder)["devices"]
    keys = ("used_updates", "unused_updates", "late_updates", "participation_share", "mean_staleness")
    assert [devices["slow"][key] for key in keys] == [1, 1, 0, 0.5, 1.0]
    assert [devices["fast"][key] for key in keys] == [2, 0, 0, 1.0, 0.0]
    assert devices["slow"]["largest_staleness"] == 1


def test_a_client_that_was_never_asked_took_part_in_no_round() -> None:
    facts = describe_devices([], 4, ["idle"])["idle"]
    keys = ("rounds", "used_updates", "unused_updates", "late_updates", "participation_share", "mean_staleness")
    assert [facts[key] for key in keys] == [0, 0, 0, 0, 0.0, None]
    assert describe_devices([], 0, ["idle"]) == {}, "nothing is known of the rounds"


def test_a_model_that_is_sent_after_the_last_round_begins_no_round(folder: Path) -> None:
    assert [entry["round"] for entry in asynchronous(folder)["rounds"]] == [1, 2]


def test_an_update_whose_round_was_never_aggregated_is_unused(folder: Path) -> None:
    path = folder / "collected" / "server" / "course" / "activity.jsonl"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if '"aggregat' not in line]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert of(write_report(folder), "fast", 1)["update"] == "unused"


def test_what_the_control_node_knew_survives_another_report(folder: Path) -> None:
    write_report(folder)
    (folder / "inventory" / "device_files" / "local.json").unlink()
    assert write_report(folder)["devices"]["slow"]["role"] == "client"


def test_labels(folder: Path) -> None:
    labels = {
        "classes": ["cat", "dog"],
        "split": "iid",
        "devices": {"slow": {"train": {"cat": 3, "dog": "x", "eel": 1}}},
    }
    (folder / "participants").mkdir()
    (folder / "participants" / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    found = write_report(folder)["labels"]
    assert found["classes"] == ["cat", "dog", "eel"]
    assert found["devices"] == {"slow": {"train": {"cat": 3, "eel": 1}}}
    assert (folder / "labels.csv").read_text(encoding="utf-8").splitlines()[1] == "slow,train,cat,3"

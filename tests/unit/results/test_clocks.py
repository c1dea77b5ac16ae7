"""Times of a lab host whose clock is wrong, on that of the server's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.contract.events import ClockMeasured
from fedsim_runner.results import write_report
from fedsim_runner.results.clocks import HostClock, describe_clocks
from fedsim_runner.results.link_counters import read_link_counters
from fedsim_runner.results.run_files import read_journal
from fedsim_runner.results.samples import read_samples

CLOCK = HostClock.of(
    [ClockMeasured("lab1", 10.0, 0.001, t=100.0), ClockMeasured("lab1", 12.0, 0.002, t=200.0)],
)
BEHIND_S = 100.0  # lab2's clock


@pytest.mark.parametrize(
    ("moment", "offset"), [(0.0, 10.0), (100.0, 10.0), (150.0, 11.0), (200.0, 12.0), (900.0, 12.0)]
)
def test_offsets_are_interpolated(moment: float, offset: float) -> None:
    assert CLOCK.offset_s(moment) == pytest.approx(offset)
    assert CLOCK.correct(moment) == pytest.approx(moment + offset)


def test_a_clock_that_was_never_measured_is_taken_as_it_is() -> None:
    assert HostClock().correct(7.0) == 7.0
    assert HostClock.of([ClockMeasured(t=1.0)]).is_right


def test_far_and_uncertain_clocks_are_named() -> None:
    unsure = HostClock(((1.0, 0.001),), 0.02)
    notes = describe_clocks({"": HostClock(), "lab2": CLOCK, "lab3": unsure}, "lab1")
    assert [note.split(" d")[0].split(" is ")[0] for note in notes] == [
        "the clock of lab host lab2",
        "the clock of lab host lab3",
    ]
    assert "up to 12.000 s" in notes[0]
    assert "only to 20.0 ms" in notes[1]


def lines(*events: dict[str, Any]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run whose server is on lab1, and a client on lab2, whose clock is late."""
    other = tmp_path / "agents" / "lab2"
    (tmp_path / "inventory" / "device_files").mkdir(parents=True)
    other.mkdir(parents=True)
    for host, name, role in (("lab1", "server", "server"), ("lab2", "pi-1", "client")):
        device = {"name": name, "role": role, "index": int(role == "client")}
        content = {"lab_host": host, "devices": [device], "course": {"total_rounds": 1}}
        (tmp_path / "inventory" / "device_files" / f"{host}.json").write_text(json.dumps(content))
    (tmp_path / "journal.jsonl").write_text(
        lines(
            {"t": 1000.0, "event": "gate_opened", "open_at": 1000.0, "lab_host": "lab1"},
            {"t": 1000.5, "event": "device_joined", "device": "pi-1", "client_id": 1, "lab_host": "lab1"},
            {"t": 1001.0, "event": "round_started", "round": 1, "lab_host": "lab1"},
            {"t": 1009.0, "event": "evaluated", "round": 1, "results": {"test_acc": 0.5}, "lab_host": "lab1"},
            {"t": 1010.0, "event": "course_finished", "rounds": 1, "results": {}, "lab_host": "lab1"},
        )
    )
    (other / "journal.jsonl").write_text(
        lines(
            {"t": 899.0, "event": "clock_measured", "host": "lab1", "offset_s": BEHIND_S, "bound_s": 0.0002},
            {"t": 900.0, "event": "gate_opened", "open_at": 900.0},
            {"t": 910.1, "event": "outcome_received", "status": "finished"},
        )
    )
    header = "t,device,memory_bytes,tx_bytes,rx_bytes,cpu_seconds,throttled_seconds,rx_dropped\n"
    (other / "metrics.csv").write_text(f"{header}901.0,pi-1,1000,10,20,0.1,0.0,0\n909.0,pi-1,1500,90,80,0.9,0.4,3\n")
    (other / "link_counters.csv").write_text(
        "t,device,direction,seconds,bytes,overflowed,backlog_bytes\n905.0,pi-1,up,1.0,500,2,7\n"
    )
    activity = tmp_path / "collected"
    for name, steps in {
        "server": [(1001.0, "send", 1), (1001.1, "sent", 1), (1008.0, "received", 1)],
        "pi-1": [(901.5, "received", 0), (902.0, "train", None), (907.0, "trained", None), (907.1, "send", 0)],
    }.items():
        path = activity / name / "course"
        path.mkdir(parents=True)
        kinds = {"send", "sent", "received"}
        text = lines(
            *(
                {"t": t, "what": what, "round": 0, "peer": peer} | ({"kind": "model_para"} if what in kinds else {})
                for t, what, peer in steps
            )
        )
        (path / "activity.jsonl").write_text(text)
    return tmp_path


def test_everything_of_the_other_lab_host_is_on_the_servers_clock(folder: Path) -> None:
    opened = [event.t for event in read_journal(folder) if event.name == "gate_opened"]
    assert opened == [1000.0, 1000.0]
    assert read_samples(folder)["pi-1"].times.tolist() == [1001.0, 1009.0]
    assert read_link_counters(folder)["pi-1", "up"].times.tolist() == [1005.0]


def test_a_device_of_the_other_lab_host_is_as_full_as_one_of_the_first(folder: Path) -> None:
    report = write_report(folder)
    assert (report["status"], report["duration_s"]) == ("finished", 10.0)
    device = report["devices"]["pi-1"]
    assert (device["client_id"], device["bytes_up"], device["packets_dropped"]) == (1, 90, 3)
    (row,) = report["device_rounds"]
    found = [row[f"{part}_seconds"] for part in ("download", "compute", "upload", "handling")]
    assert found == pytest.approx([0.5, 5.0, 0.9, 0.6])
    assert row["throttled_seconds"] is not None
    assert any("clock of lab host lab2 differed by up to 100.000 s" in note for note in report["notes"])

"""Reading link_counters.csv: every whole line counts, lab hosts add up, and rates are those of the times they cover."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fedsim_runner.api import open_run
from fedsim_runner.results import write_report
from fedsim_runner.results.figures.spans import find_spans
from fedsim_runner.results.figures.throughput import MAX_PANELS, draw_throughput, read_throughput
from fedsim_runner.results.link_counters import find_largest_backlogs, read_link_counters
from tests.unit.results.synthetic import BEGAN, write_run

HEADER = "t,device,direction,seconds,bytes,packets,lost,overflowed,backlog_bytes\n"


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_rates_are_those_of_the_seconds_that_a_line_covers(tmp_path: Path) -> None:
    write(
        tmp_path / "link_counters.csv", "11,pi,up,1,1000,9,0,0,0", "14,pi,up,2,4000,9,0,0,7", "11,pi,down,1,5,1,0,0,0"
    )
    up = read_link_counters(tmp_path)["pi", "up"]
    assert up.rates_bps(np.array([10.0, 11.0, 12.0, 13.0, 14.0, 15.0])).tolist() == [8000, 0, 16000, 16000, 0]
    assert up.rates_bps(np.array([9.0, 11.0, 13.0])).tolist() == [4000, 8000]
    assert find_largest_backlogs(read_link_counters(tmp_path)) == {("pi", "up"): 7, ("pi", "down"): 0}


def test_what_several_lab_hosts_counted_of_an_uplink_adds_up(tmp_path: Path) -> None:
    write(tmp_path / "link_counters.csv", "12,pi,up,1,1000,9,0,0,50")
    write(tmp_path / "agents" / "far" / "link_counters.csv", "11.5,pi,up,1,2000,9,0,0,20")
    up = read_link_counters(tmp_path)["pi", "up"]
    assert up.times.tolist() == [11.5, 12.0]
    assert up.rates_bps(np.array([10.5, 11.0, 11.5, 12.0])).tolist() == [16000, 24000, 8000]
    assert find_largest_backlogs({("pi", "up"): up}) == {("pi", "up"): 50}


def test_what_is_no_whole_line_does_not_count(tmp_path: Path) -> None:
    good = "11,pi,up,1,1000,9,0,2,0"
    odd = ("12,pi,up,1,10", "12,,up,1,1,1,0,0,0", "12,pi,sideways,1,1,1,0,0,0", "12,pi,up,nan,1,1,0,0,0")
    worse = ("x,pi,up,1,1,1,0,0,0", "12,pi,up,0,1,1,0,0,0", "12,pi,up,1,-1,1,0,0,0", "12,pi,up,1,inf,1,0,0,0", "")
    write(tmp_path / "link_counters.csv", *odd, good, *worse)
    ((key, found),) = read_link_counters(tmp_path).items()
    assert key == ("pi", "up") and found.bytes.tolist() == [1000] and found.overflowed.tolist() == [2]
    for content in (b"", b"nonsense", HEADER.encode(), b"\xff\x00,\n"):
        (tmp_path / "link_counters.csv").write_bytes(content)
        assert read_link_counters(tmp_path) == {}


def test_neighbouring_bins_are_one_span() -> None:
    edges = np.arange(6.0)
    assert find_spans(np.array([True, True, False, False, True]), edges) == [(0.0, 2.0), (4.0, 5.0)]
    assert find_spans(np.zeros(5, dtype=bool), edges) == []


def test_a_figure_has_rates_queues_and_drops_in_their_time(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rounds=30)
    report = write_report(run)
    found = read_throughput(run, report)
    assert found is not None and list(found.devices) == list(report["devices"])
    client = found.devices["smartphone-low-2"]
    assert max(client.rates["up"]) == pytest.approx(80_000) and max(client.rates["down"]) == pytest.approx(160_000)
    assert np.sum(client.rates["up"] * np.diff(found.edges)) == pytest.approx(80_000 * 30, rel=0.1)
    # Those of the seconds that end every tenth second.
    ends = [end for _, end in find_spans(client.dropped["up"], found.edges)]
    assert len(ends) > 3 and ends == pytest.approx([10 * number for number in range(len(ends))], abs=1)
    assert not client.dropped["down"].any() and not client.waited["down"].any()
    assert set(found.devices["server"].rates) == {"up"}


@pytest.mark.drawing
@pytest.mark.parametrize("clients", [3, MAX_PANELS])
def test_the_figure_has_edges_after_the_devices(tmp_path: Path, clients: int) -> None:
    run = write_run(tmp_path / "run", clients=clients)
    counted = {"event": "link_counted", "t": BEGAN + 20, "device": "eu - us", "direction": "up", "packets": 60}
    with (run / "journal.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({**counted, "rate_asked_bps": 1_000_000, "bytes": 50_000}) + "\n")
    with (run / "link_counters.csv").open("a", encoding="utf-8") as stream:
        stream.write(f"{BEGAN + 5:.3f},eu - us,up,1.000,10000,12,0,0,0\n")
    report = write_report(run)
    found = read_throughput(run, report)
    assert found is not None and list(found.devices)[-1] == "eu - us" and "eu - us" not in report["devices"]
    drawn = draw_throughput(report, found)
    assert drawn is not None and "and each edge" in drawn.caption


@pytest.mark.drawing
@pytest.mark.parametrize("clients", [3, MAX_PANELS])
def test_the_figure_says_where_packets_were_dropped(tmp_path: Path, clients: int) -> None:
    run = write_run(tmp_path / "run", clients=clients)
    report = write_report(run)
    drawn = draw_throughput(report, read_throughput(run, report))
    assert drawn is not None and "dropped packets" in drawn.caption
    assert drawn.svg.startswith("<svg") and drawn.narrow_svg.startswith("<svg")
    assert draw_throughput(report, None) is None


def test_the_report_and_the_api_have_the_same_numbers(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    counted = {"event": "link_counted", "t": BEGAN + 20, "device": "smartphone-low-2", "direction": "up", "packets": 60}
    with (run / "journal.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({**counted, "lost": 0, "overflowed": 3, "bytes": 50_000}) + "\n")
    (row,) = write_report(run)["links"]
    assert (row["course_overflowed"], row["course_backlog_bytes"]) == (3, 2048)
    assert "2048" in (run / "links.csv").read_text(encoding="utf-8")
    rows = open_run(run).link_counters.where(device="smartphone-low-2", direction="up")
    assert max(rows.column("backlog_bytes")) == 2048

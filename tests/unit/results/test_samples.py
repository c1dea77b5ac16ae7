"""Reading metrics.csv: every value that is known counts, whatever else is in the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.results import samples
from fedsim_runner.results.samples import read_samples

HEADER = (
    "t,device,memory_bytes,memory_peak_bytes,cpu_seconds,throttled_seconds,oom_kills,"
    "rx_bytes,rx_packets,rx_dropped,tx_bytes,tx_packets,tx_dropped"
)
LINES = """
1.0,a,10,30,0.5,0.1,0,100,1,0,200,2,1
1.0,b,,,0.25,,0,5,1,,6,1,
2.0,a,20,,0.75,0.2,1,90,1,2,300,2,1
2.0,b,nan,inf,many,0.5
"3.0","c,d",1
2.5,a,15,25,1.0,0.3,1,110,1,2,310,2,1
"""


@pytest.mark.parametrize("at_once", [2, 50_000])
def test_columns_and_largest_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(samples, "LINES_AT_ONCE", at_once)
    (tmp_path / "metrics.csv").write_text(HEADER + LINES, encoding="utf-8")
    found = read_samples(tmp_path)
    assert list(found) == ["a", "b", "c,d"]
    assert found["a"].times.tolist() == [1.0, 2.0, 2.5]
    assert found["a"].memory.tolist() == [10, 20, 15]
    assert found["a"].throttled.tolist() == [0.1, 0.2, 0.3]
    assert found["a"].largest == {
        "tx_bytes": 310, "rx_bytes": 110, "cpu_seconds": 1.0, "throttled_seconds": 0.3, "oom_kills": 1,
        "memory_peak_bytes": 30, "packets_dropped": 3,
    }  # fmt: skip
    assert found["b"].largest == {
        "tx_bytes": 6, "rx_bytes": 5, "cpu_seconds": 0.25, "throttled_seconds": 0.5, "oom_kills": 0
    }  # fmt: skip
    assert [str(value) for value in found["b"].cpu] == ["0.25", "nan"]
    assert found["c,d"].largest == {"memory_peak_bytes": 1}


@pytest.mark.parametrize("at_once", [1, 2, 50_000])
def test_counters_go_on_where_a_device_was_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(samples, "LINES_AT_ONCE", at_once)
    lines = [
        "device,t,memory_bytes,cpu_seconds,rx_bytes,tx_bytes,tx_dropped",
        "a,1,50,0.5,100,1000,1",
        "b,1,50,0.5,100,1000,1",
        "a,2,60,0.75,200,2000,1",
        "a,3,20,0.125,10,20,0",  # started again
        "b,3,50,0.5,9,1001,1",  # one figure is cut
        "a,4,20,0.25,30,40,1",
        "a,5,20,0.125,,5,0",  # and again
    ]
    (tmp_path / "metrics.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = read_samples(tmp_path)
    assert found["a"].cpu.tolist() == [0.5, 0.75, 0.875, 1.0, 1.125]
    assert found["a"].memory.tolist() == [50, 60, 20, 20, 20]
    assert found["a"].largest == {
        "cpu_seconds": 1.125, "rx_bytes": 230, "tx_bytes": 2045, "memory_peak_bytes": 60, "packets_dropped": 2
    }  # fmt: skip
    assert found["a"].earlier == {"cpu_seconds": 1.0, "rx_bytes": 230, "tx_bytes": 2040, "tx_dropped": 2}
    assert found["b"].earlier == {} and found["b"].largest["rx_bytes"] == 100


def test_all_lab_hosts_count(tmp_path: Path) -> None:
    for folder, device in ((tmp_path, "a"), (tmp_path / "agents" / "lab2", "b")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.csv").write_text(f"device,t,tx_bytes\n{device},1,7\n", encoding="utf-8")
    assert {name: one.largest for name, one in read_samples(tmp_path).items()} == {
        "a": {"tx_bytes": 7},
        "b": {"tx_bytes": 7},
    }


def test_nothing_to_read(tmp_path: Path) -> None:
    assert read_samples(tmp_path) == {}
    for content in ("", "\n\n", "nonsense\n1\n", f"{HEADER}\n", f"{HEADER}\n\n1.0,,5\n"):
        (tmp_path / "metrics.csv").write_text(content, encoding="utf-8")
        assert read_samples(tmp_path) == {}


@pytest.mark.drawing
def test_figures_of_usage_begin_when_the_gate_opens(tmp_path: Path) -> None:
    from fedsim_runner.results.figures.resource_usage import read_usage

    lines = "".join(f"{t},a,{t}0,{t},0.1\n" for t in range(100, 120))
    (tmp_path / "metrics.csv").write_text(f"t,device,memory_bytes,cpu_seconds,throttled_seconds\n{lines}", "utf-8")
    report = {"devices": {"a": {}}, "began": 110.0, "startup_s": 4.0}
    assert read_usage(tmp_path, report)["a"].seconds.tolist() == [float(second) for second in range(-4, 10)]
    assert len(read_usage(tmp_path, {**report, "startup_s": None})["a"].seconds) == 20

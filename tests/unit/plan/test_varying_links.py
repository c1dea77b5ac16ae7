"""Links that vary, in the plan: where each device begins, what is said, and what the agents get."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.contract.device_file import DeviceFile
from fedsim_runner.inventory import build_inventory
from fedsim_runner.lab.host import LabHost
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.plan_data import plan_as_dict
from fedsim_runner.spec.load import parse_draft

FILE = """
name: varying
seed: {seed}
network:
  profiles:
    bus: {{based_on: 4g, trace: {{file: bus.csv, {how}}}}}
    roaming: {{states: {{good: 4g-good, bad: 4g-bad}}, dwell_s: {{good: 30, bad: 10}}}}
devices:
  - {{type: edge-server, role: server}}
  - {{type: smartphone-low, name: rider, count: 3, network: bus}}
  - {{type: smartphone-low, name: roamer, network: roaming}}
  - {{type: smartphone-low, name: steady}}
"""
TRACE = "time_s,rate_up_kbps\n0,1000\n30,2000\n60,6000\n"
HOST = LabHost("here", cpus=8, memory_bytes=2**36, arch="amd64")


def plan_of(folder: Path, seed: int = 7, trace: str = TRACE, how: str = "offset: random") -> Plan:
    (folder / "bus.csv").write_text(trace)
    return make_plan(parse_draft(FILE.format(seed=seed, how=how), folder / "exp.yaml").finish(), [HOST], "run")


def device_file(plan: Plan) -> DeviceFile:
    return build_inventory(plan).device_files["here"]


def test_estimates_count_with_the_means(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    links = {item.device.name: item.device.network.links for item in plan.placed}
    assert links["rider-1"].up.rate_bps == 3_000_000
    assert links["rider-1"].down == links["steady"].down
    assert links["roamer"].up.rate_bps == (13_700_000 * 3 + 1_500_000) // 4 // 1000 * 1000


def test_a_track_is_there_once_and_each_device_begins_at_its_own_place(tmp_path: Path) -> None:
    found = device_file(plan_of(tmp_path))
    assert len(found.tracks) == 2
    devices = {device.name: device for device in found.devices}
    places = [devices[f"rider-{number}"].variation for number in (1, 2, 3)]
    offsets = [one.offset_ms for one in places if one is not None]
    assert len(set(offsets)) == 3
    for number, offset in enumerate(offsets, 1):
        expected = 1_000_000 if offset < 30_000 else 2_000_000 if offset < 60_000 else 6_000_000
        assert devices[f"rider-{number}"].link.up.rate_bps == expected
    assert devices["steady"].variation is None and devices["steady"].link.up.rate_bps == 12_000_000
    assert found == device_file(plan_of(tmp_path)) != device_file(plan_of(tmp_path, seed=8))


def test_the_plan_says_how_links_vary(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    (trace,) = [note for note in plan.notes if "follows a trace" in note]
    assert trace.startswith("rider-1, rider-2, rider-3: ")
    assert "of 90 s again and again, from anywhere in it (up 1 Mbit/s to 6 Mbit/s, median 2 Mbit/s)" in trace
    assert any("roamer: the link moves between states (good 75%, bad 25% of the time)" in note for note in plan.notes)
    data = {device["name"]: device for device in plan_as_dict(plan)["devices"]}
    assert data["rider-1"]["varying"]["rates_bps"] == {"up": [1_000_000, 2_000_000, 6_000_000], "down": None}
    assert "varying" not in data["steady"]


@pytest.mark.parametrize(("kbps", "named"), [(50, True), (1000, False)])
def test_rates_so_low_that_a_queue_outlasts_them_are_named(tmp_path: Path, kbps: int, named: bool) -> None:
    plan = plan_of(tmp_path, trace=f"time_s,rate_up_kbps\n0,{kbps}\n1,9000\n")
    assert any("at the lowest rate a full queue" in note for note in plan.notes) is named


def test_for_how_long_nothing_passes_is_noted(tmp_path: Path) -> None:
    trace = "time_s,rate_up_kbps,rate_down_kbps\n0,1000,5000\n30,0,6000\n60,2000,0\n75,1000,5000\n90,3000,4000\n"
    notes = plan_of(tmp_path, trace=trace).notes
    assert any("nothing passes up 29% and down 14% of the time)" in note for note in notes), notes
    assert not any("nothing passes" in note for note in plan_of(tmp_path).notes)


@pytest.mark.parametrize(
    ("offset", "rate_bps", "rates_bps"),
    [(0, 3_000_000, [1_000_000, 2_000_000, 6_000_000]), (45, 4_667_000, [2_000_000, 6_000_000, 6_000_000])],
)
def test_of_a_trace_that_is_played_once_what_lies_before_the_beginning_does_not_count(
    tmp_path: Path, offset: int, rate_bps: int, rates_bps: list[int]
) -> None:
    plan = plan_of(tmp_path, how=f"loop: false, offset: {offset}")
    rider = next(device for device in plan_as_dict(plan)["devices"] if device["name"] == "rider-1")
    assert rider["link"]["up"]["rate_bps"] == rate_bps
    assert rider["varying"]["rates_bps"]["up"] == rates_bps
    (note,) = [note for note in plan.notes if "follows a trace" in note]
    assert f"of 90 s once, from {offset} s on, and then keeps its last values (up " in note


def test_of_two_traces_that_are_played_once_the_one_that_is_over_keeps_its_last_rate(tmp_path: Path) -> None:
    (tmp_path / "short.up").write_text("\n".join(str(ms) for ms in (*range(0, 200), *range(200, 401, 10))) + "\n")
    (tmp_path / "long.down").write_text("\n".join(str(ms) for ms in range(0, 90_001, 10)) + "\n")
    text = FILE.format(seed=7, how="").replace(
        "file: bus.csv, ", "up: short.up, down: long.down, loop: false, offset: 9"
    )
    plan = make_plan(parse_draft(text, tmp_path / "exp.yaml").finish(), [HOST], "run")
    links = {item.device.name: item.device.network.links for item in plan.placed}
    assert links["rider-1"].up.rate_bps == links["rider-1"].down.rate_bps == 1_211_000


def test_lengths_that_read_alike_are_named_once(tmp_path: Path) -> None:
    for way, last in (("up", 20_001), ("down", 20_003)):
        (tmp_path / way).write_text(f"1\n{last}\n")
    text = FILE.format(seed=7, how="loop: true").replace("file: bus.csv", "up: up, down: down")
    plan = make_plan(parse_draft(text, tmp_path / "exp.yaml").finish(), [HOST], "run")
    (note,) = [note for note in plan.notes if "rider" in note and "follows" in note]
    assert "a trace of 20 s again and again" in note

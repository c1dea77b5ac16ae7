"""Dilated time: the inventory has every time and rate of the plan by the lab hosts' clocks, and all else as it is."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from fedsim_runner.contract.device_file import DeviceFile
from fedsim_runner.contract.link import Link, Queue
from fedsim_runner.contract.link_variation import Track, course_of, walk
from fedsim_runner.contract.queue_size import buffer_bytes
from fedsim_runner.contract.time_scale import TimeScale
from fedsim_runner.contract.timeline import describe_change, describe_time, in_device_time
from fedsim_runner.contract.typed_json import dump
from fedsim_runner.inventory import build_inventory
from fedsim_runner.lab.host import LabHost
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.placement_error import PlacementError
from fedsim_runner.plan.plan_data import plan_as_dict
from fedsim_runner.plan.wall_time import link_in_wall_time, plan_in_wall_time, track_in_wall_time
from fedsim_runner.results.device_time import convert_device
from fedsim_runner.spec.load import parse_draft

FILE = """
name: everything
seed: 7
time: {time}
cpu_factor: {factor}
network:
  profiles:
    slow: {{bandwidth_up_kbps: 64, bandwidth_down_kbps: 64, latency_ms: 100, jitter_ms: 10}}
    short: {{bandwidth_up_kbps: 8000, bandwidth_down_kbps: 8000, queue: {{buffer_ms: 50}}}}
    bytes: {{bandwidth_up_kbps: 8000, bandwidth_down_kbps: 8000, queue: {{buffer_bytes: 30000}}}}
    bus: {{based_on: 4g, trace: {{file: bus.csv, offset: random}}}}
    roaming: {{states: {{good: 4g-good, bad: 4g-bad}}, dwell_s: {{good: 30, bad: 10}}}}
device_types:
  box: {{cpus: 1, memory_mb: 512, network: gigabit, dockerfile: iot-minimal, write_mb_per_s: 2}}
devices:
  - {{type: box, name: server, role: server, region: eu}}
  - {{type: box, name: slow, network: slow, region: us}}
  - {{type: box, name: short, network: short, region: eu}}
  - {{type: box, name: bytes, network: bytes, region: eu}}
  - {{type: box, name: bus, network: bus, region: eu}}
  - {{type: box, name: roamer, network: roaming, region: eu, available: [[0, 100], [120, 500]]}}
regions: {{eu: {{us: {{latency_ms: 45}}}}}}
course: {{timeout: 600, silence_timeout: 60, round_deadline: 20, on_client_failure: continue}}
events:
  - {{at: 30, devices: [short], network: {{bandwidth_up_kbps: 1000}}, duration: 8}}
  - {{at: 40, devices: [slow], network: 2g}}
  - {{at: 50, devices: [bytes], load_kbps: 100}}
federatedscope:
  config:
    federate: {{total_round_num: 2}}
    model: {{type: lr, out_channels: 10}}
    criterion: {{type: CrossEntropyLoss}}
"""
TRACE = "time_s,rate_up_kbps,latency_ms\n0,1000,20\n30,2000,30\n60,6000,40\n"
HOST = LabHost("here", cpus=16, memory_bytes=2**36, arch="amd64")
EARLY = 0.25


def plan_of(folder: Path, time: str = "dilated", factor: float = EARLY) -> Plan:
    (folder / "bus.csv").write_text(TRACE)
    return make_plan(parse_draft(FILE.format(time=time, factor=factor), folder / "exp.yaml").finish(), [HOST], "run")


def file_of(plan: Plan) -> DeviceFile:
    return build_inventory(plan).device_files["here"]


@pytest.fixture(params=[EARLY, 0.5, 4.0])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[TimeScale, DeviceFile, DeviceFile]:
    """A factor, the device file of a run with it in dilated time, and that of one in real time."""
    dilated = file_of(plan_of(tmp_path, "dilated", request.param))
    return TimeScale(request.param), dilated, file_of(plan_of(tmp_path, "real", 1.0))


def test_links_have_the_rate_and_delay_of_wall_time_and_queues_of_as_many_bytes(both) -> None:
    scale, dilated, real = both
    for there, here in zip(real.devices, dilated.devices, strict=True):
        for way in ("up", "down"):
            device, wall = getattr(there.link, way), getattr(here.link, way)
            assert wall.rate_bps == pytest.approx(scale.rate(device.rate_bps))
            assert wall.delay_us == pytest.approx(scale.to_wall(device.delay_us), abs=1)
            assert wall.jitter_us == pytest.approx(scale.to_wall(device.jitter_us), abs=1)
            assert wall.loss == device.loss
            assert wall.discipline == device.discipline
            room = buffer_bytes(device.rate_bps, device.queue)
            assert buffer_bytes(wall.rate_bps, wall.queue) == pytest.approx(room, abs=2)


def test_the_network_between_regions_is_scaled(both) -> None:
    scale, dilated, real = both
    there, here = ({edge.name: edge.there.delay_us for edge in one.topology.edges} for one in (real, dilated))
    assert here == {name: pytest.approx(scale.to_wall(delay)) for name, delay in there.items()}


def test_limits_of_the_course_are_scaled_but_for_shares(both) -> None:
    scale, dilated, real = both
    for name in ("timeout_s", "silence_timeout_s", "round_deadline_s"):
        assert getattr(dilated.course, name) == pytest.approx(scale.to_wall(getattr(real.course, name)))
    assert dilated.course.round_grace == real.course.round_grace
    assert dilated.course.config == real.course.config


def test_events_and_absences_happen_at_their_device_time(both) -> None:
    scale, dilated, real = both
    assert len(dilated.timeline) == len(real.timeline) > 3
    for there, here in zip(real.timeline, dilated.timeline, strict=True):
        assert here.at_s == pytest.approx(scale.to_wall(there.at_s))
        assert here.duration_s == (None if there.duration_s is None else pytest.approx(scale.to_wall(there.duration_s)))
    rate, profile, load = real.timeline[0].up, real.timeline[1].up, real.timeline[2].up
    assert dilated.timeline[0].up.rate_bps == scale.rate(rate.rate_bps)
    assert dilated.timeline[1].up.to.rate_bps == scale.rate(profile.to.rate_bps)
    assert dilated.timeline[2].up.load_bps == scale.rate(load.load_bps)


def test_what_results_show_of_it_is_what_the_experiment_asks_for(both) -> None:
    scale, dilated, real = both
    shown = [
        [(describe_time(entry), describe_change(entry), entry.duration_s) for entry in entries]
        for entries in ((in_device_time(entry, scale) for entry in dilated.timeline), real.timeline)
    ]
    assert shown[0] == shown[1]
    for one, other in zip(dilated.devices, real.devices, strict=True):
        found, asked = convert_device(dump(one), scale), dump(other)
        assert found["cpus"] == asked["cpus"]
        for way in ("up", "down"):
            for key in ("rate_bps", "delay_us", "jitter_us", "loss"):
                assert found["link"][way][key] == pytest.approx(asked["link"][way][key])


def test_cpus_and_disks_are_scaled_and_memory_is_not(both) -> None:
    scale, dilated, real = both
    for there, here in zip(real.devices, dilated.devices, strict=True):
        assert here.cpus == pytest.approx(scale.rate(there.cpus))
        assert here.write_bps == scale.rate(there.write_bps)
        assert (here.memory_bytes, here.disk_bytes, here.pids) == (there.memory_bytes, there.disk_bytes, there.pids)


def test_a_link_on_a_trace_is_at_the_same_place_in_device_time(both) -> None:
    scale, dilated, real = both
    courses = [
        course_of(next(one.variation for one in found.devices if one.name == "bus"), found.tracks, found.seed, "bus")
        for found in (real, dilated)
    ]
    for seconds in (0.0, 7.0, 31.0, 64.0, 93.0, 121.0, 200.0):
        there, here = courses[0].at(seconds)[0].up, courses[1].at(scale.to_wall(seconds))[0].up
        assert here.rate_bps == pytest.approx(scale.rate(there.rate_bps))
        assert here.delay_us == pytest.approx(scale.to_wall(there.delay_us))


def test_a_link_between_states_changes_at_the_same_device_times(both) -> None:
    scale, dilated, real = both
    there, here = (
        list(islice(walk(next(one.variation for one in found.devices if one.name == "roamer").states, 7, "roamer"), 9))
        for found in (real, dilated)
    )
    assert [state.name for _, state in there] == [state.name for _, state in here]
    assert [at for at, _ in here] == pytest.approx([scale.to_wall(at) for at, _ in there])


def test_the_device_file_says_what_its_times_are(tmp_path: Path) -> None:
    found = file_of(plan_of(tmp_path))
    assert (found.time, found.time_factor) == ("dilated", EARLY)
    assert DeviceFile.from_dict(found.as_dict()).time_scale == TimeScale(EARLY)
    real = file_of(plan_of(tmp_path, "real"))
    assert (real.time, real.time_scale.is_real, real.cpu_factor) == ("real", True, EARLY)


def test_the_plan_is_in_device_time(tmp_path: Path) -> None:
    dilated, real = (plan_as_dict(plan_of(tmp_path, time)) for time in ("dilated", "real"))
    for key in ("server_paths", "timeline", "devices", "expected_traffic"):
        assert dilated[key] == real[key]
    assert (dilated["time"], dilated["time_factor"]) == ("dilated", EARLY)
    assert (real["time"], real["time_factor"]) == ("real", 1.0)
    assert any("a device second takes 4 wall seconds" in note for note in dilated["notes"])
    assert any("time: dilated scales both" in note for note in real["notes"])


def test_in_real_time_the_plan_is_what_the_inventory_is_made_from(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "real")
    assert plan_in_wall_time(plan) is plan


def test_a_budget_of_federatedscope_is_whole_wall_seconds(tmp_path: Path) -> None:
    text = FILE.format(time="dilated", factor=0.3) + "    asyn: {use: true, time_budget: 10, min_received_num: 1}\n"
    (tmp_path / "bus.csv").write_text(TRACE)
    experiment = parse_draft(text, tmp_path / "exp.yaml").experiment
    found = file_of(make_plan(experiment, [HOST], "run"))
    assert found.course.config["asyn"]["time_budget"] == 34
    assert experiment.config["asyn"]["time_budget"] == 10


def test_a_link_without_a_rate_stays_without() -> None:
    found = link_in_wall_time(Link(delay_us=100), TimeScale(0.1))
    assert (found.rate_bps, found.delay_us) == (None, 1000)


def test_a_queue_in_bytes_stays_and_its_discipline_has_more_patience() -> None:
    queue = Queue(buffer_bytes=30_000)
    assert link_in_wall_time(Link(rate_bps=10**6, queue=queue), TimeScale(0.1)).queue == queue
    codel = Queue(buffer_bytes=30_000, discipline="codel")
    found = link_in_wall_time(Link(rate_bps=10**6, queue=codel), TimeScale(0.1)).queue
    assert found == Queue(buffer_bytes=30_000, discipline="codel", target_us=50_000)


def test_of_steps_that_fall_together_the_last_one_counts() -> None:
    track = Track(at_ms=(0, 4, 6, 20), length_ms=30, rate_bps=(1000, 2000, 3000, 4000))
    found = track_in_wall_time(track, TimeScale(10.0))
    assert (found.at_ms, found.length_ms, found.rate_bps) == ((0, 1, 2), 3, (20_000, 30_000, 40_000))


def test_a_computed_factor_at_which_links_are_too_slow_is_refused_with_all_of_it(tmp_path: Path) -> None:
    text = FILE.format(time="dilated", factor=1).replace("cpu_factor: 1\n", "")
    text = text.replace("cpus: 1,", "cpus: 100,").replace("latency_ms: 100", "latency_ms: 2000")
    (tmp_path / "bus.csv").write_text(TRACE)
    experiment = parse_draft(text, tmp_path / "exp.yaml").finish()
    with pytest.raises(PlacementError, match="kernel forgets a connection") as caught:
        make_plan(experiment, [LabHost("here", cpus=6, memory_bytes=2**36, arch="amd64")], "run")
    assert "576 bit/s" in str(caught.value)
    assert "time: real" in str(caught.value)

"""Courses on lab hosts with kernels of their own: alone, and beside one that has none.

They have netem, and clocks of their own, which are seconds apart. ``make lab`` runs these, and ``make test`` does not:
images are built once and sent to two slow lab hosts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from fedsim_runner import api
from fedsim_runner.contract.events import ClockMeasured, parse_line
from tests.lab.lab_hosts import lab as labs
from tests.lab.lab_hosts import own_kernel
from tests.lab.lab_hosts.lab import Lab
from tests.lab.test_lab_course import ControlNode

pytestmark = [pytest.mark.own_kernels, pytest.mark.docker, pytest.mark.timeout(1500)]

COURSE = {
    "data": {"dataset": "digits", "split": "iid"},
    "course": {"timeout": 600, "silence_timeout": 120},
    "federatedscope": {
        "config": {
            "federate": {"total_round_num": 2, "make_global_eval": True},
            "model": {"type": "lr", "out_channels": 10, "task": "classification"},
            "criterion": {"type": "CrossEntropyLoss"},
            "dataloader": {"batch_size": 32},
            "train": {"batch_or_epoch": "epoch", "local_update_steps": 1, "optimizer": {"lr": 0.1}},
            "eval": {"freq": 1, "metrics": ["acc"], "best_res_update_round_wise_key": "test_loss"},
        }
    },
}
#: How long the first bytes of a connection take to an address, in seconds: the least of some that are refused.
ROUND_TRIP = """
import socket, sys, time
def once():
    begun = time.perf_counter()
    with socket.socket() as channel:
        channel.settimeout(5)
        assert channel.connect_ex((sys.argv[1], 9)) == 111
    return time.perf_counter() - begun
print(min(once() for _ in range(8)))
"""
#: By how many seconds clocks are wrong. lab1's is that of this machine.
AHEAD_S = {"lab2": 20.0, "lab3": -20.0}
#: Half of what the least of them is apart: no slow lab host is taken for a wrong clock.
ABOUT_S = 10.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Mapping[str, str]]]:
    """``lab1`` in a container, with this machine's kernel; ``lab2`` and ``lab3`` have their own, and wrong clocks."""
    folder = tmp_path_factory.mktemp("lab")
    with labs.running(folder / "lab", 1) as found, own_kernel.beside(found, 2, folder / "own") as addresses:
        for name, ahead_s in AHEAD_S.items():
            own_kernel.set_clock(found, addresses[name], ahead_s)
        yield found, addresses


@pytest.fixture(scope="module")
def control(lab: tuple[Lab, Mapping[str, str]], tmp_path_factory: pytest.TempPathFactory) -> ControlNode:
    return ControlNode(lab[0], tmp_path_factory.mktemp("control"), lab[0].inventory())


def device(name: str, lab_host: str, latency_ms: int, **more: object) -> dict[str, object]:
    small = {"memory_mb": 128, "cpus": 1}
    found = {"name": name, "type": "raspberry-pi", "lab_host": lab_host, "network": {"latency_ms": latency_ms}}
    return {**found, "overrides": small, **more}


def board(name: str, lab_host: str, latency_ms: int) -> dict[str, object]:
    """A device whose type says how fast it is."""
    return device(name, lab_host, latency_ms, type="raspberry-pi-4", overrides={"memory_mb": 128})


def run(
    control: ControlNode, addresses: Mapping[str, str], name: str, experiment: Mapping[str, object]
) -> tuple[str, dict[tuple[str, str], float]]:
    """Run an experiment on these lab hosts; return what it printed, and the round trips of two devices in ms."""
    inventory = str(control.lab.access.write_inventory(addresses, "root", {}))
    spec = control.folder / f"{name}.yaml"
    spec.write_text(yaml.safe_dump({"name": name, "seed": 5, **experiment, **COURSE}), encoding="utf-8")
    where = ("-i", inventory, "--run", name)
    control.call("up", str(spec), *where)
    planned = json.loads((control.folder / "runs" / name / "plan.json").read_text(encoding="utf-8"))["devices"]
    found = {}
    for one in planned:
        for other in planned:
            if one is not other:
                said = control.call("exec", name, one["name"], "--", "python3", "-c", ROUND_TRIP, other["address"])
                found[one["name"], other["name"]] = float(re.findall(r"^[\d.e-]+$", said, re.MULTILINE)[-1]) * 1e3
    return control.call("run", str(spec), *where), found


def no_harm_came_from_clocks(control: ControlNode, said: str, name: str, first: str, second: str) -> None:
    """The clocks of both lab hosts were compared, and all times are on that of the first, which carries the server."""
    apart_s = AHEAD_S.get(first, 0.0) - AHEAD_S.get(second, 0.0)
    folder = control.folder / "runs" / name
    measured = clocks_measured(folder / "agents" / second / "journal.jsonl")
    for one in measured:
        assert one.host == first and one.offset_s is not None and one.bound_s is not None
        assert one.offset_s == pytest.approx(apart_s, abs=ABOUT_S) and 0 < one.bound_s < ABOUT_S
    assert f"the clock of lab host {second} differed by up to" in said
    # What a file's time is held against: gzip, tar, ssh.
    assert not re.findall(r"(?i)in the future|clock skew|time ?stamp", said + (folder / "ansible.log").read_text())

    run = api.open_run(folder)
    opened = {event["lab_host"]: event["open_at"] for event in run.events if event["event"] == "gate_opened"}
    assert opened.keys() == {first, second} and opened[second] == pytest.approx(opened[first], abs=ABOUT_S)
    [skew_s] = [event["skew_s"] for event in run.events if event["event"] == "gate_measured"]
    assert skew_s < ABOUT_S
    carried = {row["device"]: row["lab_host"] for row in control.rows("devices.csv", name)}
    ends = {carried[row["device"]]: row["t"] for row in run.samples}
    assert ends.keys() == {first, second} and ends[second] == pytest.approx(ends[first], abs=ABOUT_S)
    counted = [row["t"] for row in run.link_counters if carried.get(row["device"]) == second]
    assert counted[-1] == pytest.approx(ends[first], abs=ABOUT_S)
    # Uncorrected, one way would have taken longer than it did, and the other less than nothing.
    rows = control.rows("device_rounds.csv", name)
    ways = [float(row[f"{way}_seconds"]) for row in rows for way in ("download", "upload")]
    assert ways and all(0 <= way < ABOUT_S for way in ways), ways


def clocks_measured(journal: Path) -> list[ClockMeasured]:
    events = [parse_line(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    found = [event for event in events if isinstance(event, ClockMeasured)]
    assert found
    return found


def test_a_lab_of_two_back_ends_has_one_course_in_dilated_time(
    control: ControlNode, lab: tuple[Lab, Mapping[str, str]]
) -> None:
    """The two processors are two models, and each is calibrated for itself."""
    addresses, factor = {**lab[0].addresses, "lab2": lab[1]["lab2"]}, 0.5
    control.call("calibrate", "-i", str(control.lab.access.write_inventory(addresses, "root", {})))
    devices = [device("server", "lab1", 3, role="server"), board("here", "lab1", 20), board("there", "lab2", 40)]
    experiment = {"devices": devices, "time": "dilated", "cpu_factor": factor}
    said, round_trips = run(control, addresses, "mixed", experiment)
    assert "finished after" in said and "links by netem, userspace" in said
    no_harm_came_from_clocks(control, said, "mixed", "lab1", "lab2")
    asked_ms = {("server", "here"): 46, ("server", "there"): 86, ("here", "there"): 120}
    for (one, other), ms in asked_ms.items():
        for pair in ((one, other), (other, one)):
            assert round_trips[pair] == pytest.approx(ms / factor, rel=0.05, abs=8), pair
    # In device time: both boards are asked for the same, and delays are as the file has them.
    compute = {row["device"]: row for row in control.rows("compute.csv", "mixed")}
    steps = [(compute[name]["reference"], compute[name]["reference_asked_seconds"]) for name in ("here", "there")]
    assert steps[0] == steps[1] and steps[0][0] == "numpy-mlp"
    assert compute["here"]["cpus_asked"] != compute["there"]["cpus_asked"]
    links = {(row["device"], row["direction"]): row for row in control.rows("links.csv", "mixed")}
    for name, ms in (("here", 20), ("there", 40)):
        assert float(links[name, "up"]["delay_asked_us"]) == pytest.approx(ms * 1000, rel=0.01), name
    rounds = control.report("mixed")["rounds"]
    assert len(rounds) == 2
    assert all(one["seconds"] == pytest.approx(factor * one["wall_seconds"], abs=1e-3) for one in rounds)


def test_netem_holds_regions_on_two_lab_hosts_that_encrypt_what_they_send(
    control: ControlNode, lab: tuple[Lab, Mapping[str, str]]
) -> None:
    devices = [
        device("server", "lab2", 0, role="server", region="east"),
        device("near", "lab3", 20, region="east"),
        device("far", "lab3", 20, region="west"),
    ]
    regions = {"east": {"west": {"latency_ms": 50}}}
    experiment = {"regions": regions, "devices": devices, "lab": {"encrypt": True}}
    said, round_trips = run(control, lab[1], "regions", experiment)
    assert "finished after" in said and "links by netem" in said
    no_harm_came_from_clocks(control, said, "regions", "lab2", "lab3")
    asked = {("server", "near"): 40, ("server", "far"): 140, ("near", "far"): 180}
    for (one, other), ms in asked.items():
        for pair in ((one, other), (other, one)):
            assert round_trips[pair] == pytest.approx(ms, rel=0.05, abs=8), pair
    joined = [
        one for one in api.open_run(control.folder / "runs/regions").events if one["event"] == "lab_network_joined"
    ]
    assert {one["lab_host"]: one["encrypted"] for one in joined} == {"lab2": True, "lab3": True}
    rows = control.rows("links.csv", "regions")
    assert {row["direction"] for row in rows if row["device"] == "east - west"} == {"up", "down"}
    counted = {row["device"] for row in control.rows("link_counters.csv", "regions") if int(row["packets"])}
    assert "east - west" in counted

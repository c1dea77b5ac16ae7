"""Whole courses on this machine: the quickstart, plain Ansible, failures, two side by side, without Docker."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import docker
import pytest

from fedsim_runner.api import open_run
from tests.e2e.conftest import Command, left_over, small_spec


def report_of(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return loaded


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_quickstart(engine: docker.DockerClient, repository: Path, tmp_path: Path) -> None:
    command = Command([str(repository / "examples/quickstart.yaml")], tmp_path)
    assert command.finish() == 0, command.output
    (folder,) = (tmp_path / "runs").iterdir()
    assert left_over(engine, folder.name) == []

    report = report_of(folder)
    assert report["status"] == "finished"
    assert len(report["rounds"]) == 10
    assert report["final"]["test_acc"] > 0.85
    model = open_run(folder).model()
    assert (model.rounds, model.parameters["fc.weight"].shape) == (10, (10, 64))
    assert [row["round"] for row in rows(folder / "rounds.csv")] == [str(n) for n in range(1, 11)]

    devices = {row["device"]: row for row in rows(folder / "devices.csv")}
    assert len(devices) == 5
    for name, row in devices.items():
        assert int(row["bytes_up"]) > 10_000, name
        assert int(row["bytes_down"]) > 10_000, name
        assert 0 < int(row["memory_peak_bytes"]) <= int(row["memory_limit_bytes"]), name
        assert row["exit_code"] == "0", name
        assert 0 < float(row["startup_cpu_seconds"]) < float(row["cpu_seconds"]), name
        assert 0 < float(row["loading_seconds"]) < report["loading_s"], name
        assert (folder / "collected" / name / "course" / "exp_print.log").stat().st_size > 0

    names = [event["event"] for event in events(folder)]
    assert names.count("link_shaped") == 5
    assert max(n for n, name in enumerate(names) if name == "link_shaped") < names.index("loading_started")
    assert names.count("link_measured") == 10
    assert max(n for n, name in enumerate(names) if name == "link_measured") < names.index("loading_started")
    measured = rows(folder / "links.csv")
    assert [(row["device"], row["direction"]) for row in measured] == [
        (d, way) for d in devices for way in ("up", "down")
    ]
    assert {row["verdict"] for row in measured} <= {"within", "out", "undetermined"}
    served = rows(folder / "compute.csv")
    assert [row["device"] for row in served] == list(devices)
    for row in served:
        assert int(row["steps"]) > 0 and float(row["computing_cpu_seconds"]) > 0, row
        assert row["verdict"] in {"within", "out", "undetermined"} and int(row["periods"]) > 0, row
    (host,) = rows(folder / "hosts.csv")
    assert 0 <= float(host["others_share"]) <= float(host["busy_share"])
    assert rows(folder / "energy.csv") == []  # nobody published figures of these types
    passed = Counter[tuple[str, str]]()
    for row in rows(folder / "link_counters.csv"):
        passed[row["device"], row["direction"]] += int(row["packets"])
    # Counted at the same end of the course, one after the other.
    assert passed == {
        (row["device"], row["direction"]): pytest.approx(int(row["course_packets"]), abs=5) for row in measured
    }
    assert names.count("device_ready") == 5
    assert max(n for n, name in enumerate(names) if name == "device_ready") < names.index("gate_opened")
    assert names.index("gate_opened") < names.index("round_started")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["link_backend"] in {"netem", "userspace"}
    for name in ("experiment.yaml", "plan.json", "inventory/hosts.yml", "metrics.csv", "ansible.log"):
        assert (folder / name).stat().st_size > 0
    for text in ("plan", "round 10", "accuracy", str(folder.name)):
        assert text in command.output.lower()


@pytest.mark.parametrize("name", ["new-device-type", "unequal-links", "bursts-and-queues", "regions", "ring"])
def test_the_other_examples(name: str, engine: docker.DockerClient, repository: Path, tmp_path: Path) -> None:
    command = Command([str(repository / f"examples/{name}.yaml"), "--run", name], tmp_path)
    assert command.finish() == 0, command.output
    report = report_of(tmp_path / "runs" / name)
    assert report["status"] == "finished"
    assert report["final"]["test_acc"] > 0.7
    assert left_over(engine, name) == []


def test_links_that_vary_by_themselves(engine: docker.DockerClient, repository: Path, tmp_path: Path) -> None:
    command = Command([str(repository / "examples/varying-links.yaml"), "--run", "varying-links"], tmp_path)
    assert command.finish() == 0, command.output
    folder = tmp_path / "runs" / "varying-links"
    assert report_of(folder)["final"]["test_acc"] > 0.8
    (varied,) = [event for event in events(folder) if event["event"] == "links_varied"]
    assert varied["changes"] > 0 and varied["failed"] == []
    verdicts = {row["device"]: row["course_rate_verdict"] for row in rows(folder / "links.csv")}
    assert verdicts["rider-1"] == verdicts["roamer-1"] == "undetermined"
    assert not any(event["event"] == "link_restored" for event in events(folder)), "our changes are not somebody else's"
    assert left_over(engine, "varying-links") == []


def test_dilated_time(engine: docker.DockerClient, repository: Path, tmp_path: Path) -> None:
    factor, rounds = 0.25, 3
    text = (repository / "examples/dilated.yaml").read_text(encoding="utf-8")
    text = text.replace("time: dilated", f"time: dilated\ncpu_factor: {factor}")
    # A trace, and a time offline, besides the example's event.
    link = "{based_on: 4g, jitter_ms: 0, trace: {file: bus.csv, offset: 0}}"
    text = text.replace("    count: 3\n", f"    count: 3\n    network: {link}\n    available: [[0, 1], [2, 300]]\n")
    (tmp_path / "bus.csv").write_text("time_s,rate_up_kbps,latency_ms\n0,6000,20\n0.5,3000,40\n1,1500,60\n")
    spec = tmp_path / "dilated.yaml"
    spec.write_text(text.replace("total_round_num: 5", f"total_round_num: {rounds}"), encoding="utf-8")
    command = Command([str(spec), "--run", "dilated"], tmp_path)
    assert command.finish() == 0, command.output
    folder = tmp_path / "runs" / "dilated"
    report = report_of(folder)
    assert (report["time"], report["time_factor"], report["final"]["test_acc"] > 0.8) == ("dilated", factor, True)
    assert len(report["rounds"]) == rounds
    assert all(one["seconds"] == pytest.approx(factor * one["wall_seconds"], abs=1e-3) for one in report["rounds"])
    (gate,) = [event for event in events(folder) if event["event"] == "gate_opened"]
    begun = {event["number"]: event for event in events(folder) if event["event"] == "event_begun"}
    assert {number: event["due"] - gate["open_at"] for number, event in begun.items()} == {
        number: pytest.approx(at / factor, abs=0.01) for number, at in ((1, 2), (2, 1))
    }, "moments are due by the devices' time"
    away = next(row for row in rows(folder / "events.csv") if row["of"] == "availability")
    assert (away["when"], away["duration_seconds"], away["state"]) == ("at 1 s", "1.0", "ended")
    links = {(row["device"], row["direction"]): row for row in rows(folder / "links.csv")}
    assert [links["sensor", "up"][f"{name}_asked_{unit}"] for name, unit in (("rate", "bps"), ("delay", "us"))] == [
        "768000",
        "150000",
    ]
    assert (links["phone-1", "up"]["rate_asked_bps"], links["phone-1", "up"]["delay_asked_us"]) == ("6000000", "20000")
    (varied,) = report["varied_links"]
    assert varied["changes"] and not varied["failed"]
    assert left_over(engine, "dilated") == []


@pytest.mark.alone
def test_the_straggler_study(engine: docker.DockerClient, repository: Path, tmp_path: Path) -> None:
    command = Command([str(repository / "examples/stragglers.yaml"), "--run", "stragglers"], tmp_path)
    assert command.finish() == 0, command.output
    report = report_of(tmp_path / "runs" / "stragglers")
    assert report["status"] == "finished"
    assert len(report["rounds"]) == 50
    assert report["final"]["test_acc"] > 0.8
    deadlines = [event for event in events(tmp_path / "runs" / "stragglers") if event["event"] == "round_deadline"]
    assert deadlines, "no round was ended by its deadline"
    assert all(event["arrived"] < event["wanted"] for event in deadlines)
    assert any(event["event"] == "update_late" for event in events(tmp_path / "runs" / "stragglers"))
    assert left_over(engine, "stragglers") == []


def test_a_device_of_64_mb_holds_a_light_participant(engine: docker.DockerClient, tmp_path: Path) -> None:
    """Run with the image's Python; the control node's may need more."""
    spec = small_spec(tmp_path, "small-memory")
    spec.write_text(
        spec.read_text(encoding="utf-8").replace("cpus: 0.5,", "cpus: 0.5, memory_mb: 64,"), encoding="utf-8"
    )
    command = Command([str(spec), "--run", "small-memory"], tmp_path)
    assert command.finish() == 0, command.output
    devices = {row["device"]: row for row in rows(tmp_path / "runs" / "small-memory" / "devices.csv")}
    assert set(devices) == {"server", "mote-1", "mote-2"}
    for name, row in devices.items():
        assert row["memory_limit_bytes"] == str(64 * 2**20), name
        assert row["oom_kills"] == "0", name
    assert left_over(engine, "small-memory") == []


def test_every_example_is_run_by_a_test(repository: Path) -> None:
    names = {path.stem for path in (repository / "examples").glob("*.yaml")}
    light = {"quickstart", "new-device-type", "unequal-links", "bursts-and-queues", "regions", "ring", "stragglers"} | {
        "varying-links",
        "dilated",
    }
    plain_ansible = {"quickstart.fedsim"}
    assert names == light | plain_ansible | {"distributed-lr", "convnet", "mixed"} | {"changing-links"}
    # The last ones in test_federatedscope.py and test_events.py.


def test_plain_ansible_runs_the_sample_inventory(engine: docker.DockerClient, repository: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(repository / "ansible.cfg")}
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "playbooks/run_experiment.yml",
            "-e",
            f"fedsim_run_dir={tmp_path / 'run'}",
            "-e",
            "fedsim_run=sample-e2e",
        ],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert report_of(tmp_path / "run")["final"]["test_acc"] > 0.85
    assert left_over(engine, "sample-e2e") == []


def test_plain_ansible_needs_the_experiment_file_alone(
    engine: docker.DockerClient, repository: Path, tmp_path: Path
) -> None:
    spec = repository / "examples" / "quickstart.fedsim.yaml"
    environment = {**os.environ, "ANSIBLE_CONFIG": str(repository / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}

    def playbook(name: str, *arguments: str) -> str:
        program = str(Path(sys.executable).parent / "ansible-playbook")
        command = [program, "-i", str(spec), f"fedsim.testbed.{name}", "-e", "fedsim_run=file-e2e", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        playbook("up")
        for stage in ("images", "agent", "devices", "links"):
            assert "changed=0" in playbook("run_experiment", "--tags", stage), stage
        output = playbook("run_experiment", "--tags", "course,collect,report")
        assert "  round 10/10  accuracy 0." in output
        assert "FAILED - RETRYING" not in output
        assert report_of(tmp_path / "runs" / "file-e2e")["final"]["test_acc"] > 0.85
    finally:
        playbook("destroy")
    assert left_over(engine, "file-e2e") == []


def test_up_twice_then_course_state_and_down(engine: docker.DockerClient, tmp_path: Path) -> None:
    spec = str(small_spec(tmp_path, "small"))
    try:
        first = Command(["up", spec, "--run", "up-twice"], tmp_path)
        assert first.finish() == 0, first.output
        second = Command(["up", spec, "--run", "up-twice"], tmp_path)
        assert second.finish() == 0, second.output
        assert "changed=0" in second.output
        status = Command(["status", "up-twice", "--json"], tmp_path)
        assert status.finish() == 0, status.output
        states = json.loads(status.output)["devices"]
        assert {state["state"] for state in states.values()} == {"waiting"}
        inside = Command(["exec", "up-twice", "mote-1", "--", "id", "-u"], tmp_path)
        assert inside.finish() == 0, inside.output
        assert int(inside.lines[-1]) > 1 << 30
    finally:
        down = Command(["down", "up-twice"], tmp_path)
        assert down.finish() == 0, down.output
    assert left_over(engine, "up-twice") == []


def test_another_up_heals_a_lost_network_and_a_course_ends_with_it(engine: docker.DockerClient, tmp_path: Path) -> None:
    run = "unplugged"
    spec = str(small_spec(tmp_path, "small", rounds=200))
    try:
        for kill, unchanged in ((True, False), (False, False), (False, True)):
            up = Command(["up", spec, "--run", run], tmp_path)
            assert up.finish() == 0, up.output
            assert ("changed=0" in up.output) is unchanged
            if kill:
                engine.containers.get(f"fedsim-{run}--network").kill("SIGKILL")
        command = Command([spec, "--run", run], tmp_path)
        command.wait_for("round 2")
        engine.containers.get(f"fedsim-{run}--network").kill("SIGKILL")
        killed = time.monotonic()
        assert command.finish() == 5, command.output
        assert time.monotonic() - killed < 60
        reason = report_of(tmp_path / "runs" / run)["reason"]
        assert f"fedsim-{run}--network, which holds the run's network, has ended" in reason
    finally:
        down = Command(["down", run], tmp_path)
        assert down.finish() == 0, down.output
    assert left_over(engine, run) == []


def test_two_runs_side_by_side_do_not_affect_each_other(engine: docker.DockerClient, tmp_path: Path) -> None:
    commands = [
        Command([str(small_spec(tmp_path, f"side-{name}")), "--run", f"side-{name}"], tmp_path) for name in ("a", "b")
    ]
    for command in commands:
        assert command.finish() == 0, command.output
    networks = [
        json.loads((tmp_path / "runs" / f"side-{name}" / "plan.json").read_text(encoding="utf-8"))["network"]
        for name in ("a", "b")
    ]
    assert networks[0] == networks[1], "the same addresses, in networks that do not know of each other"
    assert left_over(engine, "side-a") == left_over(engine, "side-b") == []


def test_keep_leaves_the_testbed_up_and_down_removes_it(engine: docker.DockerClient, tmp_path: Path) -> None:
    command = Command([str(small_spec(tmp_path, "small")), "--run", "kept", "--keep"], tmp_path)
    try:
        assert command.finish() == 0, command.output
        assert left_over(engine, "kept") != []
        logs = Command(["logs", "kept", "server"], tmp_path)
        assert logs.finish() == 0, logs.output
        assert "Starting a new training round" in logs.output
    finally:
        down = Command(["down", "kept"], tmp_path)
        assert down.finish() == 0, down.output
    assert left_over(engine, "kept") == []


def test_without_docker(repository: Path, tmp_path: Path) -> None:
    command = Command([str(repository / "examples/quickstart.yaml"), "--no-docker", "--run", "plain"], tmp_path)
    assert command.finish() == 0, command.output
    assert "no limits" in command.output.lower()
    assert report_of(tmp_path / "runs" / "plain")["final"]["test_acc"] > 0.85

"""Links are measured when a testbed is up, and before a course; with strict, one that is not true ends the run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import docker

from fedsim_runner.agent.host import programs
from fedsim_runner.agent.kernel import netns
from fedsim_runner.contract.names import container_name
from tests.e2e.conftest import Command, left_over, small_spec

DIRECTIONS = [(name, way) for name in ("server", "mote-1", "mote-2") for way in ("up", "down")]


def test_strict_ends_a_run_before_its_course_and_names_the_link(engine: docker.DockerClient, tmp_path: Path) -> None:
    run = "strict-links"
    try:
        up = Command(["up", str(small_spec(tmp_path, "unmeasured", verify="warn")), "--run", run], tmp_path)
        assert up.finish() == 0, up.output
        assert "links measured" not in up.output  # there is no course yet
        device = engine.containers.get(container_name(run, "mote-1"))
        device.reload()
        with netns.inside(netns.of_process(device.attrs["State"]["Pid"])):
            programs.run(["iptables", "-A", "INPUT", "-j", "DROP"])

        measured = Command(["verify", run, "--json"], tmp_path)
        assert measured.finish() == 6, measured.output
        rows = {(row["device"], row["direction"]): row for row in json.loads(measured.output)}
        assert list(rows) == DIRECTIONS
        assert rows["mote-1", "down"]["verdict"] == "out" and rows["mote-1", "down"]["loss"] == 1
        assert rows["mote-1", "up"]["loss"] < 1 and rows["mote-2", "down"]["loss"] < 1

        course = Command([str(small_spec(tmp_path, "strict", verify="strict")), "--run", run], tmp_path)
        assert course.finish() == 6, course.output
        assert "mote-1" in course.output and "likely reason: firewall" in course.output
        assert "round 1" not in course.output
        with (tmp_path / "runs" / run / "links.csv").open(encoding="utf-8", newline="") as stream:
            found = {(row["device"], row["direction"]): row for row in csv.DictReader(stream)}
        assert list(found) == DIRECTIONS
        assert found["mote-1", "down"]["verdict"] == "out"
        report = json.loads((tmp_path / "runs" / run / "report.json").read_text(encoding="utf-8"))
        assert report["status"] == "failed" and "mote-1" in report["reason"]
    finally:
        down = Command(["down", run], tmp_path)
        assert down.finish() == 0, down.output
    assert left_over(engine, run) == []

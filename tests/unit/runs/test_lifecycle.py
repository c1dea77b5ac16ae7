"""A run whose stages succeed, fail and are interrupted. The playbooks are tiny, the program is real."""

from __future__ import annotations

import hashlib
import json
import os
import signal

import pytest

from fedsim_runner.contract.process_identity import start_time
from tests.unit.conftest import Driver

pytestmark = pytest.mark.ansible


def report(driver: Driver, run: str = "mine") -> dict[str, object]:
    loaded: dict[str, object] = json.loads((driver.root / "runs" / run / "report.json").read_text(encoding="utf-8"))
    return loaded


def spec(driver: Driver) -> str:
    return str(driver.spec)


def test_a_run_folder_is_made_and_a_manifest_says_what_ran(driver: Driver) -> None:
    driver.stages([("devices", "true")], "up.yml")
    assert driver.run("up", spec(driver), "--run", "mine") == 0, driver.output
    folder = driver.root / "runs" / "mine"
    for name in ("experiment.yaml", "plan.json", "inventory/hosts.yml", "manifest.json", "ansible.log"):
        assert (folder / name).stat().st_size > 0
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["control_node"]["packages"]["ansible-core"]
    assert (manifest["seed"], manifest["status"]) == (7, "up")
    assert manifest["ended"] >= manifest["started"]
    assert (manifest["version"], manifest["repeats"]) == (1, None)
    assert manifest["policies"]["on_client_failure"] == "abort"
    assert manifest["control_node"]["cpu_count"] == os.cpu_count()
    for name, file in (("spec_sha256", "experiment.yaml"), ("inputs_sha256", "inputs/experiment.json")):
        assert manifest[name] == hashlib.sha256((folder / file).read_bytes()).hexdigest()
    assert "changed=1" in driver.output
    assert not driver.has("torn-down")
    assert "devices ..." in driver.lines
    # The same name again: a second `up` works on the same folder.
    assert driver.run("up", spec(driver), "--run", "mine") == 0, driver.output


@pytest.mark.parametrize(
    ("stage", "code", "collects"),
    [("preflight", 3, False), ("lab host", 3, False), ("images", 4, False), ("links", 4, True)],
)
def test_a_failed_stage_is_reported_and_torn_down(stage: str, code: int, collects: bool, driver: Driver) -> None:
    driver.stages([(stage, "echo it is broken >&2; false")])
    assert driver.run(spec(driver), "--run", "mine") == code, driver.output
    assert f"error: stage {stage} failed on local" in driver.output
    assert "it is broken" in driver.output
    assert "ansible.log" in driver.output
    assert driver.has("torn-down")
    assert driver.has("fetched") is collects
    assert not driver.has("left-0")
    assert report(driver)["status"] == "failed"
    assert stage in str(report(driver)["reason"])


@pytest.mark.parametrize("verb", ["run", "up"])
def test_an_unsuitable_lab_needs_no_teardown(verb: str, driver: Driver) -> None:
    playbook = "up.yml" if verb == "up" else "run_experiment.yml"
    driver.stages([("lab host", f"rm {driver.root}/left-0; false")], playbook)
    assert driver.run(verb, spec(driver), "--run", "mine") == 3, driver.output
    assert "error: stage lab host failed on local" in driver.output
    assert not driver.has("torn-down")


def test_keep_leaves_a_failed_run_up(driver: Driver) -> None:
    driver.stages([("links", "false")])
    assert driver.run(spec(driver), "--run", "mine", "--keep") == 4, driver.output
    assert driver.has("left-0")
    assert "fedsim-provision down mine" in driver.output
    assert driver.run("down", "mine") == 0, driver.output
    assert not driver.has("left-0")
    assert driver.run("down", "mine") == 0, driver.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_the_stage_collects_and_tears_down(number: int, driver: Driver) -> None:
    driver.stages(
        [("devices", "true"), ("course", f"echo $$ > {driver.root}/pid; sleep 30; touch {driver.root}/went-on")]
    )
    driver.start(spec(driver), "--run", "mine")
    driver.wait_for("course ...")
    while not driver.has("pid"):
        assert driver.process.poll() is None
    driver.signal(number)
    assert driver.finish() == 130, driver.output
    assert "Traceback" not in driver.output
    assert driver.has("fetched")
    assert driver.has("torn-down")
    assert not driver.has("left-0")
    assert not driver.has("went-on")
    pid = int((driver.root / "pid").read_text(encoding="utf-8"))
    assert start_time(pid) is None
    assert report(driver)["status"] == "interrupted"
    assert report(driver)["reason"] == "interrupted in stage course"


def test_a_second_interrupt_stops_the_teardown_and_says_how_to_finish(driver: Driver) -> None:
    driver.stages([("devices", "sleep 30")])
    driver.teardown(slow="sleep 20;")
    driver.start(spec(driver), "--run", "mine")
    driver.wait_for("devices ...")
    driver.signal()
    driver.wait_for("teardown ...")
    driver.signal()
    assert driver.finish() == 130, driver.output
    assert "fedsim-provision down mine" in driver.output
    driver.teardown()
    assert driver.run("down", "mine") == 0, driver.output


def test_an_interrupted_up_tears_down(driver: Driver) -> None:
    driver.stages([("network", "sleep 30")], "up.yml")
    driver.start("up", spec(driver), "--run", "mine")
    driver.wait_for("network ...")
    driver.signal()
    assert driver.finish() == 130, driver.output
    assert driver.has("torn-down")


def test_down_ends_what_a_killed_control_node_left_running(driver: Driver) -> None:
    driver.stages([("devices", f"echo $$ > {driver.root}/pid; sleep 60")])
    driver.start(spec(driver), "--run", "mine")
    while not driver.has("pid"):
        assert driver.process.poll() is None
    driver.signal(signal.SIGKILL)
    driver.finish()
    pid = int((driver.root / "pid").read_text(encoding="utf-8"))
    os.kill(pid, 0)
    assert driver.run("down", "mine") == 0, driver.output
    assert "whose control node is gone" in driver.output
    assert start_time(pid) is None
    assert driver.has("torn-down")


def test_a_run_in_progress_is_left_alone(driver: Driver) -> None:
    driver.stages([("devices", f"touch {driver.root}/there; sleep 30")])
    driver.start(spec(driver), "--run", "mine")
    first = driver.process
    while not driver.has("there"):
        assert first.poll() is None
    lines, driver.lines = driver.lines, []
    assert driver.run("down", "mine") == 2, driver.output
    assert str(first.pid) in driver.output
    driver.lines = lines
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait(60) == 130

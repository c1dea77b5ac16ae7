"""One course over three lab hosts, and every verb that takes a run, as a user calls them on the control node."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from fedsim_runner import api
from fedsim_runner.contract.names import LABEL_RUN
from fedsim_runner.contract.paths import STATE_ROOT
from tests.lab.lab_hosts.lab import Lab

RUN = "lab-course"
DEVICES = {"server", "smartphone-high", "smartphone-low", "raspberry-pi", "iot-minimal"}
ROUNDS = 10
LONGEST_S = 400.0
REFUSED, FAILED, LINKS_OUT = 2, 5, 6


def behind_a_jump_host(lab: Lab, folder: Path) -> Path:
    """An inventory in which lab3 is a name of ssh_config, which says that it is reached through lab1.

    It has no key, and ssh_config only that of the jump host, so that nothing but ``--private-key`` opens the lab hosts.
    """
    hosts = yaml.safe_load((lab.inventory() / "hosts.yml").read_text(encoding="utf-8"))
    del hosts["lab_hosts"]["vars"]["ansible_ssh_private_key_file"]
    config = folder / "ssh_config"
    config.write_text(
        f"Host first\n  HostName {lab['lab1'].address}\n  IdentityFile {lab.access.key}\n"
        f"Host behind\n  HostName {lab['lab3'].address}\n  ProxyJump first\n"
        f"Host *\n  User root\n  UserKnownHostsFile {lab.access.known_hosts}\n",
        encoding="utf-8",
    )
    hosts["lab_hosts"]["hosts"]["lab3"] = {
        "ansible_host": "behind",
        "ansible_ssh_common_args": f"-F {config}",
        "fedsim_lab_address": lab["lab3"].address,
    }
    inventory = folder / "inventory.yml"
    inventory.write_text(yaml.safe_dump(hosts), encoding="utf-8")
    return inventory


class ControlNode:
    """The command on the control node of a lab, in a folder of its own.

    Args:
        lab: the lab.
        folder: an empty one.
        inventory: of all that it uses; a run on fewer lab hosts names another one.
        key: for ``--private-key``, where the inventory has none.
        host: its name, if it is another machine than this one.
    """

    def __init__(
        self, lab: Lab, folder: Path, inventory: Path, key: Path | None = None, host: str | None = None
    ) -> None:
        self.lab = lab
        self.folder = folder
        self.named = () if host is None else ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host)
        self.key = () if key is None else ("--private-key", str(key))
        self.on_the_lab = ("-i", str(inventory), *self.key)
        self._environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a call of ``fedsim-provision``."""
        return subprocess.Popen(
            self.lab.on_control_node([*self.named, sys.executable, "-m", "fedsim_runner", *arguments]),
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def call(self, *arguments: str, right: Sequence[int] = (0,)) -> str:
        """Call ``fedsim-provision`` and return what it printed."""
        with self.start(*arguments) as process:
            output, _ = process.communicate(timeout=LONGEST_S)
        assert process.returncode in right, f"{' '.join(arguments)}: exit code {process.returncode}\n{output}"
        assert "Traceback" not in output, output
        return output

    def rows(self, file: str, run: str = RUN) -> list[dict[str, str]]:
        """A table of the run folder."""
        with (self.folder / "runs" / run / file).open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    def report(self, run: str = RUN) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "runs" / run / "report.json").read_text(encoding="utf-8"))
        return loaded

    def left_over(self, run: str) -> list[str]:
        """What the lab hosts still have of a run: containers, state folders, network interfaces."""
        found = []
        for host in self.lab.hosts:
            engine = docker.DockerClient(host.engine_url, timeout=60)
            containers = engine.containers.list(all=True, filters={"label": f"{LABEL_RUN}={run}"})
            found += [f"{host.name}: {container.name}" for container in containers]
            engine.close()
            folder = Path(f"/proc/{host.pid}/root{STATE_ROOT / run}")
            found += [str(folder)] if folder.exists() else []
            links = host.console("ip", "-details", "link").splitlines()
            found += [f"{host.name}: {line.strip()}" for line in links if run in line]
        return found


@pytest.fixture(scope="module")
def control(three_lab_hosts: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlNode]:
    """A control node with the quickstart's testbed up on the lab, waiting at the gate."""
    folder = tmp_path_factory.mktemp("control")
    key = three_lab_hosts.access.key
    node = ControlNode(three_lab_hosts, folder, behind_a_jump_host(three_lab_hosts, folder), key)
    try:
        node.call("up", str(spec()), "--run", RUN, *node.on_the_lab)
        yield node
    finally:
        node.call("down", RUN, *node.on_the_lab)
    assert node.left_over(RUN) == []


def spec() -> Path:
    return Path(__file__).resolve().parents[2] / "examples" / "quickstart.yaml"


def test_the_plan_says_who_carries_whom(control: ControlNode) -> None:
    output = control.call("plan", str(spec()), *control.on_the_lab)
    assert all(host.name in output for host in control.lab.hosts)


def test_a_run_of_the_same_name_on_another_control_node_is_refused(control: ControlNode, tmp_path: Path) -> None:
    there, key = control.left_over(RUN), control.lab.access.key
    other = ControlNode(control.lab, tmp_path, Path(control.on_the_lab[1]), key, host="desk")
    folder = tmp_path / "runs" / RUN
    for has_folder in (False, True):
        if has_folder:  # of its own run of that name, which is no longer on the lab
            folder.mkdir(parents=True)
        output = other.call("up", str(spec()), "--run", RUN, *other.on_the_lab, right=(REFUSED,))
        assert f"there is a run {RUN} already, of user " in output and f" on {os.uname().nodename}: choose" in output
        assert folder.exists() is has_folder
    # It is not this control node's, but may be looked at from here.
    assert RUN in other.call("status", "--all", *other.on_the_lab)
    assert control.left_over(RUN) == there


@pytest.mark.timeout(900)
def test_every_verb_works_on_a_run_over_three_lab_hosts(control: ControlNode) -> None:
    placed = {
        row["name"]: row["lab_host"]
        for row in json.loads((control.folder / f"runs/{RUN}/plan.json").read_text())["devices"]
    }
    assert placed.keys() == DEVICES and set(placed.values()) == {"lab1", "lab2", "lab3"}

    # While it waits at the gate.
    for device in sorted(DEVICES):
        assert control.call("exec", *control.key, RUN, device, "--", "hostname").strip() == device
    assert all(device in control.call("status", RUN, *control.key) for device in DEVICES)
    assert RUN in control.call("status", "--all", *control.on_the_lab)
    control.call("verify", RUN, *control.key, right=(0, LINKS_OUT))
    measured = {(row["device"], row["direction"]) for row in control.rows("links.csv")}
    assert measured == {(device, direction) for device in DEVICES for direction in ("up", "down")}

    # The course, followed from two other shells.
    course = control.start("run", str(spec()), "--run", RUN, "--keep", *control.on_the_lab)
    followers = [control.start(*words, RUN, *control.key) for words in (("logs", "-f"), ("status", "--watch"))]
    try:
        output, _ = course.communicate(timeout=LONGEST_S)
        assert course.returncode == 0, output
        said = [follower.communicate(timeout=60)[0] for follower in followers]
    finally:
        for process in (course, *followers):
            process.kill()
            process.wait()
    assert [follower.returncode for follower in followers] == [0, 0], said
    assert all(device in said[0] for device in DEVICES), said[0]
    assert "Traceback" not in output + "".join(said)

    # After it.
    status = json.loads(control.call("status", RUN, "--json", *control.key))
    assert status
    assert control.report()["status"] == "finished" and len(control.report()["rounds"]) == ROUNDS
    the_tables_are_full(control, placed)
    control.call("collect", RUN, *control.key)
    assert {folder.name for folder in (control.folder / f"runs/{RUN}/collected").iterdir()} == DEVICES
    control.call("down", "--all", *control.on_the_lab)
    assert control.left_over(RUN) == []
    # Twice is safe.
    control.call("down", RUN, *control.key)
    sizes = control.call("images", *control.on_the_lab)
    assert all(host.name in sizes for host in control.lab.hosts) and "iot-minimal-light" in sizes
    control.call("report", RUN)
    the_tables_are_full(control, placed)


def the_tables_are_full(control: ControlNode, placed: dict[str, str]) -> None:
    """The figures of a device on any lab host are as full as those of one on the first."""
    clients = DEVICES - {"server"}
    devices = {row["device"]: row for row in control.rows("devices.csv")}
    assert {name: row["lab_host"] for name, row in devices.items()} == placed
    for name, row in devices.items():
        assert row["state"] == "finished" and float(row["cpu_seconds"]) > 0 and int(row["memory_peak_bytes"]) > 0, row
        assert int(row["bytes_up"]) > 0 and int(row["bytes_down"]) > 0, name
    run = api.open_run(control.folder / "runs" / RUN)
    assert {row["device"] for row in run.samples} == DEVICES
    assert {row["device"] for row in run.link_counters} == DEVICES
    rounds = control.rows("device_rounds.csv")
    assert {(int(row["round"]), row["device"]) for row in rounds} == {
        (number, client) for number in range(1, ROUNDS + 1) for client in clients
    }
    split = ("download_seconds", "compute_seconds", "upload_seconds")
    assert all(row[column] != "" and float(row[column]) >= 0 for row in rounds for column in split), rounds
    assert {row["lab_host"] for row in control.rows("hosts.csv")} == set(placed.values())


@pytest.mark.timeout(900)
def test_a_run_on_a_lab_is_repeated_from_its_folder(control: ControlNode) -> None:
    before = time.time()
    # It was removed, and with that where it was is forgotten.
    control.call("rerun", RUN, *control.on_the_lab)
    repeated = [folder for folder in (control.folder / "runs").iterdir() if folder.stat().st_mtime > before]
    [again] = [folder.name for folder in repeated if folder.name != RUN and (folder / "report.json").exists()]
    assert control.report(again)["status"] == "finished"
    placed = [{row["device"]: row["lab_host"] for row in control.rows("devices.csv", run)} for run in (RUN, again)]
    assert placed[1] == placed[0]
    assert control.left_over(again) == []

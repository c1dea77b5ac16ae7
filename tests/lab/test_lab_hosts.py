"""The rig of lab hosts in containers: others rely on what it says of itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import docker
import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.lab.lab_hosts import faults, wiring
from tests.lab.lab_hosts import lab as labs
from tests.lab.lab_hosts.hosts import LABEL
from tests.lab.lab_hosts.lab import Lab
from tests.lab.lab_hosts.program import LabError, call
from tests.lab.lab_hosts.wiring import Wiring

QUICKSTART = REPOSITORY / "examples" / "quickstart.yaml"


@pytest.fixture
def lab(three_lab_hosts: Lab) -> Lab:
    return three_lab_hosts


def ansible(lab: Lab, user: str, *words: str) -> subprocess.CompletedProcess[str]:
    inventory = lab.inventory(user)
    command = [sys.executable, "-m", "ansible", "adhoc", "-i", str(inventory), "lab_hosts", *words]
    return subprocess.run(lab.on_control_node(command), capture_output=True, text=True, timeout=120, check=False)


def test_ansible_becomes_root_as_any_of_the_users(lab: Lab) -> None:
    for user in ("root", "ops", "alice"):
        given = lab.access.folder / "variables.json"
        given.write_text(json.dumps({"ansible_become_password": lab.password} if user == "alice" else {}))
        outcome = ansible(lab, user, "-a", "id -u", "-o", "-e", f"@{given}")
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        assert sorted(line.rsplit(" ", 1)[1] for line in outcome.stdout.splitlines()) == ["0"] * len(lab.hosts)
    outcome = ansible(lab, "alice", "-a", "id -u")
    assert outcome.returncode != 0 and "Missing sudo password" in outcome.stdout + outcome.stderr


def test_an_unknown_host_key_is_refused(lab: Lab, tmp_path: Path) -> None:
    known = lab.access.known_hosts
    text = known.read_text()
    first, *others = text.splitlines()
    try:
        known.write_text("\n".join([f"{first.split()[0]} {' '.join(others[0].split()[1:])}", *others, ""]))
        with pytest.raises(LabError, match="Host key verification failed"):
            call([*lab.ssh("lab1"), "true"])
        assert call([*lab.ssh("lab2"), "hostname"]) == "lab2\n"
        # The same by our command, of which ssh's own options in the inventory say nothing.
        inventory = yaml.safe_load((lab.inventory() / "hosts.yml").read_text(encoding="utf-8"))
        inventory["lab_hosts"]["vars"]["ansible_ssh_common_args"] = f"-o UserKnownHostsFile={known}"
        path = tmp_path / "lab.yml"
        path.write_text(yaml.safe_dump(inventory), encoding="utf-8")
        plan = [sys.executable, "-m", "fedsim_runner", "plan", str(QUICKSTART), "-i", str(path)]
        refused = subprocess.run(lab.on_control_node(plan), capture_output=True, text=True, timeout=120, check=False)
        assert refused.returncode == 3 and "lab1: Failed to connect" in refused.stderr, refused.stderr
        assert "verification failed" in refused.stderr and "lab2:" not in refused.stderr, refused.stderr
        assert len(known.read_text().splitlines()) == len(text.splitlines()), "no key was taken over"
    finally:
        known.write_text(text)


def test_a_lab_host_that_is_cut_off_answers_nobody_until_it_is_connected_again(lab: Lab) -> None:
    lab.cut("lab1")
    try:
        with pytest.raises(LabError):
            call([*lab.on_control_node(["ping", "-c", "1", "-W", "1"]), lab["lab1"].address])
        with pytest.raises(LabError):
            lab["lab2"].console("ping", "-c", "1", "-W", "1", lab["lab1"].address)
        assert lab["lab1"].console("hostname") == "lab1\n"
    finally:
        lab.reconnect("lab1")
    lab["lab2"].console("ping", "-c", "3", "-W", "1", lab["lab1"].address)


def test_ssh_connections_end_and_new_ones_are_let_in(lab: Lab) -> None:
    with subprocess.Popen([*lab.ssh("lab1"), "echo in; sleep 60"], stdout=subprocess.PIPE, text=True) as connection:
        assert connection.stdout is not None and connection.stdout.readline() == "in\n"
        faults.end_ssh(lab["lab1"])
        assert connection.wait(20) == 255
    assert call([*lab.ssh("lab1"), "echo again"]) == "again\n"


def test_only_a_small_disk_is_filled(lab: Lab) -> None:
    host = lab["lab1"]
    with pytest.raises(LabError):
        faults.fill(host)
    faults.limit_state(host, 1 << 20)
    try:
        faults.fill(host)
        with pytest.raises(LabError, match="No space left"):
            host.console("cp", "/bin/sh", f"{faults.STATE_ROOT}/more")
        faults.free(host)
        host.console("cp", "/bin/sh", f"{faults.STATE_ROOT}/more")
    finally:
        faults.unlimit_state(host)


def test_the_engine_is_a_lab_hosts_own(lab: Lab, engine: docker.DockerClient) -> None:
    faults.restart_engine(lab["lab2"])
    inside = docker.DockerClient(base_url=lab["lab2"].engine_url)
    assert inside.info()["Name"] == "lab2" != engine.info()["Name"]
    inside.close()


def test_nothing_is_left_of_a_lab_that_cannot_start(
    tmp_path: Path, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Wiring] = []
    make = wiring.make
    monkeypatch.setattr(wiring, "make", lambda: made.append(make()) or made[-1])
    with pytest.raises(docker.errors.ImageNotFound):
        labs.up(tmp_path / "lab", 1, images=["fedsim-test/nothing:here"])
    [network] = made
    assert not (wiring.NAMESPACES / network.namespace).exists()
    chosen = {"label": f"{LABEL}={network.number}"}
    assert not engine.containers.list(all=True, filters=chosen)
    assert not engine.volumes.list(filters=chosen)

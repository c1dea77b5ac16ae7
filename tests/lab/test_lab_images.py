"""Images on their way to a lab host over SSH: as a user whom sudo asks for a password, and cut off midway."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.lab.lab_hosts.access import User
from tests.lab.lab_hosts.hosts import LabHost
from tests.lab.lab_hosts.lab import Lab

SMALL, LARGE = 4 << 20, 400 << 20
WITHIN_S = 60


@pytest.fixture
def lab(three_lab_hosts: Lab) -> Lab:
    return three_lab_hosts


def make_image(host: LabHost, size: int) -> str:
    """Give a lab host an image of so many bytes that do not compress; return its reference."""
    stream, key = io.BytesIO(), uuid.uuid4().hex[:16]
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = size
        tar.addfile(entry, io.BytesIO(os.urandom(size)))
    with closing(docker.DockerClient(base_url=host.engine_url, timeout=120)) as client:
        changes = ["LABEL org.fedsim.kind=image", f"LABEL org.fedsim.image={key}"]
        client.api.import_image_from_data(stream.getvalue(), repository="fedsim-test/ship", tag=key, changes=changes)
    return f"fedsim-test/ship:{key}"


def images_of(host: LabHost) -> dict[str, str]:
    """The ids of a lab host's images by their names; those without one, by their ids."""
    with closing(docker.DockerClient(base_url=host.engine_url, timeout=120)) as client:
        return {tag: str(image.id) for image in client.images.list(all=True) for tag in image.tags or [str(image.id)]}


def play(lab: Lab, user: User, ref: str, folder: Path, *words: str) -> list[str]:
    """The words of a play that sends an image of lab1 to all others."""
    others = [host.name for host in lab.hosts[1:]]
    shipment: dict[str, Any] = {"builder": "lab1", "refs": [ref], "to": {name: [ref] for name in others}}
    tasks = [
        {
            "fedsim.testbed.fedsim_image_layers": {
                "refs": f"{{{{ ['{ref}'] if inventory_hostname == 'lab1' else [] }}}}"
            },
            "register": "found",
        },
        {
            "fedsim.testbed.fedsim_image_shipment": {
                "shipments": [shipment],
                "hosts": "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'found'))) }}",
            },
            "delegate_to": "localhost",
            "run_once": True,
            "vars": {"ansible_become": False},
            "register": "shipped",
            "failed_when": "shipped.errors | default({}) | length > 0",
        },
    ]
    path = folder / "ship.yml"
    path.write_text(yaml.safe_dump([{"hosts": "lab_hosts", "gather_facts": False, "tasks": tasks}]))
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(lab.inventory(user)), str(path), *words]
    return lab.on_control_node(command)


def environment() -> dict[str, str]:
    return {**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}


def test_sudo_may_ask_for_a_password_which_nobody_sees(lab: Lab, tmp_path: Path) -> None:
    ref = make_image(lab["lab1"], SMALL)
    given = tmp_path / "variables.json"
    given.write_text(json.dumps({"ansible_become_password": lab.password}))
    words = play(lab, "alice", ref, tmp_path, "-vvv", "-e", f"@{given}")
    outcome = subprocess.run(words, env=environment(), cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert outcome.returncode == 0, outcome.stdout[-4000:] + outcome.stderr
    assert "from lab1 to lab2, lab3 in" in outcome.stdout
    assert lab.password not in outcome.stdout + outcome.stderr
    assert images_of(lab["lab2"])[ref] == images_of(lab["lab3"])[ref] == images_of(lab["lab1"])[ref]


def test_a_play_that_is_killed_leaves_nothing_on_its_way(lab: Lab, tmp_path: Path) -> None:
    ref = make_image(lab["lab1"], LARGE)
    before = images_of(lab["lab2"])
    words = play(lab, "root", ref, tmp_path)
    ansible = subprocess.Popen(
        words,
        env=environment(),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        await_that(lambda: left_over(lab["lab2"]) and left_over(lab["lab3"]))
    finally:
        os.killpg(ansible.pid, signal.SIGKILL)
        ansible.wait()
    for host in lab.hosts:
        await_that(lambda host=host: not left_over(host))
    assert images_of(lab["lab2"]) == before


def left_over(host: LabHost) -> str:
    """Files that the Engine made for an archive, and programs of a shipment."""
    command = "ls -d /var/lib/docker/tmp/docker-* 2>/dev/null; pgrep -af fedsim-program | grep -v 'sh -c'; true"
    return host.console("sh", "-c", command).strip()


def await_that(condition: Any) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)

"""Lab hosts without Docker: playbooks that create a file for each thing, and Engines that list these files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedsim_runner.lab.host import LabHost
from fedsim_runner.testbed.docker.stages import STAGES
from fedsim_runner.testbed.docker.testbed import DockerTestbed
from tests.fake_engine import FakeEngine

PROVISIONING = ("preflight", "devices")
PLAY = """\
- name: {name}
  hosts: lab_hosts
  gather_facts: false
  tasks:
    - ansible.builtin.shell: |
        {command}
"""
LEAVE = "echo {{{{ fedsim_run }}}} > {root}/{{{{ inventory_hostname }}}}-{name}; sleep 1"
REMOVE = "rm -f {root}/{{{{ inventory_hostname }}}}-*"
FETCH = "touch {{{{ fedsim_run_dir }}}}/{{{{ inventory_hostname }}}}-collected"


class TinyLab:
    """Two lab hosts in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hosts = [LabHost("one"), LabHost("two")]
        self.engines = {host.name: FakeEngine() for host in self.hosts}
        (root / "playbooks").mkdir(parents=True)
        (root / "left").mkdir()
        leaves = {stage.name: stage.leaves for stage in STAGES}
        up = "".join(self._play(name, LEAVE if leaves[name] else "true") for name in PROVISIONING)
        teardown = self._play("teardown", REMOVE)
        self._write("up.yml", up)
        self._write("run_experiment.yml", up + self._play("course", "true") + teardown)
        self._write("destroy.yml", teardown)
        self._write("collect.yml", self._play("collect", FETCH))

    @property
    def testbed(self) -> DockerTestbed:
        return DockerTestbed(
            self.hosts,
            connect=self.connect,
            probe=lambda hosts, _: [LabHost(host.name, 64, 2**40, "amd64") for host in hosts],
            playbooks=self.root / "playbooks",
            state_root=self.root / "state",
        )

    @contextmanager
    def connect(self, host: LabHost, timeout_s: int = 30) -> Iterator[FakeEngine]:
        """The host's Engine, which contains what the playbooks created."""
        engine = self.engines[host.name]
        engine.things = {}
        for path in sorted((self.root / "left").glob(f"{host.name}-*")):
            engine.things.setdefault(path.read_text(encoding="utf-8").strip(), []).append(path.name)
        engine.answers = {run: {"changed": True, "state": "running"} for run in engine.things}
        yield engine

    def _play(self, name: str, command: str) -> str:
        return PLAY.format(name=name, command=command.format(root=self.root / "left", name=name))

    def _write(self, name: str, text: str) -> None:
        (self.root / "playbooks" / name).write_text(text, encoding="utf-8")

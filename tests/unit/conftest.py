"""What the tests of the life cycle share: a separate content folder, and the program in a separate process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from fedsim_runner.runs import hold

# How many examples hypothesis tries: few and the same ones in the checks, many and new ones in `make soak`. None has a
# time limit, as a machine may be busy with something else.
_SLOW_IS_FINE: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
settings.register_profile("checks", max_examples=40, derandomize=True, database=None, **_SLOW_IS_FINE)
settings.register_profile("soak", max_examples=3000, print_blob=True, **_SLOW_IS_FINE)
# Before pytest reads --hypothesis-profile, if a folder below this one is named on the command line.
settings.load_profile("checks")

REPOSITORY = Path(__file__).resolve().parents[2]

# A separate testbed, which is found before the installed one.
TESTBED = """\
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from fedsim_runner.runs import hold
from fedsim_runner.testbed.docker.testbed import DockerTestbed
from tests.fake_engine import FakeEngine

root = Path(__file__).parent
# Other tests on this machine may run the same names at the same time.
hold.PREFIX = f"fedsim/test/{root.stat().st_ino}/"

@contextmanager
def connect(host, timeout_s=30):
    # There is no Engine: its content is what the playbooks left in a folder.
    left = {}
    for path in sorted(root.glob("left-*")):
        left.setdefault(path.read_text().strip(), []).append(path.name)
    yield FakeEngine(left)

def make():
    return DockerTestbed(connect=connect, playbooks=root / "playbooks", state_root=root / "state-folders")
"""
DISTRIBUTION = {
    "METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n",
    "entry_points.txt": "[fedsim.testbeds]\ndocker = tiny_testbed:make\n",
}

TEARDOWN = """\
- name: teardown
  hosts: lab_hosts
  gather_facts: false
  tasks:
    - ansible.builtin.shell: >-
        echo {{{{ fedsim_run }}}} >> {root}/torn-down; {slow}
        rm -rf {root}/left-* {root}/state-folders/{{{{ fedsim_run }}}}
"""
COLLECT = """\
- name: collect
  hosts: lab_hosts
  gather_facts: false
  tasks:
    - ansible.builtin.shell: "echo x >> {root}/fetched"
"""
PLAY = """\
- name: {name}
  hosts: lab_hosts
  gather_facts: false
  tasks:
    - ansible.builtin.shell: "echo {{{{ fedsim_run }}}} > {root}/left-{number}; {command}"
"""


class Driver:
    """Runs ``fedsim-provision`` on tiny playbooks."""

    def __init__(self, root: Path, spec: Path) -> None:
        self.root = root
        self.spec = spec
        self.lines: list[str] = []
        self._reader: threading.Thread | None = None
        (root / "playbooks").mkdir(parents=True)
        (root / "tiny_testbed.py").write_text(TESTBED, encoding="utf-8")
        (root / "tiny-1.dist-info").mkdir()
        for name, text in DISTRIBUTION.items():
            (root / "tiny-1.dist-info" / name).write_text(text, encoding="utf-8")
        self.stages([])
        self.teardown()

    def stages(self, stages: list[tuple[str, str]], playbook: str = "run_experiment.yml") -> None:
        """Write a playbook of plays, each with a name and a shell command."""
        plays = [
            PLAY.format(name=name, root=self.root, number=number, command=command)
            for number, (name, command) in enumerate(stages)
        ]
        self._write(playbook, "".join(plays))
        self._write("collect.yml", COLLECT.format(root=self.root))

    def teardown(self, slow: str = "") -> None:
        self._write("destroy.yml", TEARDOWN.format(root=self.root, slow=slow))

    def _write(self, name: str, text: str) -> None:
        (self.root / "playbooks" / name).write_text(text or "[]", encoding="utf-8")

    def start(self, *arguments: str, output: int | None = None, **environment: str) -> None:
        """``output``: open file to print to; else the lines are in ``lines``."""
        path = os.pathsep.join([str(self.root), str(REPOSITORY)])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fedsim_runner", *arguments],
            cwd=self.root,
            env={**os.environ, "XDG_STATE_HOME": str(self.root / "state"), "PYTHONPATH": path, **environment},
            stdout=subprocess.PIPE if output is None else output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        if output is not None:
            self._reader = None
            return
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + 60
        while not any(text in line for line in list(self.lines)):
            if self.process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{text!r} was not printed:\n{self.output}")
            time.sleep(0.02)

    def signal(self, number: int = signal.SIGINT) -> None:
        os.killpg(self.process.pid, number)

    def finish(self) -> int:
        code = self.process.wait(200)
        if self._reader is not None:
            self._reader.join(10)
        return code

    def run(self, *arguments: str) -> int:
        self.start(*arguments)
        return self.finish()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def has(self, name: str) -> bool:
        return (self.root / name).exists()


@pytest.fixture(autouse=True)
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process are held under names of its own: other tests on this machine may use the same."""
    monkeypatch.setattr(hold, "PREFIX", f"fedsim/test/{os.getpid()}/")


@pytest.fixture
def driver(tmp_path: Path, repository: Path) -> Iterator[Driver]:
    made = Driver(tmp_path / "content", repository / "examples" / "quickstart.yaml")
    yield made
    if hasattr(made, "process") and made.process.poll() is None:
        made.signal(signal.SIGKILL)
        made.process.wait()

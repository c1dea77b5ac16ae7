"""Running the command as a user does, on this machine's real Docker Engine."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import docker
import pytest

RUN_LABEL = "org.fedsim.run"
STATE_ROOT = Path("/var/lib/fedsim")

SMALL = """\
name: {name}
seed: 3
device_types:
  mote: {{based_on: iot-minimal, cpus: {cpus}, network: slow}}
devices:
  - {{name: server, type: mote, role: server}}
  - {{name: mote, type: mote, count: 2}}
network:
  verify: "{verify}"
  profiles:
    slow: {{bandwidth_up_kbps: 2000, bandwidth_down_kbps: 4000, latency_ms: 20}}
course: {{timeout: {timeout}, silence_timeout: {silence}}}
data: {{dataset: digits, split: iid}}
federatedscope:
  config:
    federate: {{total_round_num: {rounds}, make_global_eval: true}}
    model: {{type: lr, out_channels: 10, task: classification}}
    criterion: {{type: CrossEntropyLoss}}
    dataloader: {{batch_size: 16}}
    train: {{local_update_steps: 1, batch_or_epoch: epoch, optimizer: {{lr: 0.1}}}}
    eval: {{freq: 1, metrics: [acc], best_res_update_round_wise_key: test_loss}}
"""


def small_spec(
    folder: Path, name: str, rounds: int = 3, timeout: int = 300, silence: int = 120, verify: str = "off"
) -> Path:
    """An experiment of three devices on slow links, which takes seconds longer if these are measured."""
    path = folder / f"{name}.yaml"
    text = SMALL.format(name=name, cpus=0.5, rounds=rounds, timeout=timeout, silence=silence, verify=verify)
    path.write_text(text, encoding="utf-8")
    return path


class Command:
    """A running ``fedsim-provision`` in its own process group, whose output can be waited for."""

    def __init__(self, arguments: list[str], cwd: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fedsim_runner", *arguments],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, text: str, seconds: float = 240) -> None:
        """Wait until a line that contains ``text`` was printed."""
        end = time.monotonic() + seconds
        while not any(text in line for line in list(self.lines)):
            if self.process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{text!r} was not printed:\n{self.output}")
            time.sleep(0.02)

    def finish(self, seconds: float = 400) -> int:
        """Wait for the end and return the exit code."""
        code = self.process.wait(seconds)
        self._reader.join(10)
        return code

    @property
    def output(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a separate registry of runs."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


def left_over(client: docker.DockerClient, run: str | None = None) -> list[str]:
    """Containers, networks and volumes that carry a run's label, and its state folder."""
    label = RUN_LABEL if run is None else f"{RUN_LABEL}={run}"
    filters = {"label": label}
    names = [container["Names"][0] for container in client.api.containers(all=True, filters=filters)]
    names += [network["Name"] for network in client.api.networks(filters=filters)]
    names += [volume["Name"] for volume in client.api.volumes(filters=filters)["Volumes"] or []]
    if run is not None and (STATE_ROOT / run).exists():
        names.append(str(STATE_ROOT / run))
    return names

"""What carries the devices fails: the agent, the run's network, the disks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.acts import fill_disk, kill_agent, kill_network
from tests.faults.live_run import LiveRun
from tests.faults.scenario import ENDED, Act, Outcome, Scenario, Start, Step, round_ends

FAILED = 5
DEVICES = ("server", "mote-1", "mote-2")
SMALL_DISK_BYTES = 48 << 20
# A loaded machine adds this to the time in which something is noticed.
SLACK_S = 10
# Collecting, tearing down and the report, on a machine with much else to do.
END_S = 180


@contextmanager
def _mounted(folder: Path, *arguments: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    subprocess.run(["mount", *arguments, str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


def _unmount(path: str) -> Act:
    def act(run: LiveRun) -> None:
        # Lazily: the agent of the run that was kept has open files there.
        subprocess.run(["umount", "--lazy", str(run.state.path / path)], check=True)

    return act


@contextmanager
def _small_disk(run: LiveRun) -> Iterator[None]:
    """A small disk under the run's state folder, with a part that is reserved for root, and so for the agent."""
    image = run.where / "disk"
    image.write_bytes(b"")
    os.truncate(image, SMALL_DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-m", "30", str(image)], check=True)
    with _mounted(run.state.path, "-o", "loop", str(image)):
        yield


@contextmanager
def _small_agent_disk(run: LiveRun) -> Iterator[None]:
    """A disk of 4 MB under the agent's folder."""
    with _mounted(run.state.agent, "-t", "tmpfs", "-o", "size=4m", "fedsim-test"):
        yield


SCENARIOS = (
    Scenario(
        "agent-killed",
        "A dead agent ends the run with its name",
        Start(),
        (Step(round_ends(2), kill_agent),),
        Outcome(FAILED, within_s=4 + SLACK_S + END_S, reason="agent"),
    ),
    Scenario(
        "network-killed",
        "The end of the container that holds the run's network ends the course with its name",
        Start(),
        (Step(round_ends(2), kill_network),),
        Outcome(FAILED, noticed_s=4 + SLACK_S, reason="--network, which holds the run's network, has ended"),
    ),
    Scenario(
        "disk-full-device",
        "A full disk under a device's out folder is named",
        Start(options=("--keep",), around=_small_disk),
        (Step(round_ends(2), fill_disk("devices/mote-1/out/filler")), Step(ENDED, _unmount("."))),
        Outcome(FAILED, reason="No space left on device", collected=DEVICES, removed_by_down=True),
    ),
    Scenario(
        "disk-full-journal",
        "A full disk under the journal is named",
        Start(options=("--keep",), around=_small_agent_disk),
        (Step(round_ends(2), fill_disk("agent/filler")), Step(ENDED, _unmount("agent"))),
        Outcome(FAILED, reason=r"^no space left on .*/agent/journal\.jsonl$", collected=DEVICES, removed_by_down=True),
    ),
)

"""Where files that more than one process reads or writes are: on the lab host, in a container, in a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: The parent of the state folders, one per run, on each lab host.
STATE_ROOT: Final = Path("/var/lib/fedsim")

#: Where a device's container sees its inputs (read-only), its output and the gate (read-only).
DEVICE_INPUTS: Final = "/fedsim/in"
DEVICE_OUTPUTS: Final = "/fedsim/out"
DEVICE_GATE: Final = "/fedsim/gate"

DEVICE_FILE: Final = "device_file.json"
#: The address of the Engine that carries a run.
ENGINE_FILE: Final = "engine"
#: Events of before the agent started, which it records: how its devices are emulated.
EMULATED: Final = "emulated.jsonl"
#: Which uids the run's devices have on a lab host.
USERS: Final = "users.json"

#: A participant's inputs (a server also gets the model that it starts with, if its experiment names one) ...
CONFIG: Final = "config.yaml"
LAUNCHER: Final = "launcher.json"
SHARD: Final = "shard.npz"
INITIAL_MODEL: Final = "initial_model.pt"
#: ... and, among its outputs, the record of how it ended, and a server's last global model.
EXIT_RECORD: Final = "exit.json"
MODEL: Final = "model.pt"
#: In the gate's folder: a launcher waits for the file with its device's name in the first to load its engine, and then
#: for the second to take part; a server reads the third, and all read the fourth.
GATE_LOAD: Final = "load"
GATE_OPEN: Final = "open"
GATE_LOST: Final = "lost.json"
GATE_OFFLINE: Final = "offline.json"

#: The agent's files.
JOURNAL: Final = "journal.jsonl"
METRICS: Final = "metrics.csv"
HOST_LOAD: Final = "host.csv"
LINK_COUNTERS: Final = "link_counters.csv"
SNAPSHOT: Final = "snapshot.json"

#: In a run folder on the control node.
COLLECTED: Final = "collected"
CONTAINERS: Final = "containers.json"
DEVICE_FILES: Final = "device_files"
LEFT_OUT: Final = "left_out.json"
INVENTORY: Final = "inventory"
MANIFEST: Final = "manifest.json"
PARTICIPANTS: Final = "participants"
PLAN: Final = "plan.json"
REPORT: Final = "report.json"


@dataclass(frozen=True)
class StateFolder:
    """A run's folder on a lab host."""

    path: Path

    @property
    def device_file(self) -> Path:
        """The device file of this lab host."""
        return self.path / DEVICE_FILE

    @property
    def claim(self) -> Path:
        """The file that says who works on the run (see :mod:`.claim`)."""
        return self.path / "claim.json"

    @property
    def reservation(self) -> Path:
        """The file with what the run is about to take of the lab host (see :mod:`.reservation`)."""
        return self.path / "reservation.json"

    @property
    def engine(self) -> Path:
        """The file with the address of the Engine that carries the run."""
        return self.path / ENGINE_FILE

    @property
    def emulated(self) -> Path:
        """The file with the events that say how devices are emulated here."""
        return self.path / EMULATED

    @property
    def users(self) -> Path:
        """The file that records which uids the devices have here."""
        return self.path / USERS

    @property
    def gate(self) -> Path:
        """The gate's folder, which every device sees."""
        return self.path / "gate"

    @property
    def gate_load(self) -> Path:
        """The folder with a file for each device that may load its engine; missing until the first one may."""
        return self.gate / GATE_LOAD

    @property
    def gate_open(self) -> Path:
        """The file that launchers wait for."""
        return self.gate / GATE_OPEN

    @property
    def gate_lost(self) -> Path:
        """The file of the clients that were given up."""
        return self.gate / GATE_LOST

    @property
    def gate_offline(self) -> Path:
        """The file of the devices that are offline."""
        return self.gate / GATE_OFFLINE

    @property
    def agent(self) -> Path:
        """The folder of the agent's files."""
        return self.path / "agent"

    @property
    def journal(self) -> Path:
        """The journal, one event per line."""
        return self.agent / JOURNAL

    @property
    def metrics(self) -> Path:
        """Samples of the devices' usage, one line per device and second."""
        return self.agent / METRICS

    @property
    def host_load(self) -> Path:
        """Samples of the lab host's own load, one line per second."""
        return self.agent / HOST_LOAD

    @property
    def link_counters(self) -> Path:
        """What has passed each direction of the devices' links, one line for every second in which something has."""
        return self.agent / LINK_COUNTERS

    @property
    def snapshot(self) -> Path:
        """The latest state of the course, as the agent sees it."""
        return self.agent / SNAPSHOT

    @property
    def control(self) -> Path:
        """The socket on which the agent takes calls."""
        return self.agent / "control.sock"

    @property
    def channel(self) -> Path:
        """Where the agents of a run on several lab hosts find each other, and the secret that they share."""
        return self.agent / "channel.json"

    @property
    def memory(self) -> Path:
        """What a restarted agent has to know."""
        return self.agent / "state.json"

    @property
    def lab_network(self) -> Path:
        """What a restarted agent has to know of how the run's lab hosts are joined."""
        return self.agent / "lab_network.json"

    @property
    def timeline(self) -> Path:
        """What a restarted agent has to know of the timeline."""
        return self.agent / "timeline.json"

    @property
    def left_out(self) -> Path:
        """What of the devices' interfaces does not count: what measured their links."""
        return self.agent / "not_counted.json"

    @property
    def cursors(self) -> Path:
        """The folder that records how far each consumer has read the journal."""
        return self.agent / "cursors"

    @property
    def devices(self) -> Path:
        """The parent of the devices' folders."""
        return self.path / "devices"

    def device(self, name: str) -> Path:
        """Return the folder of one device."""
        return self.devices / name

    def inputs(self, device: str) -> Path:
        """Return the folder that the device's container sees as :data:`DEVICE_INPUTS`."""
        return self.device(device) / "in"

    def outputs(self, device: str) -> Path:
        """Return the folder that the device's container sees as :data:`DEVICE_OUTPUTS`."""
        return self.device(device) / "out"

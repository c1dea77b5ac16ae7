"""The result of planning: every device's lab host, address and actual limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..compute.values import Speed
from ..contract.time_scale import REAL_TIME, TimeScale
from ..lab.host import LabHost
from ..spec.experiment import Device, Experiment


@dataclass(frozen=True)
class PlacedDevice:
    """A device on its lab host: its address and the limits it actually gets."""

    device: Device
    lab_host: str
    address: str
    port: int
    cpus: float  # after the common factor
    threads: int
    gpu_ids: tuple[str, ...]  # as the Engine calls them
    index: int  # 0 for the server, 1..n for clients; also FederatedScope's data_idx
    emulated: bool = False  # its programs are of another architecture than its lab host's
    speed: Speed | None = None  # None: nominal

    @property
    def gpus(self) -> int:
        """How many GPUs it gets."""
        return len(self.gpu_ids)


@dataclass(frozen=True)
class HostLoad:
    """What the devices of one lab host are expected to take of it.

    Attributes:
        memory_bytes: of all participants, loaded and with a small model, and of what the testbed adds for each.
        cpus: what their limits allow them together.
        tasks: processes and threads, as far as they are known.
        start_s: until the last of them waits at the gate.
        load_s: from there until the last has loaded what its engine needs; the course begins then.
    """

    lab_host: LabHost
    devices: int
    memory_bytes: int
    cpus: float
    tasks: int
    start_s: float
    load_s: float


@dataclass(frozen=True)
class MessageSizes:
    """A model as the messages of a course carry it. Bytes are those of encoded messages.

    Attributes:
        numbers: elements of all tensors that the server sends.
        to_client: the model at the beginning of a round.
        from_client: a client's update.
        evaluate: the model that a client is asked to evaluate; 0: clients do not evaluate.
        finish: the final model, which every client receives.
        limit: larger messages are refused by their receiver.
        limit_key: the key of the course's configuration that sets the limit; None: it is fixed.
    """

    numbers: int
    to_client: int
    from_client: int
    evaluate: int
    finish: int
    limit: int
    limit_key: str | None = None

    @property
    def largest(self) -> int:
        return max(self.to_client, self.from_client, self.evaluate, self.finish)


@dataclass(frozen=True)
class Transfer:
    """Seconds that a device's messages of one round are under way; of the server those of all clients together."""

    receive_s: float
    send_s: float


@dataclass(frozen=True)
class Traffic:
    """What the messages of a course take at least of its links: without retransmissions, and without computing.

    Attributes:
        transfers: in the order of the plan's devices.
        round_s: from the first message of a round to the last update that it waits for.
        course_s: of all rounds, evaluations and the final model.
        slowest: the client whose messages take longest.
    """

    sizes: MessageSizes
    transfers: tuple[Transfer, ...]
    round_s: float
    course_s: float
    slowest: str


@dataclass(frozen=True)
class Plan:
    """Everything needed to write the inventory."""

    experiment: Experiment
    run: str
    lab_hosts: tuple[LabHost, ...]  # those that carry devices, by name
    placed: tuple[PlacedDevice, ...]
    cpu_factor: float
    subnet: str
    loads: tuple[HostLoad, ...] = ()  # in the order of lab_hosts
    traffic: Traffic | None = None  # None: the size of the model is not known
    notes: tuple[str, ...] = ()  # for the user: over-commitment, missing GPU, arch not emulated
    course_notes: tuple[str, ...] = ()  # for the user: of the course itself, wherever it runs

    @property
    def time_scale(self) -> TimeScale:
        """How device time and wall time are related: dilated, by the factor that scales the cpus, too."""
        return time_scale_of(self.experiment, self.cpu_factor)

    @property
    def placed_server(self) -> PlacedDevice:
        """The server, which is the first of all devices."""
        return self.placed[0]

    def placed_by_host(self) -> dict[str, list[PlacedDevice]]:
        """The devices of each lab host."""
        return group_by_host(self.placed)


def time_scale_of(experiment: Experiment, cpu_factor: float) -> TimeScale:
    """Return how device time and wall time are related where devices' cpus are scaled by this factor."""
    return TimeScale(cpu_factor) if experiment.time == "dilated" else REAL_TIME


def group_by_host(placed: Iterable[PlacedDevice]) -> dict[str, list[PlacedDevice]]:
    """Return the devices of each lab host, by its name and in their order."""
    found: dict[str, list[PlacedDevice]] = {}
    for item in placed:
        found.setdefault(item.lab_host, []).append(item)
    return found

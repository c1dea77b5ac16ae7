"""What a lab host can carry: memory, processors, processes and time that its devices are expected to take of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..catalog.engines import EngineFacts, engine_facts
from ..contract.units import counted, duration, size
from ..lab.host import LabHost
from ..spec.experiment import Device, Role
from .emulation import EMULATOR_MEMORY_BYTES, slowdown
from .model import HostLoad, MessageSizes, PlacedDevice
from .other_runs import describe_taken
from .placement_error import PlacementError

# For the system, the Engine, the agent, Ansible and what a server keeps of each of many clients.
RESERVED_MEMORY_BYTES = 768 << 20
RESERVED_TASKS = 500
# Numbers in a model that the engines' own figures include.
SMALL_MODEL = 100_000
# From here on it matters what else runs there.
NEARLY_FULL = 0.9


def expected_load(
    host: LabHost, placed: Sequence[PlacedDevice], clients: int, sizes: MessageSizes | None = None
) -> HostLoad:
    """Return what these devices take of their lab host, in a course with so many clients.

    ``sizes``: of the model; None: it is small, or not known.
    """
    engines = [engine_facts(item.device.engine) for item in placed]
    each, cpus, count = host.overhead, host.cpus or 1.0, len(placed)
    residents = [
        resident_bytes(item.device, sizes) + (EMULATOR_MEMORY_BYTES if item.emulated else 0) for item in placed
    ]
    # A server has threads for each client, a client for its server.
    threads = [
        engine.least_pids(clients if item.device.role == "server" else 1)
        for item, engine in zip(placed, engines, strict=True)
    ]
    return HostLoad(
        lab_host=host,
        devices=count,
        memory_bytes=sum(residents) + count * each.memory_bytes,
        cpus=round(sum(item.cpus for item in placed), 4),
        tasks=sum(threads) + count * each.tasks,
        start_s=count * max(each.start_s, each.start_cpu_s / cpus),
        load_s=sum(
            engine.load_cpu_s * slowdown(item.device, host) for item, engine in zip(placed, engines, strict=True)
        )
        / cpus,
    )


def refuse_too_little_memory(load: HostLoad) -> None:
    """Check a lab host's load before anything is made.

    Raises:
        PlacementError: its devices need more memory than there is.
    """
    host = load.lab_host
    free = free_memory_bytes(host)
    if load.memory_bytes > free:
        fit = max(0, int(load.devices * free / load.memory_bytes))
        held = describe_taken(host, lambda taken: taken.memory_bytes, size)
        others = f" and {held}" if held else ""
        need, reserved = "needs" if load.devices == 1 else "need", min(RESERVED_MEMORY_BYTES, host.memory_bytes)
        raise PlacementError(
            f"{counted(load.devices, 'device')} on lab host {host.name} {need} about {size(load.memory_bytes)} of "
            f"memory ({size(load.memory_bytes / load.devices)} each with what the testbed adds), and it has "
            f"{size(host.memory_bytes)}, of which {size(reserved)} are for the system{others}: it carries "
            f"about {fit}; {'wait for the other runs, ' if held else ''}ask for fewer devices or an engine that needs "
            "less, or add lab hosts"
        )


def refuse_too_many(load: HostLoad) -> None:
    """Check how many devices a lab host gets before anything is made.

    Raises:
        PlacementError: it does not connect so many.
    """
    host = load.lab_host
    if host.most_devices is not None and load.devices > host.most_devices:
        raise PlacementError(
            f"lab host {host.name} would get {load.devices} devices, and the bridges of a run have ports for "
            f"{host.most_devices} on a lab host: ask for fewer devices, or add lab hosts"
        )


def describe_tightness(load: HostLoad) -> Iterator[str]:
    """Yield notes on what is nearly used up, or may be."""
    host = load.lab_host
    if load.memory_bytes + RESERVED_MEMORY_BYTES > NEARLY_FULL * host.memory_bytes:
        yield (
            f"lab host {host.name}: its devices are expected to take {size(load.memory_bytes)} of its "
            f"{size(host.memory_bytes)} of memory: nothing else that is large may run there"
        )
    elif host.memory_free_bytes and load.memory_bytes > host.memory_free_bytes:
        yield (
            f"lab host {host.name}: its devices are expected to take {size(load.memory_bytes)} of memory, and only "
            f"{size(host.memory_free_bytes)} are free now: end what else runs there, or ask for fewer devices"
        )
    if host.tasks and load.tasks + RESERVED_TASKS > host.tasks:
        yield (
            f"lab host {host.name}: its devices may have {load.tasks} processes and threads, and its kernel allows "
            f"{host.tasks}: `sysctl -w kernel.pid_max={2 * load.tasks} kernel.threads-max={2 * load.tasks}`"
        )


def describe_load(load: HostLoad) -> str:
    """Describe a lab host's load in one line."""
    host = load.lab_host
    left = host.cpus - load.cpus - sum(taken.cpus for taken in host.taken)
    spare = f"{left:.2f} are left for the testbed" if left > 0 else "none is left for the testbed"
    times = f"about {duration(max(1, load.start_s))} to start them" if load.start_s else ""
    if load.load_s:
        times += f"{', then ' if times else 'about '}{duration(max(1, load.load_s))} until they have loaded"
    return (
        f"Lab host {host.name}: {counted(load.devices, 'device')}, about {size(load.memory_bytes)} of "
        f"{size(host.memory_bytes)} of memory ({size(load.memory_bytes / load.devices)} each); "
        f"{load.cpus:.2f} of {host.cpus:g} cpus, {spare}"
        f"{'; ' if times else ''}{times}"
    )


def model_memory(role: Role, engine: EngineFacts, sizes: MessageSizes) -> int:
    """Bytes that a participant's model, its messages and their decoding take at their peak."""
    each = engine.server_bytes_per_number if role == "server" else engine.client_bytes_per_number
    return max(0, sizes.numbers - SMALL_MODEL) * each


def resident_bytes(device: Device, sizes: MessageSizes | None = None) -> int:
    """Memory that a device's participant is expected to take, once it has loaded its engine."""
    engine = engine_facts(device.engine)
    needs = engine.resident_bytes or engine.memory_bytes
    if sizes is not None:
        needs += model_memory(device.role, engine, sizes)
    return min(needs, device.type.memory_bytes)


def free_memory_bytes(host: LabHost) -> int:
    """Memory of a lab host that a run's devices may take: without what other runs hold and what the system needs."""
    return host.memory_bytes - RESERVED_MEMORY_BYTES - sum(taken.memory_bytes for taken in host.taken)

"""How fast each device is on its lab host, and what it gets of it for that. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from ..catalog.types import DeviceType
from ..compute.calibration import Calibration
from ..compute.references import REFERENCES, convert, reference_of_engine
from ..compute.values import Share, Speed
from ..contract.compute_threads import threads_for
from ..lab.host import LabHost
from ..spec.experiment import Device, Experiment
from .emulation import is_emulated
from .file_place import place_of_device
from .names import join_names
from .placement_error import PlacementError


def is_as_fast_as_its_type(device: Device, host: LabHost) -> bool:
    """Whether a device is to be as fast on a lab host as its type says; else it is nominal there."""
    # A lab host was timed with programs of its own architecture.
    return (
        device.type.compute is not None
        and reference_of_engine(device.engine) is not None
        and host.calibrations is not None
        and not is_emulated(device.type, host)
    )


def cpus_on(device: Device, host: LabHost, factor: float) -> float:
    """The processors that a device would get of a lab host; where its reference was not measured, its nominal ones."""
    reference = reference_of_engine(device.engine)
    measured = reference is not None and reference.name in (host.calibrations or {})
    return _share(device, host, _speed(device, host) if measured else None, factor).cpus


class Speeds:
    """The shares of devices that are placed.

    Args:
        hosts: the lab hosts, by name.
        assigned: the lab host of each device, by its name.

    Attributes:
        hosts: likewise.
    """

    def __init__(self, hosts: Mapping[str, LabHost], assigned: Mapping[str, str]) -> None:
        self.hosts = hosts
        self._assigned = assigned
        self._known: dict[tuple[str, str, DeviceType], Speed | None] = {}  # most devices are alike

    def of(self, device: Device) -> Speed | None:
        """How fast a device is; None: it is nominal, or nothing is limited there."""
        if device.type.compute is None:
            return None
        host = self.hosts[self._assigned[device.name]]
        key = host.name, device.engine, device.type
        if key not in self._known:
            self._known[key] = _speed(device, host)
        return self._known[key]

    def host_of(self, device: Device) -> str:
        """The name of a device's lab host."""
        return self._assigned[device.name]

    def share(self, device: Device, factor: float = 1.0) -> Share:
        """What a device gets of its lab host: of a nominal one as many cores as it has, times the cpu factor."""
        return _share(device, self.hosts[self._assigned[device.name]], self.of(device), factor)

    def cpus(self, device: Device, factor: float = 1.0) -> float:
        """The processors of :meth:`share`."""
        return self.share(device, factor).cpus

    def refuse_unmeasured(self, experiment: Experiment) -> None:
        """Refuse devices whose reference was not measured on their lab hosts.

        Raises:
            PlacementError: there are some; it names the command that measures.
        """
        lacking: dict[tuple[str, str, str], list[Device]] = {}
        for device in experiment.devices:
            host = self.hosts[self._assigned[device.name]]
            reference = reference_of_engine(device.engine)
            if reference is None or host.calibrations is None or not is_as_fast_as_its_type(device, host):
                continue
            if reference.name not in host.calibrations:
                lacking.setdefault((host.name, device.engine, reference.name), []).append(device)
        if not lacking:
            return
        what = "; ".join(
            f"{place_of_device(experiment, these[0])}{join_names([one.name for one in these])}: reference {reference} "
            f"was not measured on lab host {host} ({self.hosts[host].processor or 'its processor is unknown'})"
            for (host, _, reference), these in lacking.items()
        )
        engines = ",".join(dict.fromkeys(engine for _, engine, _ in lacking))
        raise PlacementError(
            f"{what}: `fedsim-provision calibrate --engine {engines}` measures it, with -i and the lab's inventory if "
            "there is one"
        )


def describe_speeds(devices: Sequence[Device], speeds: Speeds, hosts: Sequence[LabHost]) -> Iterator[str]:
    """Yield notes on how fast devices are: emulated accelerators, derived figures, calibrations that are not sure."""
    if all(device.type.compute is None for device in devices) or any(host.calibrations is None for host in hosts):
        return
    nominal = [device.name for device in devices if speeds.of(device) is None]
    if nominal:
        yield f"{join_names(nominal)}: nominal, as many cores of the lab host as the type says, however fast they are"
    of_another = [device.name for device in devices if device.type.compute is not None and speeds.of(device) is None]
    if of_another:
        yield (
            f"{join_names(of_another)}: the figures of the type are not used, as its programs are of another "
            "architecture than the lab host's, or its engine has no reference"
        )
    derived: dict[tuple[str, str], list[str]] = {}
    emulated: dict[str, list[str]] = {}
    for device in devices:
        speed = speeds.of(device)
        if speed is not None and speed.derived:
            derived.setdefault((speed.reference, speed.compute.reference), []).append(device.name)
        if speed is not None and speed.compute.accelerator is not None:
            emulated.setdefault(speed.compute.accelerator, []).append(device.name)
    for (reference, known), names in derived.items():
        yield f"{join_names(names)}: times of {reference} are derived from those of {known} (docs/fidelity.md)"
    for accelerator, names in emulated.items():
        yield f"{join_names(names)}: {accelerator} is emulated in time, not in arithmetic"
    used = {(speeds.host_of(device), speed.reference) for device in devices if (speed := speeds.of(device)) is not None}
    for host in hosts:
        for reference in sorted(reference for name, reference in used if name == host.name):
            yield from _describe_calibration(host, _calibration(host, reference))


def _describe_calibration(host: LabHost, found: Calibration) -> Iterator[str]:
    reference = REFERENCES[found.reference]
    command = f"`fedsim-provision calibrate --engine {reference.engine}"
    lab = ", with -i and the lab's inventory if there is one"
    if not found.is_current(reference):
        yield (
            f"lab host {host.name}: its calibration with {found.reference} is of an earlier version, which timed less, "
            f"or other work: {command}` measures it again{lab}"
        )
    if not found.is_sure:
        busy = " while it was busy with something else" if found.was_busy else ""
        yield (
            f"lab host {host.name}: a step of {found.reference} was measured to ±{found.uncertainty:.0%}{busy}; "
            f"{command} --again` measures it again{lab}"
        )


def _speed(device: Device, host: LabHost) -> Speed | None:
    compute, reference = device.type.compute, reference_of_engine(device.engine)
    if compute is None or reference is None or not is_as_fast_as_its_type(device, host):
        return None
    derived = compute.reference != reference.name
    seconds = convert(compute.seconds, REFERENCES[compute.reference], reference) if derived else compute.seconds
    return Speed(reference.name, seconds, derived, compute, _calibration(host, reference.name).uncertainty)


def _share(device: Device, host: LabHost, speed: Speed | None, factor: float) -> Share:
    if speed is None:
        cpus = round(device.type.cpus * factor, 5)
        return Share(cpus, threads_for(cpus))
    seconds = speed.seconds / factor if factor > 0 else math.inf  # so many that the factor is rounded to 0
    return _calibration(host, speed.reference).share(seconds)


def _calibration(host: LabHost, reference: str) -> Calibration:
    assert host.calibrations is not None
    return host.calibrations[reference]

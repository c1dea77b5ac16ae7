"""Whether the lab has the lab hosts that devices ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..catalog.resolve import unknown_name
from ..lab.host import LabHost
from ..spec.device_settings import experiment_document
from ..spec.experiment import Device, Experiment
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import PathPart, SpecErrors
from .assignment import may_carry
from .placement_error import PlacementError


def check_pins(experiment: Experiment, hosts: Sequence[LabHost]) -> None:
    """Check that each device that asks for a lab host, or for one with certain labels, can have it.

    Raises:
        FedsimError: there is no such lab host; the text has the lines of the experiment file.
        PlacementError: there is one, and it cannot be used now.
    """
    pinned = {one.entry: one for one in experiment.devices if one.lab_host is not None or one.lab_labels}
    wrong = [one for one in pinned.values() if not any(may_carry(host, one) for host in hosts)]
    if not wrong:
        _refuse_missing(pinned.values(), hosts)
        return
    document = experiment_document(experiment, [])
    for device in wrong:
        _report(device, hosts, document)
    raise SpecErrors(document.errors).counted(str(experiment.path or "the experiment file"))


def _refuse_missing(devices: Iterable[Device], hosts: Sequence[LabHost]) -> None:
    for device in devices:
        able = [host for host in hosts if may_carry(host, device)]
        if all(host.missing for host in able):
            raise PlacementError(
                f"device {device.name} asks for lab host {able[0].name}, which cannot be used: {able[0].missing}"
            )


def _report(device: Device, hosts: Sequence[LabHost], document: Document) -> None:
    at: tuple[PathPart, ...] = ("devices", device.entry, "lab_host")
    if device.lab_host is not None:
        problem = unknown_name((), "lab host", device.lab_host, [host.name for host in hosts])
        document.report(at, problem.message, problem.hint)
        return
    missing = {name: text for name, text in device.lab_labels.items() if not _has(hosts, name, text)}
    for name, text in missing.items():
        if any(name in host.labels for host in hosts):
            texts = sorted({host.labels[name] for host in hosts if name in host.labels})
            problem = unknown_name((), f"lab host with {name}:", text, texts)
        else:
            names = sorted({label for host in hosts for label in host.labels})
            problem = unknown_name((), "lab host with label", name, names)
        hint = problem.hint or "give lab hosts fedsim_labels in the lab's inventory, or remove it"
        document.report((*at, name), problem.message, hint)
    if not missing:
        wanted = " and ".join(f"{name}: {text}" for name, text in device.lab_labels.items())
        document.report(at, f"no lab host has {wanted} together", "ask for fewer labels, or add a lab host with them")


def _has(hosts: Sequence[LabHost], name: str, text: str) -> bool:
    return any(host.labels.get(name) == text for host in hosts)

"""Which images each lab host needs, who builds them and to whom they are shipped: pure, from device files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .image_error import ImageError
from .layers import AGENT, AUTO_BASE, ENGINE_PREFIX, Layer, LayerSources, all_logical_names, plan_layers


@dataclass(frozen=True)
class HostImages:
    """The images of a lab host. ``needed`` maps logical image names to architectures; ``present`` are references."""

    name: str
    arch: str
    needed: Mapping[str, str]
    present: frozenset[str]
    local: bool


@dataclass(frozen=True)
class HostPlan:
    """The plan of one lab host. All but ``refs`` are references, parents first.

    Attributes:
        refs: of each image that it needs, by logical name.
        missing: what it lacks now; this is the union of the next three, but for what it builds for others.
        build: built here, for itself and others.
        receive: shipped to it.
        derive: built here from parents that were shipped.
        bases: architectures of the bases that are built here.
    """

    refs: Mapping[str, str]
    missing: tuple[str, ...]
    build: tuple[str, ...] = ()
    receive: tuple[str, ...] = ()
    derive: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shipment:
    """References that one lab host sends; ``to`` says to whom, and which of them that one lacks."""

    builder: str
    refs: tuple[str, ...]
    to: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class ImagePlan:
    """The plans of all lab hosts, what is shipped between them, and the layers behind their references."""

    hosts: Mapping[str, HostPlan]
    shipments: tuple[Shipment, ...]
    layers: tuple[Layer, ...]

    def as_dict(self) -> dict[str, Any]:
        """The plan without its layers, in the form that Ansible passes on."""
        return {
            "hosts": {name: asdict(host) for name, host in self.hosts.items()},
            "shipments": [asdict(shipment) for shipment in self.shipments],
        }


def images_of_devices(devices: Iterable[Mapping[str, Any]], arch: str) -> dict[str, str]:
    """Logical image names with architectures, out of a device file's ``devices``; the agent is always among them.

    With an emulated device comes its engine's image of the lab host itself, to compare the two.

    Raises ImageError: one image in two architectures on one lab host.
    """
    needed = {AGENT: arch}
    for device in devices:
        image, device_arch = str(device["image"]), str(device.get("arch") or arch)
        if device_arch != arch:
            needed[ENGINE_PREFIX + str(device["engine"])] = arch
        if needed.setdefault(image, device_arch) != device_arch:
            raise ImageError(
                f"device {device['name']}: image {image} is needed for {device_arch} and {needed[image]} on one "
                "lab host; give the device type of one of them another `dockerfile`"
            )
    return needed


def emulated_images(devices: Iterable[Mapping[str, Any]], arch: str) -> list[dict[str, Any]]:
    """The devices whose architecture is not the lab host's, by architecture and engine.

    Each entry has ``arch``, ``engine``, the names of its ``devices``, and the logical names of an image: ``emulated``,
    which is one of theirs, and ``native``, the lab host's own of the same engine.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for device in devices:
        device_arch, engine = str(device.get("arch") or arch), str(device["engine"])
        if device_arch != arch:
            names: dict[str, Any] = {"emulated": str(device["image"]), "native": ENGINE_PREFIX + engine}
            entry = found.setdefault(
                (device_arch, engine), {"arch": device_arch, "engine": engine, "devices": [], **names}
            )
            entry["devices"].append(str(device["name"]))
    return list(found.values())


def images_of_everything(arch: str, sources: LayerSources, engines: Sequence[str]) -> dict[str, str]:
    """The images of every device type with each engine, and the agent."""
    return dict.fromkeys(all_logical_names(sources, engines), arch)


def plan_hosts(hosts: Sequence[HostImages], sources: LayerSources, *, base: str = AUTO_BASE) -> ImagePlan:
    """Decide who builds what, and who sends it to whom.

    Images of each architecture are built on one lab host and shipped to the others that lack them; layers that are
    :attr:`~.layers.Layer.thin` are built on every lab host that lacks them, from the parent that was shipped.

    Raises ImageError: an image without a Dockerfile.
    """
    own = {host.name: plan_layers(host.needed, sources, base=base) for host in hosts}
    layers = {layer.ref: layer for found in own.values() for layer in found}
    lacking = {host.name: {layer.ref for layer in own[host.name]} - host.present for host in hosts}
    builders = {arch: _choose_builder(arch, hosts, layers) for arch in {layer.arch for layer in layers.values()}}
    elsewhere = {
        host.name: {ref for ref in lacking[host.name] if builders[layers[ref].arch] != host.name} for host in hosts
    }
    receive = {name: {ref for ref in refs if not layers[ref].thin} for name, refs in elsewhere.items()}
    plans, shipments = {}, []
    for host in hosts:
        sent = {
            name: _ordered((ref for ref in refs if builders[layers[ref].arch] == host.name), layers)
            for name, refs in receive.items()
        }
        to = {name: refs for name, refs in sent.items() if refs}
        ship = {ref for refs in to.values() for ref in refs}
        if ship:
            shipments.append(Shipment(host.name, _ordered(ship, layers), to))
        # With their parents: another lab host may have those already, but the builder may not.
        build = _with_parents((lacking[host.name] - elsewhere[host.name]) | ship, layers) - host.present
        plans[host.name] = HostPlan(
            refs={layer.name: layer.ref for layer in own[host.name] if host.needed.get(layer.name) == layer.arch},
            missing=_ordered(lacking[host.name], layers),
            build=_ordered(build, layers),
            receive=_ordered(receive[host.name], layers),
            derive=_ordered(elsewhere[host.name] - receive[host.name], layers),
            bases=tuple(sorted({layers[ref].arch for ref in build if layers[ref].parent is None})),
        )
    return ImagePlan(plans, tuple(shipments), tuple(layers.values()))


def _choose_builder(arch: str, hosts: Sequence[HostImages], layers: Mapping[str, Layer]) -> str:
    """The lab host of the architecture that has most of its images already; of equals the control node, then the first.

    Without one of the architecture, one that emulates it, as it needs images of it.
    """
    refs = {ref for ref, layer in layers.items() if layer.arch == arch and not layer.thin}
    able = [host for host in hosts if host.arch == arch] or [host for host in hosts if arch in host.needed.values()]
    return min(able, key=lambda host: (len(refs - host.present), not host.local)).name


def _with_parents(refs: Iterable[str], layers: Mapping[str, Layer]) -> set[str]:
    found: set[str] = set()
    for ref in refs:
        current: str | None = ref
        while current is not None:
            found.add(current)
            current = layers[current].parent
    return found


def _ordered(refs: Iterable[str], layers: Mapping[str, Layer]) -> tuple[str, ...]:
    """Parents first: ``layers`` was filled in that order."""
    wanted = set(refs)
    return tuple(ref for ref in layers if ref in wanted)

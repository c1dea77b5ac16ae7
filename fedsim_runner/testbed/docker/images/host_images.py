"""Which images each lab host needs, who builds them and to whom they are shipped: pure, from device files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .image_error import ImageError
from .layers import AGENT, AUTO_BASE, Layer, LayerSources, all_logical_names, plan_layers


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
    """The plan of one lab host. ``build`` and ``ship`` are references, parents first."""

    refs: Mapping[str, str]
    missing: tuple[str, ...]
    builder: str
    build: tuple[str, ...]
    ship: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The plan in the form that Ansible passes on."""
        return asdict(self)


@dataclass(frozen=True)
class ImagePlan:
    """The plans of all lab hosts, and the layers behind their references."""

    hosts: Mapping[str, HostPlan]
    layers: tuple[Layer, ...]


def images_of_devices(devices: Iterable[Mapping[str, Any]], arch: str) -> dict[str, str]:
    """Logical image names with architectures, out of a device file's ``devices``; the agent is always among them.

    Raises ImageError: one image in two architectures on one lab host.
    """
    needed = {AGENT: arch}
    for device in devices:
        image, device_arch = str(device["image"]), str(device.get("arch") or arch)
        if needed.setdefault(image, device_arch) != device_arch:
            raise ImageError(
                f"device {device['name']}: image {image} is needed for {device_arch} and {needed[image]} on one "
                "lab host; give the device type of one of them another `dockerfile`"
            )
    return needed


def images_of_everything(arch: str, sources: LayerSources, engines: Sequence[str]) -> dict[str, str]:
    """The images of every device type with each engine, and the agent."""
    return dict.fromkeys(all_logical_names(sources, engines), arch)


def plan_hosts(hosts: Sequence[HostImages], sources: LayerSources, *, base: str = AUTO_BASE) -> ImagePlan:
    """Decide who builds what. One lab host of each architecture builds for the others: the control node if possible.

    Raises ImageError: an image without a Dockerfile.
    """
    layers: dict[str, Layer] = {}
    own: dict[str, tuple[Layer, ...]] = {}
    builders: dict[str, HostImages] = {}
    for host in sorted(hosts, key=lambda host: not host.local):  # stable: otherwise in the inventory's order
        builders.setdefault(host.arch, host)
    for host in hosts:
        own[host.name] = plan_layers(host.needed, sources, base=base)
        layers.update((layer.ref, layer) for layer in own[host.name])
    lacking = {host.name: {layer.ref for layer in own[host.name]} - host.present for host in hosts}
    plans = {}
    for host in hosts:
        builder = builders[host.arch]
        served = [other for other in hosts if other.arch == host.arch and other is not host] if builder is host else []
        ship = {ref for other in served for ref in lacking[other.name]}
        # With their parents: the other lab host may have those already, but the builder may not.
        build = (lacking[host.name] | _with_parents(ship, layers)) - host.present if builder is host else set()
        plans[host.name] = HostPlan(
            refs={layer.name: layer.ref for layer in own[host.name] if layer.name in host.needed},
            missing=_ordered(lacking[host.name], layers),
            builder=builder.name,
            build=_ordered(build, layers),
            ship=_ordered(ship, layers),
        )
    return ImagePlan(plans, tuple(layers.values()))


def _with_parents(refs: Iterable[str], layers: Mapping[str, Layer]) -> set[str]:
    found: set[str] = set()
    for ref in refs:
        current: str | None = ref
        while current is not None:
            found.add(current)
            current = layers[current].parent
    return found


def _ordered(refs: Collection[str], layers: Mapping[str, Layer]) -> tuple[str, ...]:
    """Parents first: ``layers`` was filled in that order."""
    return tuple(ref for ref in layers if ref in refs)

"""What a manifest says about a run on lab hosts: their Engines, the images, the agent, the links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fedsim_runner.contract.names import LABEL_KIND, LABEL_RUN
from fedsim_runner.results.run_files import read_containers, read_course, read_devices

from .docker_engine import LabEngine
from .image_packages import packages_of


def record_engine(manifest: dict[str, Any], lab_host: str, engine: LabEngine, run: str) -> None:
    """Add a lab host's Engine and the images of the run's containers there."""
    engines = manifest.setdefault("engines", {})
    engines[lab_host] = _engine(engine)
    # What all Engines have in common; with one lab host that is everything.
    parts = list(engines.values())
    manifest["engine"] = {
        key: value for key, value in parts[0].items() if all(part[key] == value for part in parts[1:])
    }
    manifest["images"].update(_images(engine, run))


def record_journal(manifest: dict[str, Any], folder: Path) -> None:
    """Add what the agent reported: the link back end, the kernel, TCP's congestion control, the shaped links."""
    course = read_course(folder)
    manifest["link_backend"] = course.link_backend
    if course.agents:
        started = course.agents[min(course.agents)]
        manifest["agent"] = {key: getattr(started, key) for key in ("kernel", "version", "congestion_control")}
    devices, _ = read_devices(folder)
    manifest["links"] = {
        name: {"network": device.get("network"), "shaped": name in course.shaped, **(device.get("link") or {})}
        for name, device in devices.items()
    }


def record_containers(manifest: dict[str, Any], folder: Path) -> None:
    """Add the images of the collected containers, which the Engine no longer has."""
    for facts in read_containers(folder).values():
        if facts.get("image"):
            manifest["images"].setdefault(facts["image"], {"id": facts.get("image_id"), "digests": []})


def record_packages(manifest: dict[str, Any], engine: LabEngine, run: str) -> None:
    """Add the Python packages of the recorded images that this Engine still has."""
    found = packages_of(engine, _ids(manifest["images"].values()), run)
    for image in manifest["images"].values():
        image["packages"] = found.get(str(image.get("id"))) or image.get("packages")


def _ids(images: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(image["id"]) for image in images if image.get("id")]


def _engine(engine: LabEngine) -> dict[str, Any]:
    seen, info = engine.client.version(), engine.client.info()
    return {
        "version": seen.get("Version"),
        "api": seen.get("ApiVersion"),
        "cpus": info.get("NCPU"),
        "kernel": seen.get("KernelVersion"),
        "os": info.get("OperatingSystem"),
        "cgroup_version": info.get("CgroupVersion"),
        "cgroup_driver": info.get("CgroupDriver"),
        "storage_driver": info.get("Driver"),
    }


def _images(engine: LabEngine, run: str) -> dict[str, dict[str, Any]]:
    """Images by reference, each with its id and, where a registry gave it one, its digest."""
    found: dict[str, dict[str, Any]] = {}
    for item in engine.client.api.containers(all=True, filters={"label": [f"{LABEL_RUN}={run}", LABEL_KIND]}):
        reference = item["Image"]
        if reference not in found:
            seen = engine.client.api.inspect_image(item["ImageID"])
            found[reference] = {"id": item["ImageID"], "digests": seen.get("RepoDigests") or []}
    return found

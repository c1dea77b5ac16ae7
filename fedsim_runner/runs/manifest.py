"""manifest.json: what is needed to say what ran, and to run it again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..results.run_files import read_containers, read_course, read_devices
from ..engines.federatedscope import CachedSource, SettingsError, SourceError, resolve_source, source_manifest
from ..spec.experiment import CourseLimits, Experiment
from ..plan.model import Plan
from ..contract.names import LABEL_KIND, LABEL_RUN
from ..testbed.docker.engine import LabEngine, NoEngineError, lab_engine
from .inputs import EXPERIMENT, INPUTS, SPEC, keep_wheel
from .machine import checkout, control_node
from ..testbed.docker.image_packages import packages_of
from .prepare import Repeated

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1


def start_manifest(
    plan: Plan, began: float, mode: str, folder: Path | None = None, repeats: Repeated | None = None
) -> dict[str, Any]:
    """What is known before anything is done. ``began`` in unix seconds; ``mode`` is ``docker`` or ``processes``."""
    experiment = plan.experiment
    return {
        "version": MANIFEST_VERSION,
        "run": plan.run,
        "experiment": experiment.name,
        "repeats": None if repeats is None else repeats.run,
        "mode": mode,
        "fedsim_runner": __version__,
        "fedsim_runner_source": checkout(),
        "spec_sha256": hashlib.sha256(experiment.source.encode()).hexdigest(),
        "inputs_sha256": None if folder is None else inputs_digest(folder),
        "seed": experiment.seed,  # of the split, the initial model, the sampling, the links
        "cpu_factor": plan.cpu_factor,
        "policies": _policies(experiment.course),
        "mends_off": list(experiment.mends_off),
        "federatedscope": None,
        "link_backend": None,
        "allow_unshaped": experiment.allow_unshaped,
        "links": {},
        "control_node": control_node(),
        "lab_hosts": {
            host.name: {"cpus": host.cpus, "memory_bytes": host.memory_bytes, "arch": host.arch}
            for host in plan.lab_hosts
        },
        "agent": None,
        "engine": None,
        "images": {},
        "started": began,
        "started_utc": _utc(began),
        "ended": None,
        "ended_utc": None,
        "status": None,
    }


def spec_digest(folder: Path) -> str | None:
    """SHA-256 of the run folder's experiment file; None where there is none."""
    return _digest(folder / SPEC)


def inputs_digest(folder: Path) -> str | None:
    """SHA-256 of the run folder's resolved experiment; None where there is none."""
    return _digest(folder / INPUTS / EXPERIMENT)


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def record_engine(manifest: dict[str, Any], run: str) -> None:
    """Add the Engine's versions and the images of the run's containers, as far as they can be had now."""
    try:
        with lab_engine() as engine:
            manifest["engine"] = _engine(engine)
            manifest["images"].update(_images(engine, run))
    except NoEngineError:
        return


def record_journal(manifest: dict[str, Any], folder: Path) -> None:
    """Add what the agent told: the link back end, the kernel, TCP's congestion control, the links that were shaped."""
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
    """Add the images that the collected containers ran, which are gone from the Engine by now."""
    for facts in read_containers(folder).values():
        if facts.get("image"):
            manifest["images"].setdefault(facts["image"], {"id": facts.get("image_id"), "digests": []})


def record_federatedscope(manifest: dict[str, Any], experiment: Experiment, folder: Path) -> None:
    """Add which FederatedScope devices ran, and keep its wheel in the run folder; nothing where no device ran it.

    Raises:
        OSError: the run folder cannot be written.
    """
    if all(device.engine != "federatedscope" for device in experiment.devices):
        return
    try:
        manifest["federatedscope"] = source_manifest(experiment.federatedscope_source)
        wheel = CachedSource(resolve_source(experiment.federatedscope_source)).cached()
    except (SettingsError, SourceError):
        return  # the images told why
    if wheel is not None:
        keep_wheel(wheel, folder)


def record_packages(manifest: dict[str, Any], run: str) -> None:
    """Add the Python packages of the images that are known, as far as the Engine still has them."""
    try:
        with lab_engine() as engine:
            found = packages_of(engine, _ids(manifest["images"].values()), run)
    except NoEngineError:
        return
    for image in manifest["images"].values():
        image["packages"] = found.get(str(image.get("id")))


def _ids(images: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(image["id"]) for image in images if image.get("id")]


def write_manifest(manifest: dict[str, Any], folder: Path, ended: float | None = None) -> None:
    """Write it to the run folder; ``ended`` in unix seconds once the run is over.

    Raises:
        OSError: the folder cannot be written.
    """
    if ended is not None:
        manifest["ended"], manifest["ended_utc"] = ended, _utc(ended)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


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
    """By reference: the image's id, and its digest where a registry gave it one."""
    found: dict[str, dict[str, Any]] = {}
    for item in engine.client.api.containers(all=True, filters={"label": [f"{LABEL_RUN}={run}", LABEL_KIND]}):
        reference = item["Image"]
        if reference not in found:
            seen = engine.client.api.inspect_image(item["ImageID"])
            found[reference] = {"id": item["ImageID"], "digests": seen.get("RepoDigests") or []}
    return found


def _policies(course: CourseLimits) -> dict[str, Any]:
    return {
        "timeout_s": course.timeout_s,
        "silence_timeout_s": course.silence_timeout_s,
        "on_client_failure": course.on_client_failure,
        "min_clients": course.min_clients,
        "round_deadline_s": course.round_deadline_s,
    }


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))

"""manifest.json: what is needed to say what ran, and to run it again."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__
from ..artifacts.files import CONTAINERS, JOURNAL, read_journal, read_json
from ..model import Plan
from .engine import KIND_LABEL, RUN_LABEL, LabEngine, NoEngineError, lab_engine

PACKAGES = ("ansible-core", "ansible-runner", "docker", "numpy", "grpcio", "protobuf", "scikit-learn")


def start_manifest(plan: Plan, began: float, mode: str) -> dict[str, Any]:
    """What is known before anything is done. ``began`` in unix seconds; ``mode`` is ``docker`` or ``processes``."""
    experiment = plan.experiment
    return {
        "run": plan.run,
        "experiment": experiment.name,
        "mode": mode,
        "fedsim_runner": __version__,
        "spec_sha256": hashlib.sha256(experiment.source.encode()).hexdigest(),
        "seed": experiment.seed,
        "cpu_factor": plan.cpu_factor,
        "link_backend": None,
        "control_node": {
            "python": platform.python_version(),
            "kernel": platform.release(),
            "system": platform.platform(),
            "packages": {name: _version(name) for name in PACKAGES},
        },
        "lab_hosts": {host.name: {"cpus": host.cpus, "memory_bytes": host.memory_bytes} for host in plan.lab_hosts},
        "engine": None,
        "images": {},
        "started": began,
        "started_utc": _utc(began),
        "ended": None,
        "ended_utc": None,
        "status": None,
    }


def look_at_engine(manifest: dict[str, Any], run: str) -> None:
    """Add the Engine's versions and the images of the run's containers, as far as they can be had now."""
    try:
        with lab_engine() as engine:
            manifest["engine"] = _engine(engine)
            manifest["images"].update(_images(engine, run))
    except NoEngineError:
        return


def look_at_journal(manifest: dict[str, Any], folder: Path) -> None:
    """Add what the agent told of its lab host: the link back end, the kernel, TCP's congestion control."""
    for event in read_journal(folder / JOURNAL):
        if event["event"] == "agent_started":
            manifest["link_backend"] = event.get("backend")
            manifest["agent"] = {key: event.get(key) for key in ("kernel", "version", "congestion_control")}


def look_at_containers(manifest: dict[str, Any], folder: Path) -> None:
    """Add the images that the collected containers ran, which are gone from the Engine by now."""
    for facts in read_json(folder / CONTAINERS).values():
        if isinstance(facts, dict) and facts.get("image"):
            manifest["images"].setdefault(facts["image"], {"id": facts.get("image_id"), "digests": []})


def write_manifest(manifest: dict[str, Any], folder: Path, ended: float | None = None) -> None:
    """Write it to the run folder; ``ended`` in unix seconds once the run is over.

    Raises:
        OSError: the folder cannot be written.
    """
    if ended is not None:
        manifest["ended"], manifest["ended_utc"] = ended, _utc(ended)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _engine(engine: LabEngine) -> dict[str, Any]:
    seen, info = engine.client.version(), engine.client.info()
    return {
        "version": seen.get("Version"),
        "api": seen.get("ApiVersion"),
        "kernel": seen.get("KernelVersion"),
        "os": info.get("OperatingSystem"),
        "cgroup_version": info.get("CgroupVersion"),
        "cgroup_driver": info.get("CgroupDriver"),
        "storage_driver": info.get("Driver"),
    }


def _images(engine: LabEngine, run: str) -> dict[str, dict[str, Any]]:
    """By reference: the image's id, and its digest where a registry gave it one."""
    found: dict[str, dict[str, Any]] = {}
    for item in engine.client.api.containers(all=True, filters={"label": [f"{RUN_LABEL}={run}", KIND_LABEL]}):
        reference = item["Image"]
        if reference not in found:
            seen = engine.client.api.inspect_image(item["ImageID"])
            found[reference] = {"id": item["ImageID"], "digests": seen.get("RepoDigests") or []}
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))

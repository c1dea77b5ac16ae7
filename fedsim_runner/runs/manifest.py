"""manifest.json: the facts that document a run, and that are needed to repeat it."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..contract import atomic
from ..contract.paths import MANIFEST
from ..engines.protocol import engines_of
from ..plan.model import Plan
from ..results.run_files import read_manifest
from ..spec.experiment import CourseLimits, Experiment
from ..testbed.values import Lack
from .inputs import EXPERIMENT, INPUTS, SPEC, keep_wheel, kept_text
from .machine import checkout, control_node
from .options import Repeated

MANIFEST_VERSION = 1
FOLDER_ID = re.compile("[0-9a-f]{16}")  # the folder may come from somebody else, and Ansible reads the id


def start_manifest(
    plan: Plan,
    began: float,
    testbed: str,
    lacks: Sequence[Lack],
    folder: Path,
    folder_id: str,
    repeats: Repeated | None = None,
    sweep: str | None = None,
) -> dict[str, Any]:
    """The manifest as far as it is known before the start.

    Args:
        plan: the run's plan.
        began: in unix seconds.
        testbed: the name of its kind.
        lacks: parts of the plan that it cannot honour.
        folder: the run folder.
        folder_id: what tells it from others of its name.
        repeats: the run that is repeated.
        sweep: the sweep that the run is a part of.
    """
    experiment = plan.experiment
    return {
        "version": MANIFEST_VERSION,
        "run": plan.run,
        "folder_id": folder_id,
        "experiment": experiment.name,
        "repeats": None if repeats is None else repeats.run,
        "mode": testbed,
        "lacks": [lack.what for lack in lacks],
        "fedsim_runner": __version__,
        "fedsim_runner_source": checkout(),
        "spec_sha256": hashlib.sha256(kept_text(experiment).encode()).hexdigest(),
        "inputs_sha256": inputs_digest(folder),
        "sweep": sweep,
        "overrides": {one.key: one.value for one in experiment.overrides},
        "seed": experiment.seed,  # for the split, the initial model, the sampling, the links
        "cpu_factor": plan.cpu_factor,
        "time": experiment.time,
        "time_factor": plan.time_scale.factor,
        "policies": _policies(experiment.course),
        "patches_off": list(experiment.patches_off),
        "federatedscope": None,
        "link_backend": None,
        "allow_unshaped": experiment.allow_unshaped,
        "links": {},
        "service": {},
        "control_node": control_node(),
        # Where nothing is limited, the lab hosts in the plan are not real.
        "lab_hosts": {}
        if lacks
        else {
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


def folder_id_of(folder: Path) -> str:
    """What tells a run folder from others of its name: as its manifest says, else a new id. A copy has the same."""
    found = str(read_manifest(folder).get("folder_id"))
    return found if FOLDER_ID.fullmatch(found) else secrets.token_hex(8)


def spec_digest(folder: Path) -> str | None:
    """SHA-256 of the run folder's experiment file; None if there is none."""
    return _digest(folder / SPEC)


def inputs_digest(folder: Path) -> str | None:
    """SHA-256 of the run folder's resolved experiment; None if there is none."""
    return _digest(folder / INPUTS / EXPERIMENT)


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def record_sources(manifest: dict[str, Any], experiment: Experiment, folder: Path) -> None:
    """Add the sources of the engines that devices ran, and keep their wheels in the run folder.

    Raises:
        OSError: the run folder cannot be written.
    """
    for engine in engines_of(experiment.devices):
        found = engine.provenance(experiment.federatedscope_source)
        if found is not None:
            manifest[engine.facts.name] = dict(found.facts)
            if found.wheel is not None:
                keep_wheel(found.wheel, folder)


def record_service(manifest: dict[str, Any], report: Mapping[str, Any]) -> None:
    """Add what devices got of their lab hosts during the course, and how busy those were, from the report."""
    devices: Mapping[str, Mapping[str, Any]] = report.get("devices") or {}
    manifest["service"] = {
        "lab_hosts": {
            host["lab_host"]: {key: host[key] for key in ("busy_share", "steal_share", "others_share")}
            for host in report.get("hosts") or []
        },
        "throttled_seconds": {name: entry.get("throttled_seconds") for name, entry in devices.items()},
        "compute": {row["device"]: row["verdict"] for row in report.get("compute") or []},
    }


def write_manifest(manifest: dict[str, Any], folder: Path, ended: float | None = None) -> None:
    """Write the manifest to the run folder; ``ended`` in unix seconds once the run is over.

    Raises:
        OSError: the folder cannot be written.
    """
    if ended is not None:
        manifest["ended"], manifest["ended_utc"] = ended, _utc(ended)
    atomic.write(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def _policies(course: CourseLimits) -> dict[str, Any]:
    return {
        "timeout_s": course.timeout_s,
        "silence_timeout_s": course.silence_timeout_s,
        "on_client_failure": course.on_client_failure,
        "min_clients": course.min_clients,
        "round_deadline_s": course.round_deadline_s,
        "round_quorum": course.round_quorum,
        "round_grace": course.round_grace,
        "target": course.target,
    }


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))

"""Names and labels of everything a run creates. Ownership is decided by label, names are for people to read."""

from __future__ import annotations

import hashlib
import re

LABEL_RUN = "org.fedsim.run"
LABEL_KIND = "org.fedsim.kind"
LABEL_DEVICE = "org.fedsim.device"
LABEL_STATE = "org.fedsim.state"
LABEL_LAB_HOST = "org.fedsim.lab_host"
LABEL_INPUTS = "org.fedsim.inputs"

RUN_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
#: uid and gid that device containers run as; their out folders belong to it.
DEVICE_UID = 10001


def check_run(run: str) -> str:
    """The run id as given.

    Raises:
        ValueError: it is no run id. It becomes part of paths that are removed later, so nothing else may pass.
    """
    if not RUN_PATTERN.fullmatch(run):
        raise ValueError(
            f"{run!r} is no run id: lower case letters, digits and dashes, at most 60, beginning with a letter or digit"
        )
    return run


def container_name(run: str, device: str) -> str:
    return f"fedsim-{run}-{device}"


def agent_name(run: str) -> str:
    return f"fedsim-{run}--agent"


def network_name(run: str) -> str:
    return f"fedsim-{run}"


def bridge_name(run: str) -> str:
    """Name of the run's Linux bridge, which the kernel limits to 15 characters."""
    return "fsim-" + hashlib.sha256(run.encode()).hexdigest()[:10]


def labels(run: str, kind: str, lab_host: str, state_dir: str, device: str | None = None) -> dict[str, str]:
    found = {LABEL_RUN: run, LABEL_KIND: kind, LABEL_LAB_HOST: lab_host, LABEL_STATE: state_dir}
    if device is not None:
        found[LABEL_DEVICE] = device
    return found


def run_filter(run: str, kind: str | None = None) -> dict[str, list[str]]:
    """The Engine's list filter for what belongs to a run."""
    wanted = [f"{LABEL_RUN}={run}"]
    if kind is not None:
        wanted.append(f"{LABEL_KIND}={kind}")
    return {"label": wanted}

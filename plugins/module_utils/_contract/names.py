"""Names and labels of everything a run creates. Labels decide ownership, names are for people."""

from __future__ import annotations

import re
from typing import Final

from .errors import Exit, FedsimError

#: What a container or image belongs to.
LABEL_RUN: Final = "org.fedsim.run"
LABEL_KIND: Final = "org.fedsim.kind"
LABEL_DEVICE: Final = "org.fedsim.device"
LABEL_STATE: Final = "org.fedsim.state"
LABEL_LAB_HOST: Final = "org.fedsim.lab_host"
LABEL_INPUTS: Final = "org.fedsim.inputs"
#: A container that times a reference step; it belongs to no run.
LABEL_CALIBRATION: Final = "org.fedsim.calibration"
#: An image's key, its name, and the image it was built from.
LABEL_IMAGE: Final = "org.fedsim.image"
LABEL_IMAGE_NAME: Final = "org.fedsim.image_name"
LABEL_IMAGE_PARENT: Final = "org.fedsim.image_parent"

#: Values of ``LABEL_KIND``.
KIND_AGENT: Final = "agent"
KIND_DEVICE: Final = "device"
KIND_IMAGE: Final = "image"
KIND_NETWORK: Final = "network"

RUN_LENGTH: Final = 60
RUN_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
#: uid and gid that the images of devices are made for. On a lab host each device has a uid of its own in their place.
IMAGE_UID: Final = 10001


class RunNameError(FedsimError, ValueError):
    """A run id that cannot be used; the text says why."""

    exit = Exit.SPEC


def check_run(run: str, called: str = "run id") -> str:
    """Return the run id if it is valid.

    Args:
        run: the text to check.
        called: what messages call it.

    Raises:
        RunNameError: it is not a run id. It becomes part of paths that are removed later, so nothing else may pass.
    """
    if not RUN_PATTERN.fullmatch(run):
        raise RunNameError(
            f"{run!r} is not a {called}: lower case letters, digits and dashes, at most {RUN_LENGTH}, "
            "beginning with a letter or a digit"
        )
    return run


def container_name(run: str, device: str) -> str:
    """Return the name of a device's container.

    A dot is in no run's and no device's name: with a dash in its place, device ``z`` of run ``x-y`` and device ``y-z``
    of run ``x`` would have one name.
    """
    return f"fedsim-{run}.{device}"


def agent_name(run: str) -> str:
    """Return the name of the container of a run's agent."""
    return f"fedsim-{run}--agent"


def network_name(run: str) -> str:
    """Return the name of the container that holds a run's network."""
    return f"fedsim-{run}--network"


def labels(run: str, kind: str, lab_host: str, state_dir: str, device: str | None = None) -> dict[str, str]:
    """Return the labels of everything that a run creates."""
    found = {LABEL_RUN: run, LABEL_KIND: kind, LABEL_LAB_HOST: lab_host, LABEL_STATE: state_dir}
    if device is not None:
        found[LABEL_DEVICE] = device
    return found


def run_filter(run: str | None = None, kind: str | None = None) -> dict[str, list[str]]:
    """Return the Engine's list filter for what belongs to a run; without ``run``, for what belongs to any run."""
    terms = [LABEL_RUN if run is None else f"{LABEL_RUN}={run}"]
    if kind is not None:
        terms.append(f"{LABEL_KIND}={kind}")
    return {"label": terms}

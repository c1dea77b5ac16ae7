"""The reference training step in a container of an image."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.compute_threads import thread_variables
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import LABEL_RUN
from ansible_collections.fedsim.testbed.plugins.module_utils._device_container import TMPFS
from ansible_collections.fedsim.testbed.plugins.module_utils._device_users import ENVIRONMENT
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    APIError,
    create_container,
    explain,
    read_last_lines,
)

REFERENCE = "fedsim_runner.participant.reference"
#: Emulated, PyTorch alone needs a quarter of a minute to load.
LIMIT_S = 300


class ReferenceTrialError(FedsimError):
    """The reference did not run in an image."""

    exit = Exit.PROVISIONING


def time_reference(client: Any, image: str, run: str) -> dict[str, float]:
    """Return the CPU seconds of ``python`` code and of a training ``step`` in a container of ``image``, on one thread.

    The container is as a device's, but has no CPU limit. With the run's label ``down`` finds it if this is killed.

    Raises:
        ReferenceTrialError: it did not run to its end.
    """
    own = client.inspect_image(image)["Architecture"]
    body = {
        "Image": image,
        "Cmd": ["python3", "-m", REFERENCE],
        "Env": [*ENVIRONMENT, *(f"{name}={value}" for name, value in thread_variables(1).items())],
        "Labels": {LABEL_RUN: run},
        "HostConfig": {"NetworkMode": "none", "ReadonlyRootfs": True, "CapDrop": ["ALL"], "Tmpfs": TMPFS},
    }
    container = None
    try:
        container = create_container(client, body, platform=f"linux/{own}")
        client.start(container)
        code = client.wait(container, timeout=LIMIT_S)["StatusCode"]
        if code != 0:
            raise ReferenceTrialError(
                f"the reference step failed in image {image}: {read_last_lines(client, container)}"
            )
        found = json.loads(client.logs(container, stdout=True, stderr=False))
        return {part: float(found[part]) for part in ("python", "step")}
    except (APIError, OSError, ValueError, LookupError, TypeError) as error:
        raise ReferenceTrialError(f"the reference step did not run in image {image}: {explain(error)}") from error
    finally:
        if container is not None:
            client.remove_container(container, force=True)

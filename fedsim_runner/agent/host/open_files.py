"""How many files this process may have open: it keeps those that it reads every second open."""

from __future__ import annotations

import resource

from fedsim_runner.contract.errors import Exit, FedsimError

#: Up to six files of a device's cgroup and link, and three that its participant writes.
PER_DEVICE = 9
#: Sockets, the journal and what else a process has open.
BESIDES = 200


class TooManyDevicesError(FedsimError):
    """The limit is too low for the run's devices."""

    exit = Exit.LAB


def allow_open_files(devices: int) -> None:
    """Raise this process's limit to the highest that it may have.

    Raises:
        TooManyDevicesError: that is too low for so many devices.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    needed = PER_DEVICE * devices + BESIDES
    if most != resource.RLIM_INFINITY and most < needed:
        raise TooManyDevicesError(
            f"the agent may have {most} files open, and {devices} devices need {needed}",
            hint="raise the limit of open files of the Docker Engine (LimitNOFILE of its service, or `ulimit -n`)",
        )

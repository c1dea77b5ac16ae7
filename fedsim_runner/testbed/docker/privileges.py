"""This user's privileges on the control node."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.lab.access import LabKeys
from fedsim_runner.lab.host import LabHost


def root_command(command: Sequence[str]) -> list[str] | None:
    """The command line with which this user runs ``command`` as root without a password; None if that is impossible."""
    if os.geteuid() == 0:
        return [*command]
    sudo = shutil.which("sudo")
    if sudo is not None and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return [sudo, "-n", *command]
    return None


def check_privileges(hosts: Sequence[LabHost], keys: LabKeys) -> None:
    """Check that the playbooks can become root on this machine, if it is one of the lab hosts.

    Raises:
        FedsimError: this user is not root, and sudo asks for a password or is not installed.
    """
    if all(host.connection != "local" for host in hosts):
        return
    if keys.become_password is not None or keys.become_password_file is not None or root_command([]) is not None:
        return
    raise FedsimError(
        "the lab host is prepared as root (links, state folder), and this user is neither root nor may use sudo "
        "without a password: run the command with sudo, or with -K, which asks for that password; "
        "the files of the run will still be yours. "
        "(Group docker is enough for status, logs and exec.)",
        Exit.LAB,
    )

"""What this user may do on the control node."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from fedsim_runner.contract.errors import Exit, FedsimError


def root_command(command: Sequence[str]) -> list[str] | None:
    """``command`` as this user calls it as root without being asked for a password; None: that is not possible."""
    if os.geteuid() == 0:
        return [*command]
    sudo = shutil.which("sudo")
    if sudo is not None and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return [sudo, "-n", *command]
    return None


def check_privileges() -> None:
    """The playbooks become root on the lab host: see that they can.

    Raises:
        FedsimError: this user is not root and sudo asks for a password or is not there.
    """
    if root_command([]) is not None:
        return
    raise FedsimError(
        "the lab host is prepared as root (links, state folder), and this user is neither root nor may use sudo "
        "without a password: run the command with sudo; the files of the run will still be yours. "
        "(Group docker is enough for status, logs and exec.)",
        Exit.LAB,
    )

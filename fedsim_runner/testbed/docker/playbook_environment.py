"""The process environment in which a playbook runs. It avoids these traps:

- ``ansible-playbook`` is not found outside an activated virtual environment: its folder goes first on PATH.
- The caller's ``ANSIBLE_*`` variables would affect our playbooks: they are dropped and our own are set.
- ansible-runner trusts every host key unless the environment says otherwise: here it does.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from fedsim_runner.content import collections_path, content_root
from fedsim_runner.contract.claim import CONTROL_VARIABLE, RUN_VARIABLE
from fedsim_runner.contract.process_identity import own_identity
from fedsim_runner.system_names import is_utf8

from .remote.control_sockets import ANSIBLE_NAME, fits
from .remote.tunnel import OPTIONS

# Marks every process of one call.
CALL_VARIABLE = "FEDSIM_CALL"


def ansible_environment() -> dict[str, str]:
    """The ``ANSIBLE_*`` variables with which Ansible finds our collection from any folder."""
    return {
        "ANSIBLE_CONFIG": str(content_root() / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
    }


class PlaybookEnvironment:
    """Our process environment for the length of a block: ansible-runner can only add to the caller's, not remove."""

    def __init__(self, run: str, call: str, private: Path, way: str) -> None:
        # ansible-runner writes all of it to a file of text.
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("ANSIBLE_") and is_utf8(key) and is_utf8(value)
        }
        path = filter(is_utf8, os.environ.get("PATH", os.defpath).split(os.pathsep))
        self._during = {
            **kept,
            **ansible_environment(),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), *path]),
            # Ansible refuses to start without a UTF-8 locale; this one exists everywhere.
            "LC_ALL": "C.UTF-8",
            # What a killed program leaves behind goes with the rest.
            "TMPDIR": str(private),
            "ANSIBLE_LOCAL_TEMP": str(private),
            **_instead_of_home(private),
            **_shared_connections(private, way),
            # ansible-runner switches it off where nothing is said. What an inventory says of a host counts.
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            RUN_VARIABLE: run,
            CONTROL_VARIABLE: own_identity(),
            CALL_VARIABLE: call,
        }
        self._before: dict[str, str] = {}

    def __enter__(self) -> None:
        self._before = dict(os.environ)
        _replace(self._during)

    def __exit__(self, *_: object) -> None:
        _replace(self._before)


def _instead_of_home(private: Path) -> dict[str, str]:
    """Where Ansible writes, here and on lab hosts, if it cannot write into the user's home folder."""
    folder = Path.home() / ".ansible"
    if os.access(folder if folder.exists() else folder.parent, os.W_OK):
        return {}
    return {"ANSIBLE_HOME": str(private), "ANSIBLE_REMOTE_TMP": str(private)}


def _shared_connections(private: Path, way: str) -> dict[str, str]:
    """Where sessions of ssh share a connection: a folder for those that come the same way; or nowhere.

    Ansible tells connections apart by host, port and user alone.
    """
    kept = private if _instead_of_home(private) else Path.home() / ".ansible"
    for folder in (kept / "cp" / way, private):
        if fits(folder, ANSIBLE_NAME):
            return {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder)}
    return {"ANSIBLE_SSH_ARGS": shlex.join(OPTIONS)}


def _replace(environment: Mapping[str, str]) -> None:
    for key in set(os.environ) - set(environment):
        del os.environ[key]
    os.environ.update(environment)

"""Settings of Ansible that admins keep outside their inventory, which do not count here, and what to say instead.

Our playbooks have settings of their own, so that they mean the same for everybody. Who is used to ``ansible.cfg`` or to
variables like ``ANSIBLE_REMOTE_USER`` finds a lab host that refuses them, and should read why.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from ..content import content_root

#: What is to be said instead, by the name in ansible.cfg. ``ANSIBLE_`` and the name in capitals is a variable.
_INSTEAD: Final = {
    "remote_user": "ansible_user in the inventory",
    "remote_port": "ansible_port in the inventory",
    "private_key_file": "--private-key, or ansible_ssh_private_key_file in the inventory",
    "host_key_checking": "ansible_host_key_checking in the inventory",
    "ssh_args": "ansible_ssh_args in the inventory",
    "ssh_common_args": "--ssh-common-args, or ansible_ssh_common_args in the inventory",
    "ssh_extra_args": "ansible_ssh_extra_args in the inventory",
    "become_ask_pass": "-K",
    "become_password_file": "--become-password-file",
    "vault_password_file": "--vault-password-file",
    "vault_identity_list": "--vault-id",
    "interpreter_python": "ansible_python_interpreter in the inventory",
}
#: Variables of the environment that have another name than their setting.
_VARIABLES: Final = {"interpreter_python": "ANSIBLE_PYTHON_INTERPRETER"}
_SECTIONS: Final = ("defaults", "ssh_connection", "privilege_escalation")


def describe_unread_here() -> str | None:
    """The same for this process. A user without a home folder has no file there, as nothing is in a removed folder."""
    return describe_unread(os.environ, _found(Path.cwd), _found(Path.home))


def describe_unread(environment: Mapping[str, str], folder: Path | None, home: Path | None) -> str | None:
    """Say which settings would count for Ansible itself and do not count here; None: there are none.

    Args:
        environment: the variables of this process.
        folder: the current one; None: it was removed.
        home: the user's; None: there is none.
    """
    found = [f"{name} (say it with {_INSTEAD[key]})" for name, key in _from_environment(environment)]
    found += [f"{key} of {path} (say it with {_INSTEAD[key]})" for path, key in _from_files(environment, folder, home)]
    return f"Ansible's own settings do not count here: {'; '.join(found)}" if found else None


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key in _INSTEAD:
        name = _VARIABLES.get(key, f"ANSIBLE_{key.upper()}")
        if name in environment:
            yield name, key


def _from_files(environment: Mapping[str, str], folder: Path | None, home: Path | None) -> Iterator[tuple[Path, str]]:
    # Ansible reads the first that there is (ansible.cfg(5)).
    named = environment.get("ANSIBLE_CONFIG")
    expanded = _found(Path(named).expanduser) if named else None
    places = [] if expanded is None else [expanded / "ansible.cfg" if expanded.is_dir() else expanded]
    places += [] if folder is None else [folder / "ansible.cfg"]
    places += [] if home is None else [home / ".ansible.cfg"]
    places += [Path("/etc/ansible/ansible.cfg")]
    path = next((place for place in places if place.is_file()), None)
    if path is None or path.resolve() == (content_root() / "ansible.cfg").resolve():  # ours counts
        return
    parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";",))
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error):
        return  # one that Ansible does not read either
    for key in _INSTEAD:
        if any(parser.has_option(section, key) for section in _SECTIONS):
            yield path, key


def _found(place: Callable[[], Path]) -> Path | None:
    try:
        return place()
    except (OSError, RuntimeError):
        return None

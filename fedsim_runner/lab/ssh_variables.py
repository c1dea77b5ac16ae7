"""How an inventory says that ssh reaches a host, and that its user becomes root: Ansible's variables, checked."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .access import LabKeys
from .ssh import Ssh

#: Passwords of ssh, with which nothing logs in here.
LOGIN_PASSWORDS: Final = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")


def ssh_of(name: str, variables: Mapping[str, Any], keys: LabKeys) -> Ssh:
    """How ssh reaches a host, by the variables of Ansible's connection plugin ``ssh``.

    Raises:
        ValueError: one of them is wrong.
    """

    def first(*names: str) -> Any:
        return next((variables[one] for one in names if variables.get(one) not in (None, "")), None)

    port = first("ansible_port", "ansible_ssh_port")
    if port is not None and not (str(port).isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"ansible_port is {port!r}, and must be a number from 1 to 65535")
    arguments: list[str] = []
    for key in ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"):
        try:
            arguments += shlex.split(str(variables.get(key) or ""))
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
    if keys.ssh_common_args and not variables.get("ansible_ssh_common_args"):
        arguments += shlex.split(keys.ssh_common_args)
    checked = first("ansible_host_key_checking", "ansible_ssh_host_key_checking")
    if checked is not None and str(checked).lower() in ("false", "no", "0"):
        arguments += ["-o", "StrictHostKeyChecking=no"]
    key_file = first("ansible_ssh_private_key_file", "ansible_private_key_file") or keys.private_key
    if key_file is not None:
        arguments += ["-o", f"IdentityFile={Path(str(key_file)).expanduser()}"]
    user = first("ansible_user", "ansible_ssh_user")
    interpreter = str(first("ansible_python_interpreter") or "auto")
    if len(interpreter.split()) > 1:
        # Ansible takes it for one name from ansible-core 2.19 on.
        raise ValueError(f"ansible_python_interpreter is {interpreter!r}, and must be one path, or auto")
    become = variables.get("ansible_become", variables.get("fedsim_become"))
    return Ssh(
        address=str(first("ansible_host", "ansible_ssh_host") or name),
        user=None if user is None else str(user),
        port=None if port is None else int(port),
        arguments=tuple(arguments),
        interpreter="python3" if interpreter.startswith("auto") else interpreter,
        sudo=str(become).lower() not in ("false", "no", "0"),
    )


def become_mistakes(variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each way to become root that does not work here: Engines are reached with sudo alone."""
    if str(variables.get("ansible_become", variables.get("fedsim_become"))).lower() in ("false", "no", "0"):
        return
    method = str(variables.get("ansible_become_method") or "sudo").removeprefix("ansible.builtin.")
    if method != "sudo" and variables.get("ansible_user") != "root":
        yield f"ansible_become_method is {method}, and must be sudo (or ansible_user root, who becomes nobody)"
    user = variables.get("ansible_become_user") or "root"
    if user != "root":
        yield f"ansible_become_user is {user}, and must be root, who alone prepares a lab host"


def password_mistakes(variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each variable with which Ansible would log in by a password."""
    for name in LOGIN_PASSWORDS:
        if name in variables:
            yield f"{name} is set, and ssh logs in with keys only: `ssh-copy-id` puts one there, then remove it"

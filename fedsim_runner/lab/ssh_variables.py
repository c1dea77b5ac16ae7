"""How an inventory says that ssh reaches a host, and that its user becomes root: Ansible's variables, checked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .access import LabKeys
from .ssh import Ssh

#: Passwords of ssh, with which nothing logs in here.
LOGIN_PASSWORDS: Final = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
#: What Ansible takes for no, in lower case.
NO: Final = frozenset({"false", "no", "0", "off", "n", "f"})

_ARGUMENTS: Final = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
_WORD: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\[\]{}'\"-][^\s\x00-\x1f\x7f-\x9f{}'\"]*")


def ssh_of(name: str, variables: Mapping[str, Any], keys: LabKeys) -> tuple[Ssh, list[str]]:
    """How ssh reaches a host, by the variables of Ansible's connection plugin ``ssh``, and a sentence for each mistake.

    Where there are mistakes, what they are about is left out of the first.
    """

    def first(*names: str) -> Any:
        return next((variables[one] for one in names if variables.get(one) not in (None, "")), None)

    mistakes: list[str] = []
    port = first("ansible_port", "ansible_ssh_port")
    if port is not None and not (str(port).isdecimal() and 0 < int(port) < 65536):
        mistakes.append(f"ansible_port is {port!r}, and must be a number from 1 to 65535")
        port = None
    arguments, wrong = _arguments(variables, keys)
    mistakes += wrong
    checked = first("ansible_host_key_checking", "ansible_ssh_host_key_checking")
    if checked is not None and str(checked).lower() in NO:
        arguments += ["-o", "StrictHostKeyChecking=no"]
    key_file = first("ansible_ssh_private_key_file", "ansible_private_key_file") or keys.private_key
    if key_file is not None:
        try:
            arguments += ["-o", f"IdentityFile={Path(str(key_file)).expanduser()}"]
        except RuntimeError:
            mistakes.append(f"ansible_ssh_private_key_file is {key_file}, and there is no such user here")
    user = first("ansible_user", "ansible_ssh_user")
    interpreter = str(first("ansible_python_interpreter") or "auto")
    if len(interpreter.split()) > 1:
        # Ansible takes it for one name from ansible-core 2.19 on.
        mistakes.append(f"ansible_python_interpreter is {interpreter!r}, and must be one path, or auto")
    become = variables.get("ansible_become", variables.get("fedsim_become"))
    address = first("ansible_host", "ansible_ssh_host")
    address = name if address is None else address
    for key, value in (("ansible_host", address), ("ansible_user", user)):
        # Whole numbers are what YAML makes of some names; of one with a dot it may have dropped digits.
        if isinstance(value, float):
            mistakes.append(f"{key} is {value!r}, a number: write it in quotes, or the whole address")
        elif value is not None and (isinstance(value, bool) or not _WORD.fullmatch(str(value))):
            mistakes.append(f"{key} is {value!r}, and must be one word, as ssh takes it")
    ssh = Ssh(
        address=str(address),
        user=None if user is None else str(user),
        port=None if port is None else int(port),
        arguments=tuple(arguments),
        interpreter="python3" if interpreter.startswith("auto") else interpreter,
        sudo=str(become).lower() not in NO,
    )
    return ssh, mistakes


def _arguments(variables: Mapping[str, Any], keys: LabKeys) -> tuple[list[str], list[str]]:
    """The words that variables add to ssh's command line, and a sentence for each mistake."""
    texts = {key: str(variables.get(key) or "") for key in _ARGUMENTS}
    if keys.ssh_common_args and not texts["ansible_ssh_common_args"]:
        texts["--ssh-common-args"] = keys.ssh_common_args
    arguments: list[str] = []
    mistakes: list[str] = []
    for key, text in texts.items():
        if not text.isprintable():
            mistakes.append(f"{key} is {text!r}, and must have no line ends or control characters")
            continue
        try:
            arguments += shlex.split(text)
        except ValueError as error:
            mistakes.append(f"{key}: {error}")
    return arguments, mistakes


def become_mistakes(variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each way to become root that does not work here: Engines are reached with sudo alone."""
    if str(variables.get("ansible_become", variables.get("fedsim_become"))).lower() in NO:
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

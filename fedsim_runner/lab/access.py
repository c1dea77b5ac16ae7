"""Which lab a command works on, and what opens its hosts: values that come from the command line alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class VaultSecret:
    """A password of Ansible Vault. ``text``: as it was typed; None: it is in ``file``, or that program says it."""

    label: str = "default"
    file: Path | None = None
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class LabKeys:
    """What opens lab hosts besides what their inventory says. No part of it is ever written to a run's folder.

    Attributes:
        become_password: for sudo on the lab hosts; None: none was asked for.
        become_password_file: holds it.
        vault: passwords for what is encrypted in the inventory.
        private_key: the SSH key to use.
        ssh_common_args: further arguments of ssh.
    """

    become_password: str | None = field(default=None, repr=False)
    become_password_file: Path | None = None
    vault: tuple[VaultSecret, ...] = ()
    private_key: Path | None = None
    ssh_common_args: str | None = None

    @property
    def become(self) -> str | None:
        """The password for sudo.

        Raises:
            OSError: its file cannot be read.
        """
        if self.become_password_file is None:
            return self.become_password
        return self.become_password_file.read_text(encoding="utf-8").strip("\r\n")


NO_KEYS = LabKeys()


@dataclass(frozen=True)
class LabAccess:
    """A lab and its keys.

    Attributes:
        inventory: the Ansible inventory of its hosts; None: this machine is the only one.
        allow_missing: plan without the hosts that cannot be reached.
    """

    inventory: Path | None = None
    keys: LabKeys = NO_KEYS
    allow_missing: bool = False


THIS_MACHINE = LabAccess()

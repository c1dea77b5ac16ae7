"""Sockets of the connections that sessions of ssh share: the kernel takes no path of one that is too long."""

from __future__ import annotations

from pathlib import Path

_SOCKET_NAME_MAX = 107  # of the kernel, sun_path
_WHILE_IT_IS_MADE = 17  # what ssh then appends
#: Characters of the names that the command (with ssh's %C) and Ansible make of a connection.
SSH_NAME, ANSIBLE_NAME = 48, 10


def fits(folder: Path, name: int) -> bool:
    """Whether a socket with a name of so many characters can be in a folder."""
    return len(str(folder)) + 1 + name + _WHILE_IT_IS_MADE <= _SOCKET_NAME_MAX

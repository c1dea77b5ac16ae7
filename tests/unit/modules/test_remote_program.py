"""The command that starts a program over one of Ansible's connections."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import ansible.utils.display  # noqa: F401 - an AnsibleError imports it, and that starts a program
import pytest
from ansible.errors import AnsibleError
from ansible_collections.fedsim.testbed.plugins.plugin_utils._remote_program import build_command


class Connection:
    """An SSH connection as the command is built from it."""

    transport = "ssh"
    _shell = None

    def __init__(self, **options: Any) -> None:
        self.become: Any = None
        self.options = {"ssh_executable": "ssh", "host": "lab2.example", "password": None, **options}

    def get_option(self, name: str) -> Any:
        return self.options[name]

    def _build_command(self, binary: str, subsystem: str, *words: str) -> list[bytes]:
        assert subsystem == "ssh"
        settings = ["-C", "-o", "ControlPersist=60s", "-o", "ProxyJump=gate"]
        return [word.encode() for word in (binary, *settings, *words)]


NO_PASSWORD = SimpleNamespace(password="", remote_addr="10.0.0.2")


def test_the_users_settings_stay_but_for_compression_and_sharing() -> None:
    command = build_command(Connection(), NO_PASSWORD, "/usr/bin/python3")
    assert command[:-1] == [
        "ssh", "-o", "ControlPath=none", "-o", "ControlPersist=60s", "-o", "ProxyJump=gate", "lab2.example",
    ]  # fmt: skip
    assert command[-1].startswith("/usr/bin/python3 -c ")


def test_become_is_part_of_the_command() -> None:
    connection = Connection(host=None)
    connection.become = SimpleNamespace(build_become_command=lambda command, shell: f"sudo -S {command}")
    command = build_command(connection, NO_PASSWORD, "python3")
    assert command[-2] == "10.0.0.2"
    assert command[-1].startswith("sudo -S python3 -c ")


def test_a_local_connection_needs_a_shell_only() -> None:
    connection = Connection()
    connection.transport = "local"
    assert build_command(connection, NO_PASSWORD, "python3")[:2] == ["/bin/sh", "-c"]


def test_what_cannot_carry_a_stream_is_refused() -> None:
    connection = Connection()
    connection.transport = "winrm"
    with pytest.raises(AnsibleError, match="of the kinds ssh and local, not winrm"):
        build_command(connection, NO_PASSWORD, "python3")
    for connection, context in (
        (Connection(password="secret"), NO_PASSWORD),
        (Connection(), SimpleNamespace(password="secret", remote_addr="")),
    ):
        with pytest.raises(AnsibleError, match="over SSH with keys") as refused:
            build_command(connection, context, "python3")
        assert "secret" not in str(refused.value)

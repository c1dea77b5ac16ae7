"""Programs on lab hosts that exchange data with the control node for as long as they run.

Ansible's connections carry out a command and return its output at its end. Here the command line is taken from the
connection, with all that the user has set for it, and started as a process whose input and output are pipes.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.text.converters import to_text

#: What the program's text follows. A password that sudo did not ask for comes before it.
START = b"fedsim-program\n"
#: Reads the text from its input and runs it; the rest of the input is for the program.
LOADER = (
    "import sys; f = sys.stdin.buffer; line = b' '\n"
    f"while line and line != {START!r}: line = f.readline()\n"
    "line or sys.exit('no program')\n"
    "n = {'__name__': 'program'}; exec(f.read(int(f.readline())), n); n['main'](f)"
)


@dataclass(frozen=True)
class Host:
    """How to start a program on a lab host as the user who may use its Engine.

    Attributes:
        name: the lab host's name.
        command: the command on the control node that starts Python there, with :data:`LOADER`.
        password: what sudo asks for; empty if nothing.
    """

    name: str
    command: tuple[str, ...]
    password: str = ""

    def start(self, text: bytes, request: Mapping[str, Any]) -> subprocess.Popen[bytes]:
        """Start the program ``text`` there. It gets ``request`` as a line of JSON; more input may follow."""
        process = subprocess.Popen(
            self.command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        password = f"{self.password}\n".encode() if self.password else b""
        head = START + f"{len(text)}\n".encode() + text + json.dumps(request).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):  # it has ended already: its output says why
            input_of(process).write(password + head)
        return process


def input_of(process: subprocess.Popen[bytes]) -> IO[bytes]:
    """Return the pipe to a program that was started with one."""
    if process.stdin is None:
        raise AssertionError("the program has no pipe for its input")
    return process.stdin


def output_of(process: subprocess.Popen[bytes]) -> IO[bytes]:
    """Return the pipe from a program that was started with one."""
    if process.stdout is None:
        raise AssertionError("the program has no pipe for its output")
    return process.stdout


def build_command(connection: Any, play_context: Any, python: str) -> list[str]:
    """Return the command that starts Python on the other side of one of Ansible's connections.

    Raises:
        AnsibleError: there is none for such a connection.
    """
    command = f"{shlex.quote(python)} -c {shlex.quote(LOADER)}"
    if connection.become is not None:
        command = connection.become.build_become_command(command, connection._shell)
    if connection.transport == "local":
        return ["/bin/sh", "-c", command]
    if connection.transport != "ssh" or not hasattr(connection, "_build_command"):
        raise AnsibleError(
            f"images are sent to lab hosts over connections of the kinds ssh and local, not {connection.transport}: "
            "set ansible_connection to ssh"
        )
    if connection.get_option("password") or play_context.password:
        raise AnsibleError("images are sent to lab hosts over SSH with keys, not with ansible_password: set up a key")
    connection.host = connection.get_option("host") or play_context.remote_addr
    words = connection._build_command(connection.get_option("ssh_executable"), "ssh", connection.host, command)
    program, *options = map(to_text, words)
    # A connection of its own without SSH's compression: images are compressed already where that helps.
    return [program, "-o", "ControlPath=none", *(word for word in options[:-2] if word != "-C"), *options[-2:]]

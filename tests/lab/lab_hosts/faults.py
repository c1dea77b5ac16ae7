"""What may happen to a lab host. Cutting it off is ``Lab.cut``.

A clock cannot be set for one lab host alone: containers share the kernel's, and a time namespace shifts only the
monotonic one. A lab host with a kernel of its own has its own clock, which ``own_kernel.set_clock`` sets.
"""

from __future__ import annotations

from pathlib import Path

from fedsim_runner.contract.names import agent_name
from fedsim_runner.contract.paths import STATE_ROOT

from .hosts import LabHost

FILLER = STATE_ROOT / "filler"


def restart_engine(host: LabHost) -> None:
    """Restart its Docker Engine, which ends all containers there."""
    host.console("systemctl", "restart", "docker")
    host.await_ready()


def stop_engine(host: LabHost) -> None:
    """Stop its Docker Engine, until it is restarted."""
    host.console("systemctl", "stop", "docker.socket", "docker")


def kill_agent(host: LabHost, run: str) -> None:
    """Kill the agent of a run."""
    host.console("docker", "kill", agent_name(run))


def start_agent(host: LabHost, run: str) -> None:
    """Start an agent that has ended, as somebody might by hand."""
    host.console("docker", "start", agent_name(run))


def end_ssh(host: LabHost) -> None:
    """End the SSH connections to it; new ones are let in."""
    # Each is a child of the process that listens. Its own children carry the user's programs and, for another user than
    # root, the connection.
    host.console("sh", "-c", _END_SSH)


_END_SSH = """
one=$(pgrep -d , -P "$(cat /run/sshd.pid)") || exit 0
kill -KILL $(pgrep -P "$one") $(echo "$one" | tr , " ") 2>/dev/null || true
"""


def stop_ssh(host: LabHost) -> None:
    """End the SSH connections to it, and let none in until :func:`start_ssh`."""
    host.console("systemctl", "stop", "ssh")
    host.console("sh", "-c", "pkill -KILL -x sshd || test $? = 1")


def start_ssh(host: LabHost) -> None:
    """Undo :func:`stop_ssh`."""
    host.console("systemctl", "start", "ssh")


def limit_state(host: LabHost, size_bytes: int) -> None:
    """Give the folder of all runs' state a small disk of its own, from the next run on."""
    host.console("mkdir", "-p", str(STATE_ROOT))
    host.console("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=755", "tmpfs", str(STATE_ROOT))


def unlimit_state(host: LabHost) -> None:
    """Take the small disk away, with all that is on it."""
    host.console("umount", "--lazy", str(STATE_ROOT))


def fill(host: LabHost, file: Path = FILLER) -> None:
    """Fill the disk that ``file`` is on, up to its last byte: only one of :func:`limit_state`."""
    host.console("sh", "-c", f"findmnt -n --target {file.parent} -t tmpfs && ! cat /dev/zero >{file} 2>/dev/null")


def free(host: LabHost, file: Path = FILLER) -> None:
    """Undo :func:`fill`."""
    host.console("rm", "-f", str(file))

"""Things that are done to a run: each returns a function of the live run. Devices are named as in the experiment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from fedsim_runner.agent.links.userspace.queue_rule import iptables_programs
from fedsim_runner.contract.link import INTERFACE

from .live_run import LiveRun
from .scenario import Act

# Allocates memory until the kernel kills a process: the participant, which is marked as the first to kill.
HOG = "blocks = []\nwhile True: blocks.append(b'x' * 1_000_000)"


def interrupt(number: signal.Signals, group: bool = True) -> Act:
    """Send the command a signal: to its group as a terminal does, or to it alone."""
    return lambda run: run.signal(number, group)


def kill(*devices: str) -> Act:
    """Kill the devices' containers."""

    def act(run: LiveRun) -> None:
        for device in devices:
            run.container(device).kill("SIGKILL")

    return act


def freeze(device: str) -> Act:
    """Send SIGSTOP to a device's process: its connections stay, and the Engine does not notice."""
    return lambda run: os.kill(run.pid(run.container(device)), signal.SIGSTOP)


def pause(device: str) -> Act:
    """Have the Engine freeze a device's cgroup."""
    return lambda run: run.container(device).pause()


def restart(device: str) -> Act:
    """Restart a device's container, as a user of the Engine might."""
    return lambda run: run.container(device).restart(timeout=1)


def start_again(device: str) -> Act:
    """Start a device's container that has ended."""
    return lambda run: run.container(device).start()


def use_up_memory(device: str) -> Act:
    """Have a process in a device's container allocate memory until the limit is reached."""

    def act(run: LiveRun) -> None:
        container = run.container(device)
        Path(f"/proc/{run.pid(container)}/oom_score_adj").write_text("1000")
        container.exec_run(["python3", "-c", HOG], detach=True)

    return act


def kill_agent(run: LiveRun) -> None:
    """Kill the agent's container."""
    run.agent.kill("SIGKILL")


def freeze_agent(run: LiveRun) -> None:
    """Send SIGSTOP to the agent's process."""
    os.kill(run.pid(run.agent), signal.SIGSTOP)


def pause_agent(run: LiveRun) -> None:
    """Have the Engine freeze the agent's cgroup."""
    run.agent.pause()


def flush_links(device: str) -> Act:
    """Remove all rules and qdiscs in a device's network namespace, as a program that manages a firewall might."""

    def act(run: LiveRun) -> None:
        inside = ["nsenter", "-t", str(run.pid(run.container(device))), "-n"]
        for program in iptables_programs():
            subprocess.run([*inside, program, "-t", "mangle", "-F"], check=True)
        subprocess.run([*inside, "tc", "qdisc", "del", "dev", INTERFACE, "root"], check=True)

    return act


def kill_network(run: LiveRun) -> None:
    """Kill the container that holds the run's network."""
    run.network.kill("SIGKILL")


def delete_state(run: LiveRun) -> None:
    """Delete the run's state folder under it."""
    shutil.rmtree(run.state.path, ignore_errors=True)


def truncate_journal(run: LiveRun) -> None:
    """Cut the journal off at its beginning."""
    os.truncate(run.state.journal, 0)


def fill_disk(path: str) -> Act:
    """Write to a file below the state folder, as the owner of its folder, until the disk is full."""

    def act(run: LiveRun) -> None:
        user = (run.state.path / path).parent.stat().st_uid
        # Opened by root, since the owner of a device's folder cannot enter those above it.
        script = f"import os\nf = open({str(run.state.path / path)!r}, 'wb', 0)\nos.setgid({user}); os.setuid({user})\n"
        script += "for size in (1 << 20, 1 << 12, 1):\n    try:\n        while True: f.write(bytes(size))\n"
        script += "    except OSError: pass\n"
        subprocess.run(["python3", "-c", script], check=True)

    return act


def inside(device: str, *command: str, user: str = "") -> Act:
    """Run a command inside a device's container and leave it running."""
    return lambda run: run.container(device).exec_run(list(command), detach=True, user=user)


def nothing(run: LiveRun) -> None:
    """Do nothing: what happens is in the experiment or in the surroundings."""

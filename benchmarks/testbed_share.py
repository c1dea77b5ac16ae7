"""The testbed's own share of the lab host's cores while a course is in its rounds.

    python -m benchmarks.testbed_share [N] [--window S] [--against PATH]

A course of N light devices (100) is run with the command; from its third round on, the processor time of agent, Ansible
and fedsim-provision is taken over a window of S seconds (30). Children that have ended in between are included. Where
the kernel has no netem, a process of the agent delays the packets: that is the emulation, and has a column of its own.
The Engine's processes are shown because calls of the testbed make work for them; they are not part of the limit.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import docker

from fedsim_runner.contract.names import agent_name

from .cpu_clock import contained_seconds, container_seconds, program_seconds, tree_seconds
from .installation import Installation, RunningCommand, benchmark_arguments, installations
from .journal import course_now, wait_for_round
from .light_mix import write_light_mix
from .tables import Limit, print_limits, print_table

#: More than fit into the window; the run is interrupted after it.
ROUNDS = 100_000
FIRST_ROUND = 3
LIMIT_S = 600
EMULATION = "fedsim_runner.agent.links"
#: Of one core, in percent: agent, Ansible and fedsim-provision together.
MOST_PERCENT = 8


def read_clocks(client: docker.DockerClient, command: RunningCommand, run: str) -> dict[str, float]:
    """Return the processor seconds so far, by who used them."""
    emulation = contained_seconds(client, agent_name(run), EMULATION)
    command_seconds = tree_seconds(command.process.pid)
    return {
        "agent": container_seconds(client, agent_name(run)) - emulation,
        "link emulation": emulation,
        "fedsim-provision and Ansible": command_seconds,
        "Engine": program_seconds(),
    }


def measure(client: docker.DockerClient, installation: Installation, devices: int, window_s: float) -> dict[str, float]:
    """Run a course and return the shares of one core in percent, and the rounds that ended in the window.

    Raises:
        SystemExit: the course was not in its rounds during the whole window.
    """
    run = "bench-share"
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
        folder = Path(name)
        spec = write_light_mix(folder, devices, rounds=ROUNDS)
        command = installation.start([str(spec), "--run", run], folder)
        try:
            wait_for_round(command, run, FIRST_ROUND, LIMIT_S)
            first_round = course_now(run).round
            before, started = read_clocks(client, command, run), time.monotonic()
            time.sleep(window_s)
            after, elapsed = read_clocks(client, command, run), time.monotonic() - started
            course = course_now(run)
            if command.process.poll() is not None or course.outcome is not None:
                raise SystemExit(f"the course ended within the window\n{command.output}")
        finally:
            command.interrupt()
    shares = {who: 100 * (after[who] - before[who]) / elapsed for who in before}
    return {**shares, "rounds": float(course.round - first_round)}


def main() -> None:
    """Print one row for each installation."""
    parser = benchmark_arguments(__doc__)
    parser.add_argument("devices", nargs="?", type=int, default=100, metavar="N", help="devices (100)")
    parser.add_argument("--window", type=float, default=30, metavar="S", help="seconds within the rounds (30)")
    arguments = parser.parse_args()
    compared = installations(arguments)
    client = docker.from_env(timeout=120)
    rows = []
    own = {}
    for installation in compared:
        with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
            installation.run(["images"], Path(name))
        seen = measure(client, installation, arguments.devices, arguments.window)
        own[installation.title] = seen["agent"] + seen["fedsim-provision and Ansible"]
        rows.append(
            (
                installation.title,
                seen["agent"],
                seen["fedsim-provision and Ansible"],
                own[installation.title],
                seen["link emulation"],
                seen["Engine"],
                int(seen["rounds"]),
            )
        )
    columns = ("who", "agent", "fedsim-provision and Ansible", "together", "link emulation", "Engine",
               "rounds in the window")  # fmt: skip
    print_table(
        f"{arguments.devices} devices in their rounds, % of one core over {arguments.window:g} s", columns, rows
    )
    print_limits([Limit("agent, Ansible and fedsim-provision", own[compared[0].title], MOST_PERCENT, " %")])


if __name__ == "__main__":
    main()

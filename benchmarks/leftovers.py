"""R runs of N devices up and down in a row: what is left behind.

    python -m benchmarks.leftovers [R] [N] [--against PATH]

Before the first and after the last run (of 20, with 300 devices each) this lists everything that a run could leave on
the machine: containers, networks and volumes of the Engine, network interfaces, network namespaces, mounts, state
folders, cgroups, and processes of the Engine and of the testbed. All runs have the same name, as users do it. Nothing
else should use the Engine meanwhile. The table shows the runs' seconds, which should not grow.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import docker

from .installation import Installation, benchmark_arguments, installations
from .light_mix import write_light_mix
from .machine_snapshot import Snapshot, take_snapshot
from .tables import Limit, print_limits, print_table

#: The Engine ends the last shims and removes their cgroups a moment after it has answered.
SETTLE_S = 5.0
RUN = "bench-leftovers"


def measure(
    client: docker.DockerClient, installation: Installation, runs: int, devices: int
) -> tuple[list[tuple[float, float]], Snapshot]:
    """Return the seconds of each run's ``up`` and ``down``, and what is there afterwards that was not there before."""
    seconds = []
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
        folder = Path(name)
        spec = write_light_mix(folder, devices)
        installation.run(["images"], folder)
        # The first run makes what stays on purpose, such as the parent of the state folders.
        warm_up = write_light_mix(folder, 3)
        _up_and_down(installation, folder, warm_up)
        time.sleep(SETTLE_S)
        before = take_snapshot(client)
        for number in range(runs):
            seconds.append(_up_and_down(installation, folder, spec))
            print(f"run {number + 1} of {runs}: up {seconds[-1][0]:.1f} s, down {seconds[-1][1]:.1f} s", flush=True)
        time.sleep(SETTLE_S)
        after = take_snapshot(client)
    return seconds, {kind: after[kind] - before[kind] for kind in after}


def _up_and_down(installation: Installation, folder: Path, spec: Path) -> tuple[float, float]:
    try:
        up = installation.run(["up", str(spec), "--run", RUN], folder)
    finally:
        down = installation.run(["down", RUN], folder)
    return up, down


def main() -> None:
    """Print what is left of each kind, for each installation, and the seconds of the runs."""
    parser = benchmark_arguments(__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=20, metavar="R", help="runs (20)")
    parser.add_argument("devices", nargs="?", type=int, default=300, metavar="N", help="devices of each (300)")
    arguments = parser.parse_args()
    compared = installations(arguments)
    client = docker.from_env(timeout=300)
    columns, limits = [], []
    kinds: list[str] = []
    for installation in compared:
        seconds, left = measure(client, installation, arguments.runs, arguments.devices)
        for kind, names in left.items():
            for entry in sorted(names):
                print(f"{installation.title}: left behind: {kind}: {entry}")
        kinds = list(left)
        ups, downs = zip(*seconds, strict=True)
        columns.append(
            [len(left[kind]) for kind in kinds] + [ups[0], max(ups), ups[-1], downs[0], max(downs), downs[-1]]
        )
        limits.append(
            Limit(f"{installation.title}: things left behind", float(sum(len(names) for names in left.values())), 0)
        )
    figures = [f"{kind} left" for kind in kinds]
    figures += [f"{verb}, s: {which}" for verb in ("up", "down") for which in ("first", "longest", "last")]
    rows = [(figure, *(column[number] for column in columns)) for number, figure in enumerate(figures)]
    print_table(
        f"{arguments.runs} runs of {arguments.devices} devices, up and down",
        ("what", *(installation.title for installation in compared)),
        rows,
    )
    print_limits(limits[:1])


if __name__ == "__main__":
    main()

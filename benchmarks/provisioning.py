"""Provision N devices, say that nothing changed, remove them: whole commands, side by side with docker-compose.

    python -m benchmarks.provisioning [N ...] [--repeat R] [--compose-most N] [--against PATH]

docker-compose (Debian's package of that name) brings up N containers of the same images that only sleep, with the same
limits of cpus, memory and processes, on an internal network, alternating with our commands on the same machine. Ours do
more: each device also gets its files, waits at a gate with its participant's Python, and has its link in force. Images
are built beforehand. Of several repetitions the median counts.
"""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import docker

from .compose import ComposeProject, require_compose, write_compose_file
from .installation import Installation, benchmark_arguments, installations
from .light_mix import write_light_mix
from .tables import Limit, print_limits, print_table

VERBS = ("up", "again", "down")
SIZES = (10, 50, 100)
COMPOSE = "docker-compose"

#: Seconds by who worked and what was done.
Seconds = dict[tuple[str, str], float]


def measure(
    client: docker.DockerClient, compared: Sequence[Installation], folder: Path, devices: int, with_compose: bool
) -> tuple[Seconds, int]:
    """Measure one N once: each installation, then docker-compose.

    Returns:
        the seconds, and how many commands of docker-compose hung.
    """
    spec = write_light_mix(folder, devices)
    found: Seconds = {}
    project = None
    for number, installation in enumerate(compared):
        # Another installation's run has another name, so that neither finds anything of the other.
        run = f"bench-{devices}-{number}"
        try:
            for verb in ("up", "again"):
                found[installation.title, verb] = installation.run(["up", str(spec), "--run", run], folder)
            if with_compose and project is None:
                project_folder = folder / f"benchcompose{devices}"
                containers = write_compose_file(client, folder / "runs" / run, run, project_folder)
                project = ComposeProject(client, project_folder, containers)
        finally:
            found[installation.title, "down"] = installation.run(["down", run], folder)
    if project is None:
        return found, 0
    try:
        found[COMPOSE, "up"] = project.up()
        found[COMPOSE, "again"] = project.up_again()
        found[COMPOSE, "down"] = project.down()
    finally:
        project.remove()
    return found, project.hung


def rows_of(devices: int, medians: Seconds, compared: Sequence[Installation]) -> list[tuple[object, ...]]:
    """Return the rows of one N: docker-compose, then each installation with its ratios to it."""
    base = [medians.get((COMPOSE, verb)) for verb in VERBS]
    rows: list[tuple[object, ...]] = []
    if base[0] is not None:
        rows.append((devices, COMPOSE, *base, "", "", "", base[0] / devices))
    for installation in compared:
        ours = [medians[installation.title, verb] for verb in VERBS]
        ratios = [None if other is None else mine / other for mine, other in zip(ours, base, strict=True)]
        rows.append((devices, installation.title, *ours, *ratios, ours[0] / devices))
    return rows


def limits_of(medians: dict[int, Seconds], title: str) -> list[Limit]:
    """Return what the figures of one installation are held to."""
    limits = []
    if 100 in medians:
        seen = medians[100]
        up, down = seen.get((COMPOSE, "up")), seen.get((COMPOSE, "down"))
        limits += [
            Limit(f"100 devices: up minus {COMPOSE}'s", None if up is None else seen[title, "up"] - up, 6, " s"),
            Limit("100 devices: up again, unchanged", seen[title, "again"], 4, " s"),
            Limit(f"100 devices: down / {COMPOSE}'s", None if down is None else seen[title, "down"] / down, 0.8),
        ]
    if 100 in medians and 500 in medians:
        per_device = {devices: medians[devices][title, "up"] / devices for devices in (100, 500)}
        limits.append(Limit("cost of up per device at 500 / at 100", per_device[500] / per_device[100], 1.3))
    return limits


def main() -> None:
    """Print the rows of each N, and the limits that the figures are held to."""
    parser = benchmark_arguments(__doc__)
    parser.add_argument("sizes", nargs="*", type=int, metavar="N", help=f"numbers of devices ({SIZES})")
    parser.add_argument("--repeat", type=int, default=1, metavar="R", help="repetitions (1)")
    parser.add_argument("--compose-most", type=int, default=100, metavar="N", help=f"the most for {COMPOSE} (100)")
    arguments = parser.parse_args()
    compared = installations(arguments)
    sizes = arguments.sizes or list(SIZES)
    compose_version = require_compose()
    client = docker.from_env(timeout=300)
    medians: dict[int, Seconds] = {}
    rows: list[tuple[object, ...]] = []
    hung = 0
    for installation in compared:
        with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
            installation.run(["images"], Path(name))
    for devices in sizes:
        seen: dict[tuple[str, str], list[float]] = defaultdict(list)
        for _ in range(arguments.repeat):
            with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
                found, hangs = measure(client, compared, Path(name), devices, devices <= arguments.compose_most)
            hung += hangs
            for key, seconds in found.items():
                seen[key].append(seconds)
        medians[devices] = {key: statistics.median(values) for key, values in seen.items()}
        rows += rows_of(devices, medians[devices], compared)
    print_table(
        f"Provisioning, seconds of wall time of the whole command, against {COMPOSE} {compose_version}",
        ("N", "who", *VERBS, *(f"{verb}, ratio" for verb in VERBS), "up per device"),
        rows,
    )
    if hung:
        print(f"{hung} commands of {COMPOSE} hung and were tried again")
    print_limits(limits_of(medians, compared[0].title))


if __name__ == "__main__":
    main()

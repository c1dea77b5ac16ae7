"""The quickstart as a user runs it: the whole command, and up, up again, down.

    python -m benchmarks.quickstart [--repeat R] [--against PATH]

Images are built beforehand. Of several repetitions the median counts.
"""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

from .installation import Installation, benchmark_arguments, installations
from .tables import Limit, print_limits, print_table

SPEC = Path(__file__).resolve().parents[1] / "examples" / "quickstart.yaml"
STEPS = ("whole command", "up", "up again", "down")


def measure(installation: Installation, folder: Path, name: str) -> dict[str, float]:
    """Return the seconds of each step of one installation."""
    spec = str(SPEC)
    seen = {"whole command": installation.run([spec, "--run", f"{name}-whole"], folder)}
    try:
        seen["up"] = installation.run(["up", spec, "--run", name], folder)
        seen["up again"] = installation.run(["up", spec, "--run", name], folder)
    finally:
        seen["down"] = installation.run(["down", name], folder)
    return seen


def main() -> None:
    """Print one row for each installation."""
    parser = benchmark_arguments(__doc__)
    parser.add_argument("--repeat", type=int, default=3, metavar="R", help="repetitions (3)")
    arguments = parser.parse_args()
    compared = installations(arguments)
    seen: dict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
        folder = Path(name)
        for installation in compared:
            installation.run(["images"], folder)
        for repetition in range(arguments.repeat):
            for number, installation in enumerate(compared):
                run = f"bench-quickstart-{number}-{repetition}"
                for step, seconds in measure(installation, folder, run).items():
                    seen[installation.title, step].append(seconds)
    median = {key: statistics.median(values) for key, values in seen.items()}
    this = compared[0].title
    rows = []
    for installation in compared:
        steps = [median[installation.title, step] for step in STEPS]
        ratios = [median[this, step] / median[installation.title, step] for step in STEPS]
        rows.append((installation.title, *steps, *ratios))
    columns = ("who", *STEPS, *(f"{step}: this / it" for step in STEPS))
    print_table(f"The quickstart, seconds of wall time, median of {arguments.repeat}", columns, rows)
    limits = [Limit("up again", median[this, "up again"], 3.5, " s")]
    limits += [
        Limit(f"whole command / {other.title}", median[this, STEPS[0]] / median[other.title, STEPS[0]], 0.75)
        for other in compared[1:]
    ]
    print_limits(limits)


if __name__ == "__main__":
    main()

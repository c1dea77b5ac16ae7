"""From the start of the course until its first round: loading the participants, joining.

    python -m benchmarks.joining [light] [federatedscope] [--devices N] [--against PATH]

light: N devices (100), the clients with 0.01 cpus each. federatedscope: a server and four clients with FederatedScope
and 0.1 cpus each. The clock starts when the command reports the stage `course`, and ends when the server's log says
that it starts its first round. What lies before the opening of the gate is the testbed's, what lies after it the
course's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from fedsim_runner.contract.course_state import CourseState

from .installation import Installation, benchmark_arguments, installations
from .journal import events_of
from .light_mix import write_light_mix
from .tables import Limit, print_limits, print_table
from .torch_courses import write_unlimited_course

FEDERATEDSCOPE_CLIENTS = 4
FEDERATEDSCOPE_CPUS = 0.1
SPANS = ("course starts to first round", "gate opens to first round", "whole command")
#: For each experiment the span that counts, and the most that it may take of what another installation takes.
MOST = {"light": (SPANS[1], 0.3), "federatedscope": (SPANS[0], 0.4)}


def write_small_torch(folder: Path) -> Path:
    """Write the experiment of FederatedScope on devices with a tenth of a cpu."""
    return write_unlimited_course(
        folder, "join-torch", FEDERATEDSCOPE_CLIENTS, rounds=1, model="lr", cpus=FEDERATEDSCOPE_CPUS
    )


def measure(installation: Installation, folder: Path, spec: Path, run: str) -> tuple[float, float, float]:
    """Run a course of one round.

    Returns:
        seconds from the start of the course to its first round, the part of it after the opening of the gate, and the
        wall time of the whole command.

    Raises:
        SystemExit: the command failed, or its journal does not say when the first round began.
    """
    command = installation.start([str(spec), "--run", run], folder)
    code = command.finish()
    course = CourseState().apply_all(events_of(folder, run))
    began, opened, first = command.stages().get("course"), course.gate_opens, course.training_began
    if code != 0 or began is None or opened is None or first is None:
        raise SystemExit(f"{run} exited {code}\n{command.output}")
    return first - began, first - opened, command.seconds


def main() -> None:
    """Print one row for each experiment and installation."""
    parser = benchmark_arguments(__doc__)
    parser.add_argument("which", nargs="*", metavar="WHICH", help=f"{' or '.join(MOST)}; if left out, both")
    parser.add_argument("--devices", type=int, default=100, metavar="N", help="devices of the experiment light (100)")
    arguments = parser.parse_args()
    unknown = set(arguments.which) - set(MOST)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    compared = installations(arguments)
    write: dict[str, Callable[[Path], Path]] = {
        "light": lambda folder: write_light_mix(folder, arguments.devices, rounds=1, tablet_share=0),
        "federatedscope": write_small_torch,
    }
    titles = {
        "light": f"{arguments.devices} light devices of 0.01 cpus",
        "federatedscope": f"FederatedScope, 1 + {FEDERATEDSCOPE_CLIENTS} of {FEDERATEDSCOPE_CPUS} cpus",
    }
    rows, limits = [], []
    for which in arguments.which or list(MOST):
        seen = {}
        for number, installation in enumerate(compared):
            with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
                folder = Path(name)
                engine = ["--engine", "federatedscope"] if which == "federatedscope" else []
                installation.run(["images", *engine], folder)
                seen[number] = measure(installation, folder, write[which](folder), f"bench-join-{which}-{number}")
            ratios = [mine / other for mine, other in zip(seen[0], seen[number], strict=True)]
            rows.append((titles[which], installation.title, *seen[number], *ratios))
            if number:
                span, most = MOST[which]
                what = f"{titles[which]}: {span} / {installation.title}"
                limits.append(Limit(what, ratios[SPANS.index(span)], most))
    columns = ("what", "who", *SPANS, *(f"{span}: this / it" for span in SPANS))
    print_table("Joining, seconds", columns, rows)
    print_limits(limits)


if __name__ == "__main__":
    main()

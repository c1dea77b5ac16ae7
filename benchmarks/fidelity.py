"""Whether devices compute as they should.

    python -m benchmarks.fidelity smoothness [--devices N] [--steps N]
    python -m benchmarks.fidelity speeds [--engine NAME] [--type NAME ...] [--devices N]
    python -m benchmarks.fidelity dilation [--engine NAME] [--factor F] [--rounds N] [--steps N]

On this machine, as root, with real containers. ``smoothness``: how much the times of equal steps differ within small
CPU limits. ``speeds``: the reference step of an engine on devices of some types, all at once, against what the
types say; this machine must have been calibrated (``fedsim-provision calibrate``). ``dilation``: the same experiment in
dilated time at a factor and at half of it, and in real time beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .fidelity_figures import dilation, smoothness, speeds
from .tables import Limit, print_limits, print_table

#: What is measured: cpus, and seconds of processor time of a step.
STEPS = ((0.05, 0.05), (0.05, 0.005), (0.02, 0.05), (0.1, 0.05), (0.5, 0.05))
MOST_PERCENT = 10.0
FIGURE = (0.05, 0.05)
TYPES = ("raspberry-pi-5", "raspberry-pi-4", "raspberry-pi-3")
MOST_OFF_RATIO_PERCENT = 5.0


def measure_smoothness(devices: int, steps: int) -> int:
    """Print the table, and whether the figure is within its limit."""
    image, found = smoothness.engine_image(), []
    for cpus, step_s in STEPS:
        # Never more cpus together than with 0.05 each.
        count = max(1, min(devices, round(devices * 0.05 / cpus)))
        found.append(smoothness.measure(image, cpus, step_s, count, steps))
    print_table("smoothness of small cpu limits", smoothness.COLUMNS, [one.cells() for one in found])
    of_figure = next(one for one in found if (one.cpus, one.step_s) == FIGURE)
    what = f"deviation of a step of {1000 * FIGURE[1]:g} ms at {FIGURE[0]:g} cpus, {of_figure.devices} devices at once"
    print_limits([Limit(what, 100 * of_figure.deviation, MOST_PERCENT, " %")])
    return int(100 * of_figure.deviation > MOST_PERCENT)


def measure_speeds(engine: str, types: Sequence[str], devices: int) -> int:
    """Print the table, and whether steps and their ratios are within their limits."""
    found = speeds.measure(engine, types, devices)
    print_table("steps of calibrated devices", speeds.COLUMNS, [one.cells() for one in found])
    first = found[0]
    limits = [
        Limit(f"{one.type}: error of a step, of the worst device", 100 * abs(one.largest_error), MOST_PERCENT, " %")
        for one in found
    ]
    for one in found[1:]:
        off = 100 * abs((one.got_s / first.got_s) / (one.asked_s / first.asked_s) - 1)
        limits.append(Limit(f"{one.type} against {first.type}: error of the ratio", off, MOST_OFF_RATIO_PERCENT, " %"))
    print_limits(limits)
    return int(any(limit.value is not None and limit.value > limit.most for limit in limits))


def measure_dilation(engine: str, factor: float, rounds: int, steps: int) -> int:
    """Print the table, and whether runs at two factors are alike in device time."""
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
        found = dilation.measure(Path(name), engine, factor, rounds, steps)
    print_table("the same experiment at two factors", dilation.COLUMNS, [one.cells() for one in found])
    limits = dilation.list_limits(found)
    print_limits(limits)
    return int(any(limit.value is not None and limit.value > limit.most for limit in limits))


def main() -> int:
    """Measure; exit with 1 if a figure is out of its limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description="Devices compute as asked.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    smooth = verbs.add_parser("smoothness", help="equal steps within small cpu limits")
    smooth.add_argument("--devices", type=int, default=20, help="of 0.05 cpus, at once (default: %(default)s)")
    smooth.add_argument("--steps", type=int, default=20, help="of each device (default: %(default)s)")
    speed = verbs.add_parser("speeds", help="the reference step on devices of some types")
    speed.add_argument("--engine", default="light", help="(default: %(default)s)")
    speed.add_argument("--type", action="append", help=f"(default: {', '.join(TYPES)})")
    speed.add_argument("--devices", type=int, default=3, help="of each type (default: %(default)s)")
    dilate = verbs.add_parser("dilation", help="one experiment in dilated time at two factors")
    dilate.add_argument("--engine", default="light", help="(default: %(default)s)")
    dilate.add_argument("--factor", type=float, default=0.25, help="the other is half of it (default: %(default)s)")
    dilate.add_argument("--rounds", type=int, default=6, help="(default: %(default)s)")
    dilate.add_argument("--steps", type=int, default=600, help="epochs in a round (default: %(default)s)")
    options = parser.parse_args()
    if options.verb == "dilation":
        return measure_dilation(options.engine, options.factor, options.rounds, options.steps)
    if options.verb == "speeds":
        return measure_speeds(options.engine, options.type or TYPES, options.devices)
    return measure_smoothness(options.devices, options.steps)


if __name__ == "__main__":
    sys.exit(main())

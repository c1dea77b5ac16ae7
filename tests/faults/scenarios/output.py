"""Where the command prints to: a full disk, a terminal that lacks characters."""

from __future__ import annotations

from tests.faults.acts import nothing
from tests.faults.scenario import Moment, Outcome, Scenario, Start, Step

OUTPUT_FULL = 74


SCENARIOS = (
    Scenario(
        "output-full",
        "A command that cannot write its output tears its testbed down",
        Start(rounds=3, output="/dev/full"),
        (Step(Moment(), nothing),),
        Outcome(OUTPUT_FULL),
        soak=True,
    ),
    Scenario(
        "output-ascii",
        "Characters that the terminal lacks are replaced",
        Start(rounds=3, environment={"PYTHONIOENCODING": "ascii"}),
        (Step(Moment(), nothing),),
        Outcome(0, finished=True),
        soak=True,
    ),
)

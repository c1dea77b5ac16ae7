"""Silence has a cause: what supervision itself needs is taken away. It is noticed within 10 s and named."""

from __future__ import annotations

from tests.faults.acts import delete_state, freeze_agent, truncate_journal
from tests.faults.scenario import Act, Outcome, Scenario, Start, Step, round_ends

NOTICED_S = 10
END_S = 60
FAILED = 5


def _named(name: str, holds: str, act: Act, reason: str) -> Scenario:
    return Scenario(
        name,
        holds,
        Start(),
        (Step(round_ends(2), act),),
        Outcome(FAILED, within_s=NOTICED_S + END_S, reason=reason),
    )


SCENARIOS = (
    _named("agent-frozen", "A frozen agent ends the run with its name", freeze_agent, "agent"),
    _named("state-deleted", "A state folder that somebody deletes ends the run with its name", delete_state, "state"),
    _named(
        "journal-truncated", "A journal that somebody cuts off ends the run with its name", truncate_journal, "journal"
    ),
)
